// Attention in bfloat16. The numbers in the names are d, rounded up to the next of 40, 64, 80 and 160, and the queries
// of a block; sizes.go has them, and the sizes of tiles, once more.
#include "attention.cuh"

template <int D, int M, int KEYS>
__device__ inline void attention_forward(const Attention& a, u16* shared) {
  Softmax<D, M> f;
  attend<D, M, KEYS>(f, a, shared);
  UNROLLED (int m = 0; m < M; m++)
    write<D>(a, a.o, a.queries, blockIdx.x * (ATTENTION_WARPS * M * 16) + warp() * (M * 16) + m * 16, f.sum[m],
             1.0f / f.total[m][0], 1.0f / f.total[m][1]);
}

ATTENTION(attention_40_64, 4, attention_forward<40, 1, 64>)
ATTENTION(attention_64_64, 3, attention_forward<64, 1, 64>)
ATTENTION(attention_80_64, 3, attention_forward<80, 1, 64>)
ATTENTION(attention_160_64, 2, attention_forward<160, 1, 32>)
ATTENTION(attention_40_128, 2, attention_forward<40, 2, 64>)
ATTENTION(attention_64_128, 2, attention_forward<64, 2, 64>)
ATTENTION(attention_80_128, 2, attention_forward<80, 2, 64>)
