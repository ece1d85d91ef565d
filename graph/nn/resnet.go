package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// ResnetConfig holds what the resnet blocks of one network have in common.
type ResnetConfig struct {
	Groups int     // norm_num_groups, 32
	Eps    float64 // 1e-5 in the U-Net, 1e-6 in the VAE
}

// Resnet is diffusers' ResnetBlock2D: x [N,H,W,C] → [N,H,W,out]. temb [N,T], the time embedding, may be nil.
//
//	norm1 → SiLU → conv1 → + time_emb_proj(SiLU(temb)) → norm2 → SiLU → conv2 → + x, through conv_shortcut if C ≠ out
func Resnet(s *op.Scope, x, temb *gorgonia.Node, out int, c ResnetConfig) *gorgonia.Node {
	h := GroupNorm(s.Sub("norm1"), x, c.Groups, c.Eps, true)
	h = Conv(s.Sub("conv1"), h, out, 3, 1, 1, nil)
	if temb != nil {
		t := Linear(s.Sub("time_emb_proj"), op.Activate(s, temb, op.SiLUAct), out, true, nil)
		h = op.SumChannels(s, h, t)
	}
	h = GroupNorm(s.Sub("norm2"), h, c.Groups, c.Eps, true)
	shortcut := x
	if channels(x) != out {
		shortcut = Conv(s.Sub("conv_shortcut"), x, out, 1, 1, 0, nil)
	}
	return Conv(s.Sub("conv2"), h, out, 3, 1, 1, shortcut)
}
