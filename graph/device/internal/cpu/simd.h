// Vectors of the instruction set that the including file was compiled for (see isa_*.c): VL float32 lanes as a
// GCC/Clang vector type, so that one source serves AVX-512, AVX2, NEON and plain C. No include guard: each isa_*.c
// includes it once.
//
// HD_DOT is 1 where the products of bfloat16 are of pairs (vdot below); elsewhere bfloat16 is widened to float32 for
// them.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels.h"

// On Windows the stack is aligned to 16 bytes only, and GCC doesn't know it: it moves vectors of 32 and 64 bytes there by
// instructions that fail on unaligned addresses (https://gcc.gnu.org/bugzilla/show_bug.cgi?id=54412). The assembler takes
// those that don't, which are as fast where the address is aligned.
#if defined(_WIN64) && defined(__GNUC__) && !defined(__clang__)
__asm__(".macro vmovaps operands:vararg\n\tvmovups \\operands\n.endm\n"
        ".macro vmovapd operands:vararg\n\tvmovupd \\operands\n.endm\n"
        ".macro vmovdqa operands:vararg\n\tvmovdqu \\operands\n.endm\n"
        ".macro vmovdqa32 operands:vararg\n\tvmovdqu32 \\operands\n.endm\n"
        ".macro vmovdqa64 operands:vararg\n\tvmovdqu64 \\operands\n.endm\n");
#endif

#ifndef HD_DOT
#define HD_DOT 0
#endif

#if defined(HD_NEON)
#define VL 4
#elif defined(HD_AVX512) || HD_DOT
#define VL 16
#else
#define VL 8 // AVX2; in plain C the compiler splits it into the target's vectors
#endif

typedef float vf __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef uint16_t vh __attribute__((vector_size(VL * 2), aligned(2), may_alias));

#define INLINE static inline __attribute__((always_inline))

// Before a loop with a constant number of rounds, 16 at most: its arrays become registers. Clang takes a number to ask
// for the loop to be kept.
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

INLINE vf ld(const float *p) { return *(const vf *)p; }
INLINE void st(float *p, vf v) { *(vf *)p = v; }

