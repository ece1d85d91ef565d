// Functions of single elements. A thread takes FLAT elements at a time where the values of one call have one type, as
// they have in programs.
#include "device.cuh"
#include "vectors.cuh"

// whole reports whether n elements of the same type can be processed FLAT at a time.
template <class... P>
__device__ inline bool whole(i64 n, i64 bf16, i64 other, const P*... p) {
  return n % FLAT == 0 && bf16 == other && aligned(p...);
}

// act_on applies an activation to V elements.
template <class Y, int V>
__device__ inline void act_on(float (&v)[V], i64 act) {
  switch (act) {
    case SILU: UNROLLED (int j = 0; j < V; j++) v[j] = Rounding<Y>::silu(v[j]); break;
    case GELU: UNROLLED (int j = 0; j < V; j++) v[j] *= Rounding<Y>::cdf(v[j]); break;
    case NO_ACT: break;
    default: UNROLLED (int j = 0; j < V; j++) v[j] = activate(v[j], act);
  }
}

template <int V, class X, class Y>
__device__ inline void activations(X x, Y y, i64 n, i64 act) {
  EACH_OF(V, i, n) {
    float v[V];
    read(v, x, i);
    act_on<Y>(v, act);
    write(v, y, i);
  }
}

KERNEL(activation, In x, Out y, i64 n, i64 act) {
  if (!whole(n, x.bf16, y.bf16, x.p, y.p))
    activations<1>(x, y, n, act);
  else if (y.bf16)
    activations<FLAT>((const bf16*)x.p, (bf16*)y.p, n, act);
  else
    activations<FLAT>((const float*)x.p, (float*)y.p, n, act);
}

template <int V, class X, class D, class Y>
__device__ inline void activation_grads(X x, D dy, Y y, i64 n, i64 act) {
  EACH_OF(V, i, n) {
    float v[V], d[V];
    read(v, x, i);
    read(d, dy, i);
    UNROLLED (int j = 0; j < V; j++) d[j] *= derivative(v[j], act);
    write(d, y, i);
  }
}

KERNEL(activation_grad, In x, In dy, Out out, i64 n, i64 act) {
  if (x.bf16 != dy.bf16 || !whole(n, x.bf16, out.bf16, x.p, dy.p, out.p))
    activation_grads<1>(x, dy, out, n, act);
  else if (out.bf16)
    activation_grads<FLAT>((const bf16*)x.p, (const bf16*)dy.p, (bf16*)out.p, n, act);
  else
    activation_grads<FLAT>((const float*)x.p, (const float*)dy.p, (float*)out.p, n, act);
}

template <int V, class X, class Y>
__device__ inline void geglus(X x, Y y, i64 n, i64 f) {
  EACH_OF(V, i, n) {
    Split s = split<V>(i, f);
    i64 at = s.row * 2 * f + s.column;
    float value[V], gate[V];
    read(value, x, at);
    read(gate, x, at + f);
    UNROLLED (int j = 0; j < V; j++) value[j] *= gate[j] * Rounding<Y>::cdf(gate[j]);
    write(value, y, i);
  }
}

// geglu: x [rows,2F] → y [rows,F]; n is rows·F.
KERNEL(geglu, In x, Out y, i64 n, i64 f) {
  if (f % FLAT != 0 || !whole(n, x.bf16, y.bf16, x.p, y.p))
    geglus<1>(x, y, n, f);
  else if (y.bf16)
    geglus<FLAT>((const bf16*)x.p, (bf16*)y.p, n, f);
  else
    geglus<FLAT>((const float*)x.p, (float*)y.p, n, f);
}

template <int V, class X, class D, class Y>
__device__ inline void geglu_grads(X x, D dy, Y out, i64 n, i64 f) {
  EACH_OF(V, i, n) {
    Split s = split<V>(i, f);
    i64 at = s.row * 2 * f + s.column;
    float value[V], gate[V], d[V];
    read(value, x, at);
    read(gate, x, at + f);
    read(d, dy, i);
    UNROLLED (int j = 0; j < V; j++) {
      // The derivative of g·Φ(g) is Φ(g) + g·φ(g).
      float cdf = Rounding<Y>::cdf(gate[j]), density = Rounding<Y>::exp(-0.5f * gate[j] * gate[j]) *
          0.39894228040143268f;
      value[j] *= d[j] * (cdf + gate[j] * density);
      d[j] *= gate[j] * cdf;
    }
    write(d, out, at);
    write(value, out, at + f);
  }
}

