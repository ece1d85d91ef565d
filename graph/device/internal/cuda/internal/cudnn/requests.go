//go:build gpu

package cudnn

// #include "dnn.h"
import "C"

// The tensors of plans: their indices in Call.Run. A convolution has X, W, Y, Bias and Residual, an attention the
// others; see dnn.h.
const (
	X        = C.HD_DNN_X
	W        = C.HD_DNN_W
	Y        = C.HD_DNN_Y
	Bias     = C.HD_DNN_BIAS
	Residual = C.HD_DNN_RESIDUAL

	Q     = C.HD_DNN_Q
	K     = C.HD_DNN_K
	V     = C.HD_DNN_V
	O     = C.HD_DNN_O
	Stats = C.HD_DNN_STATS
	DY    = C.HD_DNN_DY
	DQ    = C.HD_DNN_DQ
	DK    = C.HD_DNN_DK
	DV    = C.HD_DNN_DV
	Sums  = C.HD_DNN_SUMS
	Scale = C.HD_DNN_SCALE
	One   = C.HD_DNN_ONE

	// Tensors is the most that a plan has.
	Tensors = C.HD_DNN_TENSORS
)

// Activation follows a convolution.
type Activation int

// The activations that cuDNN has as we define them. Its GELU would do too, but no network has one there.
const (
	Identity Activation = C.DNN_POINTWISE_IDENTITY
	Swish    Activation = C.DNN_POINTWISE_SWISH_FWD
	ReLU     Activation = C.DNN_POINTWISE_RELU_FWD
)

const (
	// AttentionMatrix is the most that the plan of an attention's gradients may take for its matrix of the scores'
	// gradients, in bytes. Without the matrix the order of sums wouldn't be fixed.
	AttentionMatrix = 512 << 20
	// attentionWorkspace is the most that a plan of attention may take, in bytes.
	attentionWorkspace = AttentionMatrix + 64<<20
	// convolutionWorkspace is the same for one convolution.
	convolutionWorkspace = 256 << 20
)

// Convolution is a convolution of images X [N,H,W,C] with the weight W [K,KH,KW,C] to Y [N,OH,OW,K], or with Gradient
// the product of Y and W that is X's gradient. Sums are float32, and so are bias and residual.
type Convolution struct {
	Gradient                         bool
	N, H, W, C, OH, OW, K, KH, KW    int
	Stride, Top, Left, Bottom, Right int
	FactorsBF16, ResultBF16          bool // element types of the factors and of the result; else float32
	Bias, Residual                   bool // are added
	Act                              Activation
	Exact                            bool // products of float32 are float32's: no tensor cores
}

func (c Convolution) plan(l *Library, to *C.hd_dnn_plan, text *message) bool {
	i := func(v int) C.int32_t { return C.int32_t(v) }
	kind := C.int32_t(C.HD_DNN_FORWARD)
	if c.Gradient {
		kind = C.HD_DNN_DATA_GRAD
	}
	r := C.hd_dnn_convolution{
		kind: kind, n: i(c.N), h: i(c.H), w: i(c.W), c: i(c.C), oh: i(c.OH), ow: i(c.OW), k: i(c.K), kh: i(c.KH), kw: i(c.KW),
		stride: i(c.Stride), top: i(c.Top), left: i(c.Left), bottom: i(c.Bottom), right: i(c.Right),
		io: dataType(c.FactorsBF16), out: dataType(c.ResultBF16),
		bias: flag(c.Bias), residual: flag(c.Residual), act: i(int(c.Act)), exact: flag(c.Exact),
	}
	return C.hd_dnn_make(l.handle, l.context(), &r, convolutionWorkspace, to, &text[0], C.size_t(len(text))) != 0
}

// Attention is softmax(q·kᵀ·Scale)·v of bfloat16, with its statistics, or with Gradient the gradients of q, k and v.
type Attention struct {
	Gradient                         bool
	Samples, Heads, Queries, Keys, D int
	Stats                            bool // are written, unless Gradient
	Scale                            float32
}

func (a Attention) plan(l *Library, to *C.hd_dnn_plan, text *message) bool {
	i := func(v int) C.int32_t { return C.int32_t(v) }
	r := C.hd_dnn_attention{
		grad: flag(a.Gradient), n: i(a.Samples), heads: i(a.Heads), queries: i(a.Queries), keys: i(a.Keys), d: i(a.D),
		stats: flag(a.Stats), scale: C.float(a.Scale),
	}
	return C.hd_dnn_attend(l.handle, l.context(), &r, attentionWorkspace, to, &text[0], C.size_t(len(text))) != 0
}

// dataType is cuDNN's number of an element type.
func dataType(bf16 bool) C.int32_t {
	if bf16 {
		return C.DNN_DATA_BFLOAT16
	}
	return C.DNN_DATA_FLOAT
}

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}