#if defined(HD_AVX512)
INLINE vf bc(float x) { return (vf)_mm512_set1_ps(x); }
INLINE vf vmaxf(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vf vroundf(vf a) { return (vf)_mm512_roundscale_ps((__m512)a, 8); }
INLINE vi vtoint(vf a) { return (vi)_mm512_cvtps_epi32((__m512)a); } // a is integral
#elif defined(HD_AVX2)
INLINE vf bc(float x) { return (vf)_mm256_set1_ps(x); }
INLINE vf vmaxf(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vf vroundf(vf a) { return (vf)_mm256_round_ps((__m256)a, 8); }
INLINE vi vtoint(vf a) { return (vi)_mm256_cvtps_epi32((__m256)a); }
#elif defined(HD_NEON)
INLINE vf bc(float x) { return (vf)vdupq_n_f32(x); }
INLINE vf vmaxf(vf a, vf b) { return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
INLINE vf vroundf(vf a) { return (vf)vrndnq_f32((float32x4_t)a); }
INLINE vi vtoint(vf a) { return (vi)vcvtq_s32_f32((float32x4_t)a); }
#else
INLINE vf bc(float x) { return x - (vf){0}; }
INLINE vf vmaxf(vf a, vf b) {
	vi m = (vi)(a > b);
	return (vf)(((vi)a & m) | ((vi)b & ~m));
}
INLINE vf vroundf(vf a) { // round to nearest even; |a| < 2^22 here
	vf magic = bc(12582912.0f);
	volatile vf t = a + magic; // volatile: the addition must round
	return t - magic;
}
INLINE vi vtoint(vf a) { return __builtin_convertvector(a, vi); }
#endif

// mask ? a : b, lanes all ones or zero
#if defined(HD_NEON)
INLINE vf vsel(vi mask, vf a, vf b) { return (vf)vbslq_f32((uint32x4_t)mask, (float32x4_t)a, (float32x4_t)b); }
#else
INLINE vf vsel(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }
#endif
INLINE vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }
INLINE float vsum(vf v) {
	float s = 0;
	for (int i = 0; i < VL; i++)
		s += v[i];
	return s;
}

#if defined(HD_NEON)
// sum + a·b, a being a lane of a vector or a number. Where the same lane is used again, GCC would make two instructions
// of that, and spill.
#if defined(__clang__)
INLINE vf vfma_lane(vf sum, vf a, const int lane, vf b) { return sum + a[lane] * b; }
INLINE vf vfma_scalar(vf sum, float a, vf b) { return sum + a * b; }
#else
#define V_FMA_LANE(lane) __asm__("fmla %0.4s, %1.4s, %2.s[" #lane "]" : "+w"(sum) : "w"(b), "w"(a))
INLINE vf vfma_lane(vf sum, vf a, const int lane, vf b) {
	switch (lane) {
	case 0:
		V_FMA_LANE(0);
		break;
	case 1:
		V_FMA_LANE(1);
		break;
	case 2:
		V_FMA_LANE(2);
		break;
	default:
		V_FMA_LANE(3);
	}
	return sum;
}
INLINE vf vfma_scalar(vf sum, float a, vf b) {
	V_FMA_LANE(0);
	return sum;
}
#endif
INLINE void vtranspose(vf columns[VL], const vf rows[VL]) {
	float32x4_t a = vzip1q_f32((float32x4_t)rows[0], (float32x4_t)rows[2]);
	float32x4_t b = vzip2q_f32((float32x4_t)rows[0], (float32x4_t)rows[2]);
	float32x4_t c = vzip1q_f32((float32x4_t)rows[1], (float32x4_t)rows[3]);
	float32x4_t d = vzip2q_f32((float32x4_t)rows[1], (float32x4_t)rows[3]);
	columns[0] = (vf)vzip1q_f32(a, c);
	columns[1] = (vf)vzip2q_f32(a, c);
	columns[2] = (vf)vzip1q_f32(b, d);
	columns[3] = (vf)vzip2q_f32(b, d);
}
#endif

// bfloat16: the upper half of a float32, rounded to nearest even; a NaN stays a NaN.
INLINE float bf16_to_f32(uint16_t h) {
	uint32_t u = (uint32_t)h << 16;
	float f;
	memcpy(&f, &u, 4);
	return f;
}
INLINE uint16_t f32_to_bf16(float f) {
	uint32_t u;
	memcpy(&u, &f, 4);
	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)((u >> 16) | 0x40);
	return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
INLINE vf ldh(const uint16_t *p) { return (vf)(__builtin_convertvector(*(const vh *)p, vi) << 16); }
INLINE vi vbf16(vf v) { // in the upper halves; the lower ones do not count
	vi u = (vi)v, nan = (vi)(v != v);
	return ((u + 0x7fff + ((u >> 16) & 1)) & ~nan) | ((u | 0x400000) & nan);
}
INLINE void sth(uint16_t *p, vf v) { *(vh *)p = __builtin_convertvector(vbf16(v) >> 16, vh); }

// Pairs of bfloat16, one in each lane, the first in the lower half.
INLINE vi bcpair(const void *p) { // p may be aligned to a bfloat16 only
	int32_t pair;
	memcpy(&pair, p, sizeof pair);
	return pair - (vi){0};
}
INLINE vi vpair(vf first, vf second) { return ((vbf16(first) >> 16) & 0xffff) | (vbf16(second) & ~0xffff); }
#if defined(HD_AVX512BF16)
INLINE vf vdot(vf sum, vi a, vi b) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
#else
// sum + a·b as the instruction vdpbf16ps has it: the products of the second halves are added, then those of the first,
// and each sum is rounded to nearest even; the products are exact. The instruction takes operands and results below
// 2^-126 for zero as well, which is far below bfloat16's resolution.
INLINE vf vdot(vf sum, vi a, vi b) {
	sum += (vf)(a & ~0xffff) * (vf)(b & ~0xffff);
	return sum + (vf)(a << 16) * (vf)(b << 16);
}
#endif

// Loads and stores by element type. The type is a constant wherever these are inlined: write the loop once as an INLINE
// function with a hd_dtype parameter and call it with HD_F32 and HD_BF16.
INLINE vf ldt(const void *p, hd_n i, hd_dtype t) {
	return t == HD_BF16 ? ldh((const uint16_t *)p + i) : ld((const float *)p + i);
}
INLINE void stt(void *p, hd_n i, vf v, hd_dtype t) {
	if (t == HD_BF16)
		sth((uint16_t *)p + i, v);
	else
		st((float *)p + i, v);
}
INLINE float ld1(const void *p, hd_n i, hd_dtype t) {
	return t == HD_BF16 ? bf16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}
INLINE void st1(void *p, hd_n i, float v, hd_dtype t) {
	if (t == HD_BF16)
		((uint16_t *)p)[i] = f32_to_bf16(v);
	else
		((float *)p)[i] = v;
}