// geglu_grad may write over x: a thread reads its elements before it writes them.
KERNEL(geglu_grad, In x, In dy, Out out, i64 n, i64 f) {
  if (f % FLAT != 0 || x.bf16 != dy.bf16 || !whole(n, x.bf16, out.bf16, x.p, dy.p, out.p))
    geglu_grads<1>(x, dy, out, n, f);
  else if (out.bf16)
    geglu_grads<FLAT>((const bf16*)x.p, (const bf16*)dy.p, (bf16*)out.p, n, f);
  else
    geglu_grads<FLAT>((const float*)x.p, (const float*)dy.p, (float*)out.p, n, f);
}

template <int V, class A, class B, class Y>
__device__ inline void sums(A a, B b, Y y, i64 n) {
  EACH_OF(V, i, n) {
    float v[V], w[V];
    read(v, a, i);
    read(w, b, i);
    UNROLLED (int j = 0; j < V; j++) v[j] += w[j];
    write(v, y, i);
  }
}

KERNEL(add, In a, In b, Out y, i64 n) {
  if (a.bf16 || b.bf16 || !whole(n, a.bf16, y.bf16, a.p, b.p, y.p))
    sums<1>(a, b, y, n);
  else
    sums<FLAT>((const float*)a.p, (const float*)b.p, (float*)y.p, n);
}

KERNEL(mul, In a, In b, Out y, i64 n) {
  EACH(i, n) store(y, i, load(a, i) * load(b, i));
}

template <int V, class X, class Y>
__device__ inline void multiples(X x, Y y, i64 n, float factor) {
  EACH_OF(V, i, n) {
    float v[V];
    read(v, x, i);
    UNROLLED (int j = 0; j < V; j++) v[j] *= factor;
    write(v, y, i);
  }
}

KERNEL(scale, In x, Out y, i64 n, float factor) {
  if (!whole(n, x.bf16, y.bf16, x.p, y.p))
    multiples<1>(x, y, n, factor);
  else if (y.bf16)
    multiples<FLAT>((const bf16*)x.p, (bf16*)y.p, n, factor);
  else
    multiples<FLAT>((const float*)x.p, (float*)y.p, n, factor);
}

template <int V, class X, class Y>
__device__ inline void copies(X x, Y y, i64 n) {
  EACH_OF(V, i, n) {
    float v[V];
    read(v, x, i);
    write(v, y, i);
  }
}

KERNEL(cast, In x, Out y, i64 n) {
  if (x.bf16 == y.bf16 || !whole(n, 0, 0, x.p, y.p))
    copies<1>(x, y, n);
  else if (y.bf16)
    copies<FLAT>((const float*)x.p, (bf16*)y.p, n);
  else
    copies<FLAT>((const bf16*)x.p, (float*)y.p, n);
}

template <int V, class X, class T, class Y>
__device__ inline void channel_sums(X x, T t, Y y, i64 n, i64 pixels, i64 c) {
  EACH_OF(V, i, n) {
    Split s = split<V>(i, c);
    float v[V], w[V];
    read(v, x, i);
    read(w, t, divide(s.row, pixels) * c + s.column);
    UNROLLED (int j = 0; j < V; j++) v[j] += w[j];
    write(v, y, i);
  }
}

// add_channels: x [N,pixels,C] + t [N,C].
KERNEL(add_channels, In x, In t, Out y, i64 n, i64 pixels, i64 c) {
  if (c % FLAT != 0 || x.bf16 || t.bf16 || !whole(n, x.bf16, y.bf16, x.p, t.p, y.p))
    channel_sums<1>(x, t, y, n, pixels, c);
  else
    channel_sums<FLAT>((const float*)x.p, (const float*)t.p, (float*)y.p, n, pixels, c);
}

template <int V, class X, class P, class Y>
__device__ inline void batch_sums(X x, P p, Y y, i64 n, i64 per) {
  EACH_OF(V, i, n) {
    float v[V], w[V];
    read(v, x, i);
    read(w, p, split<V>(i, per).column);
    UNROLLED (int j = 0; j < V; j++) v[j] += w[j];
    write(v, y, i);
  }
}

// add_batch: x [N,per] + p [per].
KERNEL(add_batch, In x, In p, Out y, i64 n, i64 per) {
  if (per % FLAT != 0 || x.bf16 || p.bf16 || !whole(n, x.bf16, y.bf16, x.p, p.p, y.p))
    batch_sums<1>(x, p, y, n, per);
  else
    batch_sums<FLAT>((const float*)x.p, (const float*)p.p, (float*)y.p, n, per);
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
