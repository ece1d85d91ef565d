// The choice of a convolution's algorithm.
#include "kernels.h"

// What one thread does with AVX2 at about 3.5 GHz, fitted to all 3×3 layers of Stable Diffusion's U-Net and VAE: nearly
// always within a tenth of the fastest. Only the ratios count, which differ less between machines.
#define FLOPS 85e9          // of a product
#define BF16_FLOPS 1.6      // times that for native products of bfloat16: not measured, the instruction's 2 less a loss
#define BANDWIDTH 14e9      // bytes from memory; grows with the root of the number of threads
#define GATHER 0.15e-9      // seconds to copy one value of an image for the direct product
#define PANEL 16.0          // columns of a panel

static double round_up(double n, double to) {
	double whole = (double)(hd_n)(n / to);
	return (whole * to < n ? whole + 1 : whole) * to;
}

// Estimated seconds.
static double conv_seconds(const hd_conv *v, hd_conv_pass pass, hd_conv_algorithm algorithm, int threads,
                           int native_bf16) {
	double oh = (v->h + v->top + v->bottom - v->kh) / v->stride + 1,
		ow = (v->w + v->left + v->right - v->kw) / v->stride + 1;
	double c = v->c, o = v->o, taps = (double)v->kh * v->kw, pixels = v->n * oh * ow, root = 1;
	while (root * root < threads)
		root += 0.25;
	double work = 0, bytes = 4 * taps * c * o; // seconds of one thread; bytes of weights or their gradient
	double flops = native_bf16 && v->type == HD_BF16 ? BF16_FLOPS * FLOPS : FLOPS; // Winograd's are float32's
	if (pass == HD_CONV_DATA_GRAD) {
		double t = c;
		c = o;
		o = t;
	}
	switch (algorithm) {
	case HD_CONV_TAPS:
		work = 2 * 1.125 * v->n * (double)v->h * v->w * c * round_up(taps * o, PANEL) / flops + pixels * taps * 0.5e-9;
		break;
	case HD_CONV_F2:
	case HD_CONV_F4: {
		int r = algorithm == HD_CONV_F4 ? 4 : 2;
		double places = (r + 2) * (r + 2);
		double h = pass == HD_CONV_DATA_GRAD ? v->h : oh, w = pass == HD_CONV_DATA_GRAD ? v->w : ow;
		double tiles = v->n * round_up(h, r) / r * round_up(w, r) / r;
		work = 2 * places * tiles * c * round_up(o, PANEL) / FLOPS;
		if (pass == HD_CONV_WEIGHT_GRAD) {
			work += places * tiles * (c + o) * 3e-9 + places * c * o * (r == 4 ? 0.9e-9 : 1.2e-9);
			break;
		}
		work += places * tiles * (c + o) * (r == 4 ? 1.2e-9 : 0.6e-9);
		work += c * o * (r == 4 ? 5e-9 : 4e-9); // transforming the filters
		break;
	}
	default:
		work = 2 * pixels * taps * c * round_up(o, PANEL) / flops + pixels * taps * c * GATHER;
	}
	return work / threads + bytes / (BANDWIDTH * root);
}

hd_conv_algorithm hd_conv_choose(const hd_conv *v, hd_conv_pass pass, int threads, int native_bf16) {
	int resized = v->sh != v->h || v->sw != v->w;
	int winograd = v->kh == 3 && v->kw == 3 && v->stride == 1;
	hd_conv_algorithm best = HD_CONV_DIRECT;
	double least = conv_seconds(v, pass, best, threads, native_bf16);
	for (hd_conv_algorithm a = HD_CONV_TAPS; a <= HD_CONV_F4; a++) {
		if (a == HD_CONV_TAPS ? pass != HD_CONV_FORWARD || v->stride != 1 || resized || v->kh * v->kw == 1 : !winograd)
			continue;
		double t = conv_seconds(v, pass, a, threads, native_bf16);
		if (t < least) {
			least = t;
			best = a;
		}
	}
	return best;
}
