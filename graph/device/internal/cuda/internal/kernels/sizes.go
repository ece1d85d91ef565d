package kernels

// Sizes that the sources fix and that a launch has to agree with.
const (
	Threads          = 256 // of a block of EACH, and THREADS of matmul.cu
	Row              = 128 // ROW of device.cuh: threads that share a row
	Warps            = 4   // WARPS of layer_norm.cu: rows of a block of Row threads
	Lanes            = 32  // LANES of parts.cuh
	ChannelsOfBlock  = 32  // COLUMNS of parts.cuh, 4 channels each
	ElementsOfThread = 8   // FLAT of vectors.cuh
	Tile             = 64  // TILE of matmul.cu
	Edge             = 32  // EDGE of convolution.cu
	AttentionThreads = 128 // ATTENTION_THREADS of attention.cuh
	AttentionRows    = 64  // queries of a block: 16 for each of ATTENTION_WARPS
	ImplicitDepth    = 32  // DEPTH_ of implicit.cu: terms of a sum in one step
)

// Pitch is PITCH of mma.cuh: the distance in elements of rows of d elements in shared memory.
func Pitch(d int) int { return (d/8 | 1) * 8 }

// ListSize is the capacity of a List of lists.cuh.
type ListSize struct {
	Addresses int // P: of each tensor
	Most      int // MOST: tensors
}

// The lists of reduce.cu and optimizer.cu.
var (
	Squared     = ListSize{1, 160}
	Accumulated = ListSize{2, 120}
	Updated     = ListSize{4, 80}
)

// AttentionSize is a width of heads that attention.cu and attention_grad.cu have kernels for.
type AttentionSize struct {
	D    int  // the widest head
	Keys int  // of a tile
	Wide bool // there is a forward kernel for blocks of 2·AttentionRows queries
	Held bool // the kernel of the keys' gradients holds its rows in registers
}

// AttentionSizes are in the order of their widths.
var AttentionSizes = [...]AttentionSize{
	{D: 40, Keys: 64, Wide: true, Held: true},
	{D: 64, Keys: 64, Wide: true, Held: true},
	{D: 80, Keys: 64, Wide: true, Held: true},
	{D: 160, Keys: 32},
}

// Tiles is the shared memory of two stages of two tiles, in bytes.
func (s AttentionSize) Tiles() int { return 2 * 2 * s.Keys * Pitch(s.D) * 2 }

// ImplicitTile is a Shape of implicit.cu.
type ImplicitTile struct {
	Kernel  string
	Size    int // of the tile's sides
	Threads int
	Stages  int
}

// The two shapes.
var (
	ImplicitLarge = ImplicitTile{"implicit_large", 128, 256, 3}
	ImplicitSmall = ImplicitTile{"implicit_small", 64, 128, 4}
)

// Shared is the shared memory of the stages, in bytes.
func (t ImplicitTile) Shared() int {
	return 2 * t.Stages * (t.Size*Pitch(ImplicitDepth) + ImplicitDepth*Pitch(t.Size))
}
