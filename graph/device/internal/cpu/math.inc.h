// Vector exp, sqrt, erf and the activations built on them, to about 1e-7: goldens contain their values. Overflow gives
// an infinity, underflow zero: subnormal numbers mean nothing here and cost some CPUs a hundred cycles each.

#if defined(HD_AVX512)
INLINE vf vsqrtf(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
#elif defined(HD_AVX2)
INLINE vf vsqrtf(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
#elif defined(HD_NEON)
INLINE vf vsqrtf(vf a) { return (vf)vsqrtq_f32((float32x4_t)a); }
#else
INLINE vf vsqrtf(vf a) {
	for (int i = 0; i < VL; i++)
		a[i] = sqrtf(a[i]);
	return a;
}
#endif

// e^x to 1 ulp, 0 below 2^-125.5: x = n·ln 2 + f, e^f = 1 + f + f²·(polynomial of Cephes' expf), times 2^n.
INLINE vf vexp(vf x) {
	vf lo = bc(-87.33f), hi = bc(89.0f); // n of -126 and 128
	x = vsel((vi)(x < lo), lo, x);       // comparisons leave a NaN as it is
	x = vsel((vi)(x > hi), hi, x);
	vf n = vroundf(x * 1.44269504088896341f);
	vf f = x - n * 0.693359375f; // exact
	f = f + n * 2.12194440e-4f;
	vf p = f * 1.9875691500e-4f + 1.3981999507e-3f;
	p = p * f + 8.3334519073e-3f;
	p = p * f + 4.1665795894e-2f;
	p = p * f + 1.6666665459e-1f;
	p = p * f + 5.0000001201e-1f;
	p = p * (f * f) + f + 1.0f;
	return (p + p) * (vf)((vtoint(n) + 126) << 23); // 2^(n-1): 2^128 is not a float, and n of -126 gives zero
}

// The standard normal distribution's tail beyond |x|, given e = exp(-x²/2), to 5e-9 before rounding. exp(x²/2) times
// the tail is a polynomial in t = 1/(1 + 0.4 |x|) as in Abramowitz and Stegun 7.1.26, with three more terms (weighted
// minimax fit on [0, 14.5]).
INLINE vf vnormal_tail(vf x, vf e) {
	vf t = 1.0f / (1.0f + 0.4f * vabs(x));
	vf p = -0.0315164179f * t + 0.161227137f;
	p = p * t - 0.293054849f;
	p = p * t + 0.161090136f;
	p = p * t + 0.0465032011f;
	p = p * t + 0.135685459f;
	p = p * t + 0.160640121f;
	p = p * t + 0.159425229f;
	return p * t * e;
}

// P(X < x) of a standard normal X, given e = exp(-x²/2). Near 0 the tail is 1/2 with the rounding errors of a dozen
// operations, so there it is 1/2 + x·(polynomial in x², minimax to 1.3e-9).
INLINE vf vnormal_cdf(vf x, vf e) {
	vf u = x * x;
	vf p = -6.82731479e-06f * u + 1.11010522e-4f;
	p = p * u - 1.18363020e-3f;
	p = p * u + 9.97203682e-3f;
	p = p * u - 6.64901137e-2f;
	p = p * u + 3.98942262e-1f;
	vf q = vnormal_tail(x, e);
	q = vsel((vi)(x > 0.0f), 1.0f - q, q);
	return vsel((vi)(vabs(x) < 1.2f), 0.5f + x * p, q);
}

INLINE vf vact(vf x, hd_act act) {
	switch (act) {
	case HD_ACT_SILU:
		return x / (1.0f + vexp(-x));
	case HD_ACT_GELU:
		return x * vnormal_cdf(x, vexp(-0.5f * x * x));
	case HD_ACT_QUICK_GELU:
		return x / (1.0f + vexp(-1.702f * x));
	case HD_ACT_RELU:
		return vmaxf(bc(0), x); // in this order a NaN stays a NaN
	default:
		return x;
	}
}

// d/dx x·sigmoid(k·x). 1 - sigmoid(z) is e^-z·sigmoid(z), without cancellation.
INLINE vf vswish_grad(vf x, float k) {
	vf z = vmaxf(bc(-87.0f), x * k); // e^-z stays finite; in this order a NaN stays a NaN
	vf e = vexp(-z), s = 1.0f / (1.0f + e);
	return s * (1.0f + z * (e * s));
}

// The derivative of vact.
INLINE vf vact_grad(vf x, hd_act act) {
	switch (act) {
	case HD_ACT_SILU:
		return vswish_grad(x, 1.0f);
	case HD_ACT_GELU: {
		vf e = vexp(-0.5f * x * x);
		return vnormal_cdf(x, e) + x * (e * 0.39894228040143268f);
	}
	case HD_ACT_QUICK_GELU:
		return vswish_grad(x, 1.702f);
	case HD_ACT_RELU:
		return vsel((vi)(x <= 0.0f), bc(0), bc(1.0f)); // 0 at 0, as in PyTorch
	default:
		return bc(1.0f);
	}
}
