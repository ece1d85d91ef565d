package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// ResnetConfig is the shape of a residual block.
type ResnetConfig struct {
	Out  int // channels
	Norm NormConfig
}

// Resnet is diffusers' ResnetBlock2D: x [N,H,W,C] → [N,H,W,Out]. temb [N,T], the time embedding, may be nil.
//
//	norm1 → SiLU → conv1 → + time_emb_proj(SiLU(temb)) → norm2 → SiLU → conv2 → + x, through conv_shortcut if C ≠ Out
func Resnet(s *op.Scope, x, temb *gorgonia.Node, c ResnetConfig) *gorgonia.Node {
	h := GroupNormSiLU(s.Sub("norm1"), x, c.Norm)
	h = Conv3x3(s.Sub("conv1"), h, c.Out)
	if temb != nil {
		t := Linear(s.Sub("time_emb_proj"), op.SiLU.Apply(s, temb), LinearConfig{Out: c.Out})
		h = op.AddChannels{}.Apply(s, h, t)
	}
	h = GroupNormSiLU(s.Sub("norm2"), h, c.Norm)
	shortcut := x
	if channels(x) != c.Out {
		shortcut = Conv1x1(s.Sub("conv_shortcut"), x, c.Out)
	}
	return Conv(s.Sub("conv2"), h, ConvConfig{Out: c.Out, Kernel: 3, Pad: op.Pad(1), Residual: shortcut})
}
