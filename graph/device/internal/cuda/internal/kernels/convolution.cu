// What comes before and after a convolution of cuDNN.
#include "device.cuh"

// A block of transpose moves EDGE × EDGE elements with 256 threads, through memory that it shares, so that both sides
// are read and written in lines.
enum { EDGE = 32, LINES = 8 };

// transpose: x [rows,cols] → y [cols,rows], rounded where y is bfloat16. It makes [O,KH·KW·I] of a weight [KH·KW·I,O],
// and the other way round.
KERNEL(transpose, In x, Out y, i64 rows, i64 cols) {
  __shared__ float square[EDGE][EDGE + 1];
  int c = threadIdx.x % EDGE, line = threadIdx.x / EDGE;
  i64 col = (i64)blockIdx.x * EDGE, row = (i64)blockIdx.y * EDGE;
  UNROLLED (int i = line; i < EDGE; i += LINES)
    if (row + i < rows && col + c < cols) square[i][c] = load(x, (row + i) * cols + col + c);
  __syncthreads();
  UNROLLED (int i = line; i < EDGE; i += LINES)
    if (col + i < cols && row + c < rows) store(y, (col + i) * rows + row + c, square[c][i]);
}

// finish is act(x + bias + residual) of n elements, c of them side by side; bias and residual may be nil.
KERNEL(finish, In x, const float* bias, In residual, Out y, i64 n, i64 c, i64 act) {
  EACH(i, n) {
    float v = load(x, i);
    if (bias) v += bias[i % c];
    if (residual.p) v += load(residual, i);
    store(y, i, activate(v, act));
  }
}
