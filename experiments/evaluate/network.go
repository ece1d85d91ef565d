package evaluate

import (
	"context"
	"errors"
	"fmt"

	"github.com/histdist/histdist/data/imagefile"
)

// Extractor turns pictures into the features of a network, one row a picture.
type Extractor interface {
	// Extract takes pictures of one size.
	Extract(ctx context.Context, images []*imagefile.Image) ([][]float32, error)
	// Fingerprint names the network, its weights and its preprocessing: other features have another one.
	Fingerprint() string
	Close() error
}

// Kind is a network that metrics need.
type Kind string

// The networks.
const (
	FIDInception Kind = "inception-fid" // Inception v3 as pytorch-fid has it
	Inception    Kind = "inception"     // Inception v3 of torchvision
	ResNet50     Kind = "resnet50"      // of torchvision
	GigaPath     Kind = "gigapath"      // Prov-GigaPath's tile encoder
	Phikon       Kind = "phikon"        // Owkin's ViT-B/16
)

// kinds are all networks, with the metrics that are made of each.
var kinds = []struct {
	kind    Kind
	metrics []string
}{
	{FIDInception, []string{"FID"}},
	{Inception, []string{"KID", "KID, all pictures"}},
	{ResNet50, []string{"PHV (paper), layer 1", "PHV (paper), layer 2", "PHV (paper), layer 3", "PHV (paper), layer 4"}},
	{GigaPath, []string{"MRA top-1 (GigaPath)", "MRA top-3 (GigaPath)"}},
	{Phikon, []string{"retrieval top-1 (Phikon)", "retrieval top-3 (Phikon)"}},
}

// Network is a network that an evaluation may use.
type Network struct {
	Kind Kind
	// Open reads the weights. It is called once, when features are needed or their fingerprint is; nil where there are no weights.
	Open func() (Extractor, error)
	// Absent says why there are no weights, and where they come from.
	Absent string
	// Layers are the numbers of features of each layer, for ResNet50.
	Layers []int
}

// extraction is a network's features of sets of pictures: in the cache, by the pictures' hashes.
type extraction struct {
	kind        Kind
	fingerprint string
	cache       *Cache
	used        NetworkUsed
}

func (x *extraction) key(hash string) key {
	return keyOf("features", string(x.kind), x.fingerprint, hash)
}

// row reads the features of a picture.
func (x *extraction) row(hash string) ([]float32, error) {
	row, ok, err := x.cache.features(x.key(hash))
	if err == nil && !ok {
		err = fmt.Errorf("%s: no features of the picture with the hash %s", x.kind, hash)
	}
	return row, err
}

// rows reads the features of several pictures.
func (x *extraction) rows(hashes []string) ([][]float32, error) {
	rows := make([][]float32, len(hashes))
	for i, h := range hashes {
		var err error
		if rows[i], err = x.row(h); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// wanted is a picture whose features are needed.
type wanted struct{ path, hash string }

// extract computes the features that the cache doesn't have, batch pictures at a time, while the next ones are decoded.
func extract(ctx context.Context, n Network, pictures []wanted, cache *Cache, batch int, progress func(done int)) (_ *extraction, err error) {
	network, err := n.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	x := &extraction{kind: n.Kind, fingerprint: network.Fingerprint(), cache: cache}
	x.used = NetworkUsed{Name: string(n.Kind), Fingerprint: x.fingerprint}
	seen := map[string]bool{}
	var missing []wanted
	for _, p := range pictures {
		if seen[p.hash] {
			continue
		}
		seen[p.hash] = true
		if cache.has(x.key(p.hash)) {
			x.used.Cached++
		} else {
			missing = append(missing, p)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	images := decodeAhead(ctx, missing)
	defer func() {
		stop()
		for range images { // the decoder ends
		}
	}()
	var group []decoded
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		list := make([]*imagefile.Image, len(group))
		for i, d := range group {
			list[i] = d.image
		}
		rows, err := network.Extract(ctx, list)
		if err != nil {
			return err
		}
		for i, d := range group {
			if err := cache.putFeatures(x.key(d.hash), rows[i]); err != nil {
				return err
			}
		}
		x.used.Computed += len(group)
		progress(x.used.Computed + x.used.Cached)
		group = group[:0]
		return nil
	}
	for d := range images {
		if d.err != nil {
			return nil, d.err
		}
		if len(group) > 0 && (group[0].image.Width != d.image.Width || group[0].image.Height != d.image.Height) {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		if group = append(group, d); len(group) == batch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return x, flush()
}

type decoded struct {
	wanted
	image *imagefile.Image
	err   error
}

// decodeAhead decodes pictures in order: two wait while the ones before them go through the network.
func decodeAhead(ctx context.Context, pictures []wanted) <-chan decoded {
	images := make(chan decoded, 2)
	go func() {
		defer close(images)
		for _, p := range pictures {
			d := decoded{wanted: p}
			// The measures of this run are of these bytes, and so must the features be.
			file, err := open(p.path)
			if err == nil && file.hash != p.hash {
				err = fmt.Errorf("%s: the file has changed during the evaluation", p.path)
			}
			if d.err = err; err == nil {
				d.image, d.err = file.decode()
			}
			select {
			case images <- d:
			case <-ctx.Done():
				return
			}
		}
	}()
	return images
}
