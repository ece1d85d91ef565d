package features

import (
	"fmt"
	"path/filepath"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/inception"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/resnet"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/weights"
)

// Kind is a network with its weights and its way of preparing images.
type Kind string

// The kinds.
const (
	// FIDInception is pytorch_fid's Inception v3: 2048 features of images resized to 299 pixels. FID.
	FIDInception Kind = "fid-inception"
	// Inception is torchvision's Inception v3: 2048 features of images resized to 299 pixels. KID in the official
	// evaluation.
	Inception Kind = "inception"
	// ResNet50 is torchvision's ResNet-50: 3840 channel means of its four layers, of images of their own size. PHV.
	ResNet50 Kind = "resnet50"
	// GigaPath is the tile encoder of Prov-GigaPath: 1536 features of the middle of images. Retrieval in the official
	// evaluation. Its weights are available on request.
	GigaPath Kind = "gigapath"
	// Phikon is owkin/phikon, a free substitute for GigaPath: 768 features, the class token. Its retrieval is not
	// comparable with GigaPath's and must be called retrieval by Phikon.
	Phikon Kind = "phikon"
)

// Kinds lists them all.
func Kinds() []Kind { return []Kind{FIDInception, Inception, ResNet50, GigaPath, Phikon} }

// network is a graph from pixels to rows.
type network struct {
	scope *op.Scope
	folds *nn.Folds
	in    *gorgonia.Node // [N,H,W,3]
	out   *gorgonia.Node // [N,Dim]
}

// prepared are the pixels of an image, float32 [height,width,3].
type prepared struct {
	pixels        []float32
	height, width int
}

// recipe is what a kind needs to become an extractor.
type recipe struct {
	title   string
	files   files
	layers  []int // widths of the parts of a row
	mapping weights.Mapping
	build   func(batch, height, width int) (network, error)
	prepare func(image *imagefile.Image) (prepared, error)
	side    int // of the prepared pixels if the same for all images, otherwise 0
	// settle, which may be nil, reads further files next to the weights, before build and prepare are used.
	settle func(r *recipe, weightsPath string) error
}

// recipe returns the recipe of a kind.
func (k Kind) recipe() (*recipe, error) {
	switch k {
	case FIDInception:
		r := inceptionRecipe(inception.FID)
		r.title = "pytorch-fid's Inception v3"
		r.files = files{
			names: []string{"pt_inception-2015-12-05-6726825d.pth"},
			page:  "https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights",
		}
		return r, nil
	case Inception:
		r := inceptionRecipe(inception.TorchVision)
		r.title = "torchvision's Inception v3"
		r.files = files{
			names: []string{"inception_v3_google-0cc3c7bd.pth", "inception_v3_google-1a9a5a14.pth"},
			page:  "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.inception_v3.html",
		}
		return r, nil
	case ResNet50:
		return resnetRecipe(), nil
	case GigaPath:
		return gigapathRecipe(vit.GigaPath()), nil
	case Phikon:
		return phikonRecipe(), nil
	}
	return nil, fmt.Errorf("network %q: want one of %v", k, Kinds())
}

func inceptionRecipe(v inception.Variant) *recipe {
	return &recipe{
		layers: []int{inception.Features}, mapping: inception.Mapping(), side: inception.Side,
		build: func(batch, _, _ int) (network, error) {
			n, err := inception.Build(v, batch)
			if err != nil {
				return network{}, err
			}
			return network{n.Scope, n.Folds, n.Pixels, n.Pool3}, nil
		},
		prepare: func(i *imagefile.Image) (prepared, error) {
			pixels, err := inception.Preprocess(i.Pix, i.Width, i.Height)
			return prepared{pixels, inception.Side, inception.Side}, err
		},
	}
}

func resnetRecipe() *recipe {
	channels := resnet.Channels()
	return &recipe{
		title: "torchvision's ResNet-50",
		files: files{
			// The weights IMAGENET1K_V1 of pretrained=True; those of V2, 11ad3fa6, give other values.
			names: []string{"resnet50-0676ba61.pth", "resnet50-19c8e357.pth"},
			page:  "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.resnet50.html",
		},
		layers: channels[:], mapping: resnet.Mapping(),
		build: func(batch, height, width int) (network, error) {
			n, err := resnet.Build(batch, height, width)
			if err != nil {
				return network{}, err
			}
			return network{n.Scope, n.Folds, n.Pixels, n.Means}, nil
		},
		prepare: func(i *imagefile.Image) (prepared, error) {
			return prepared{resnet.PreprocessPHV(i.Pix), i.Height, i.Width}, nil
		},
	}
}

func gigapathRecipe(c vit.TimmConfig) *recipe {
	return &recipe{
		title: "the tile encoder of Prov-GigaPath",
		files: files{
			names: []string{"model.safetensors", "pytorch_model.bin"},
			page:  "https://huggingface.co/prov-gigapath/prov-gigapath (access on request)", hub: "prov-gigapath/prov-gigapath",
		},
		layers: []int{c.EmbedDim}, mapping: vit.TimmMapping(), side: c.ImageSize,
		build: func(batch, _, _ int) (network, error) {
			n, err := vit.BuildTimm(c, batch)
			if err != nil {
				return network{}, err
			}
			return network{n.Scope, n.Folds, n.Pixels, n.Class}, nil
		},
		prepare: func(i *imagefile.Image) (prepared, error) {
			pixels, err := vit.PreprocessTile(i.Pix, i.Width, i.Height)
			return prepared{pixels, c.ImageSize, c.ImageSize}, err
		},
	}
}

func phikonRecipe() *recipe {
	return &recipe{
		title: "Phikon",
		files: files{
			names: []string{"model.safetensors", "pytorch_model.bin"},
			page:  "https://huggingface.co/owkin/phikon", hub: "owkin/phikon",
		},
		mapping: weights.Mapping{Rename: vit.Rename, Ignore: vit.Ignore},
		settle: func(r *recipe, path string) error {
			folder := filepath.Dir(path)
			c, err := vit.ReadConfig(filepath.Join(folder, "config.json"))
			if err != nil {
				return err
			}
			p, err := vit.ReadPreprocessor(filepath.Join(folder, "preprocessor_config.json"))
			if err != nil {
				return err
			}
			if p.Height != c.ImageSize || p.Width != c.ImageSize {
				return fmt.Errorf("%s: preprocessor_config.json makes %d×%d pixels, config.json wants %d×%d",
					folder, p.Width, p.Height, c.ImageSize, c.ImageSize)
			}
			r.layers, r.side = []int{c.HiddenSize}, c.ImageSize
			r.build = func(batch, _, _ int) (network, error) {
				n, err := vit.Build(c, batch)
				if err != nil {
					return network{}, err
				}
				class := op.Slice{Axis: 1, Offset: 0, Length: 1}.Apply(n.Scope, n.LastHiddenState)
				class = op.View{batch, c.HiddenSize}.Apply(n.Scope, class)
				return network{n.Scope, &nn.Folds{}, n.Pixels, class}, n.Scope.Err()
			}
			r.prepare = func(i *imagefile.Image) (prepared, error) {
				pixels, err := p.Preprocess(i.Pix, i.Width, i.Height)
				return prepared{pixels, p.Height, p.Width}, err
			}
			return nil
		},
	}
}
