// Functions of single elements.
#include "device.cuh"

KERNEL(activation, In x, Out y, i64 n, i64 act) {
  EACH(i, n) store(y, i, activate(load(x, i), act));
}

KERNEL(activation_grad, In x, In dy, Out out, i64 n, i64 act) {
  EACH(i, n) store(out, i, load(dy, i) * derivative(load(x, i), act));
}

// geglu: x [rows,2F] → y [rows,F]; n is rows·F.
KERNEL(geglu, In x, Out y, i64 n, i64 f) {
  EACH(i, n) {
    i64 at = i / f * 2 * f + i % f;
    store(y, i, load(x, at) * activate(load(x, at + f), GELU));
  }
}

// geglu_grad may write over x: a thread reads both of its elements before it writes them.
KERNEL(geglu_grad, In x, In dy, Out out, i64 n, i64 f) {
  EACH(i, n) {
    i64 at = i / f * 2 * f + i % f;
    float value = load(x, at), gate = load(x, at + f), d = load(dy, i);
    store(out, at, d * activate(gate, GELU));
    store(out, at + f, d * value * derivative(gate, GELU));
  }
}

KERNEL(add, In a, In b, Out y, i64 n) {
  EACH(i, n) store(y, i, load(a, i) + load(b, i));
}

KERNEL(mul, In a, In b, Out y, i64 n) {
  EACH(i, n) store(y, i, load(a, i) * load(b, i));
}

KERNEL(scale, In x, Out y, i64 n, float factor) {
  EACH(i, n) store(y, i, factor * load(x, i));
}

KERNEL(cast, In x, Out y, i64 n) {
  EACH(i, n) store(y, i, load(x, i));
}

// add_channels: x [N,pixels,C] + t [N,C]; per is pixels·C.
KERNEL(add_channels, In x, In t, Out y, i64 n, i64 per, i64 c) {
  EACH(i, n) store(y, i, load(x, i) + load(t, i / per * c + i % c));
}

// add_batch: x [N,per] + p [per].
KERNEL(add_batch, In x, In p, Out y, i64 n, i64 per) {
  EACH(i, n) store(y, i, load(x, i) + load(p, i % per));
}

// timestep_embedding: t [n/channels] → [n/channels,channels], in the arithmetic of op.TimestepEmbedding.
KERNEL(timestep_embedding, In t, Out y, i64 n, i64 channels, i64 cos_first, float log_period, float steps) {
  i64 half = channels / 2;
  EACH(i, n) {
    i64 c = i % channels, k = c % half;
    float exponent = __fdiv_rn(__fmul_rn(log_period, (float)k), steps);
    float angle = __fmul_rn(load(t, i / channels), (float)exp((double)exponent));
    bool cosine = (c < half) == (cos_first != 0);
    store(y, i, (float)(cosine ? cos((double)angle) : sin((double)angle)));
  }
}
