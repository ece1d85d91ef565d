package ref

import (
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// element is an element type.
type element interface{ float32 | float64 }

// operands are a kernel's arguments.
type operands[T element] struct {
	out     []T
	in      [][]T   // nil at an input of ids
	ids     []int32 // the input of ids, if there is one
	scratch []T
}

// kernel computes one operation for given shapes.
type kernel[T element] struct {
	scratch int // elements of scratch memory
	// check returns an error for inputs that run can't handle.
	check func(operands[T]) error
	run   func(operands[T])

	request device.Request
}

// simple is a kernel that needs no scratch memory.
func simple[T element](run func(operands[T])) *kernel[T] { return &kernel[T]{run: run} }

// compile returns nil for an operation that is not supported.
func compile[T element](r device.Request) device.Kernel {
	kinds, _ := r.Spec.Kinds(len(r.In))
	for i, o := range r.In {
		if want := r.Out.DType; kinds[i] != op.Index && o.DType != want || kinds[i] == op.Index && o.DType != device.Int32 {
			return nil
		}
	}
	k := kernelOf[T](r)
	if k == nil {
		return nil
	}
	k.request = r
	return k
}

func (k *kernel[T]) Workspace() int64  { return int64(k.scratch) * k.request.Out.DType.Size() }
func (k *kernel[T]) Algorithm() string { return "" }
func (k *kernel[T]) Close() error      { return nil }

func (k *kernel[T]) Run(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	o := operands[T]{
		out:     device.Slice[T](out, op.Size(k.request.Out.Shape)),
		in:      make([][]T, len(in)),
		scratch: device.Slice[T](workspace, k.scratch),
	}
	for i, p := range in {
		n := op.Size(k.request.In[i].Shape)
		if k.request.In[i].DType == device.Int32 {
			o.ids = device.Slice[int32](p, n)
		} else {
			o.in[i] = device.Slice[T](p, n)
		}
	}
	if k.check != nil {
		if err := k.check(o); err != nil {
			return err
		}
	}
	k.run(o)
	return nil
}

// kernelOf knows all operations; nil for others.
func kernelOf[T element](r device.Request) *kernel[T] {
	switch s := r.Spec.(type) {
	case op.Conv2D:
		return conv[T](s, r)
	case op.ConvDataGrad:
		return convDataGrad[T](s, r)
	case op.ConvWeightGrad:
		return convWeightGrad[T](s, r)
	case op.SumRows:
		return sumRows[T](r)

	case op.MaxPool2D:
		return maxPool[T](s, r)
	case op.AvgPool2D:
		return avgPool[T](s, r)

	case op.Linear:
		return linear[T](s, r)
	case op.LinearDataGrad:
		return linearDataGrad[T](s, r)
	case op.LinearWeightGrad:
		return linearWeightGrad[T](r)

	case op.GroupNormStats:
		return groupNormStats[T](s, r)
	case op.GroupNorm:
		return groupNorm[T](s, r)
	case op.GroupNormGradSums:
		return groupNormGradSums[T](s, r)
	case op.GroupNormGradInput:
		return groupNormGradInput[T](s, r)
	case op.LayerNorm:
		return layerNorm[T](s, r)
	case op.LayerNormGradInput:
		return layerNormGradInput[T](s, r)
	case op.LayerNormGradParams:
		return layerNormGradParams[T](s, r)

	case op.Attention:
		return attention[T](s, r)
	case op.AttentionGrad:
		return attentionGrad[T](s, r)

	case op.Activation:
		return activation[T](s)
	case op.ActivationGrad:
		return activationGrad[T](s)
	case op.GEGLU:
		return geglu[T](r)
	case op.GEGLUGrad:
		return gegluGrad[T](r)

	case op.Add:
		return add[T]()
	case op.Mul:
		return mul[T]()
	case op.Scale:
		return scale[T](s)
	case op.AddChannels:
		return addChannels[T](r)
	case op.SumPixels:
		return sumPixels[T](r)
	case op.AddBatch:
		return addBatch[T](r)
	case op.SumBatch:
		return sumBatch[T](r)
	case op.Cast:
		return cast[T]()

	case op.Concat:
		return concat[T](s, r)
	case op.Slice:
		return slice[T](s, r)
	case op.ZeroPad:
		return zeroPad[T](s, r)

	case op.Upsample:
		return upsample[T](s, r)
	case op.UpsampleGrad:
		return upsampleGrad[T](s, r)

	case op.Embedding:
		return embedding[T](r)
	case op.TimestepEmbedding:
		return timestepEmbedding[T](s)

	case op.PosteriorSample:
		return posteriorSample[T](r)
	case op.PosteriorSampleGrad:
		return posteriorSampleGrad[T](r)
	case op.KLDivergence:
		return klDivergence[T](r)
	case op.KLDivergenceGrad:
		return klDivergenceGrad[T](r)

	case op.MSE:
		return mse[T](s, r)
	case op.MSEGrad:
		return mseGrad[T](s, r)

	case op.Accumulate:
		return accumulate[T]()
	case op.AdamW:
		return adamW[T](s)
	case op.MovingAverage:
		return movingAverage[T]()
	case op.GlobalNorm:
		return globalNorm[T]()
	case op.ClipScale:
		return clipScale[T](s)
	}
	return nil
}

// channels is the last size of […,C].
func channels(s tensor.Shape) int { return s[len(s)-1] }

// rows is the number of rows of C elements in […,C].
func rows(s tensor.Shape) int { return op.Size(s) / channels(s) }

// pixels is the product of the sizes between N and C in [N,…,C].
func pixels(s tensor.Shape) int { return rows(s) / s[0] }

// row is the i-th stretch of n elements.
func row[T any](x []T, i, n int) []T { return x[i*n : (i+1)*n] }
