package evaluate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/experiments/metrics/features"
)

// Extractor computes a network's features of images, one row an image: features.Extractor, or a substitute in tests.
// Several goroutines may use it.
type Extractor interface {
	Extract(ctx context.Context, images []*imagefile.Image) ([][]float32, error)
	// Fingerprint identifies the network, its weights and its preprocessing.
	Fingerprint() string
	// Layers are the widths of the parts of a row.
	Layers() []int
	Close() error
}

// uses are the networks with their metrics, in the order of the results.
var uses = []struct {
	kind    features.Kind
	metrics []string
}{
	{features.FIDInception, []string{"FID"}},
	{features.Inception, []string{"KID", "KID (all images)"}},
	{features.ResNet50, []string{
		"PHV (paper), layer 1", "PHV (paper), layer 2", "PHV (paper), layer 3", "PHV (paper), layer 4",
	}},
	{features.GigaPath, []string{"MRA top-1 (GigaPath)", "MRA top-3 (GigaPath)"}},
	{features.Phikon, []string{"retrieval top-1 (Phikon)", "retrieval top-3 (Phikon)"}},
}

// Network is a network that an evaluation may use.
type Network struct {
	Kind features.Kind
	// Open reads the weights, once. With an error that wraps features.ErrNoWeights the metrics are listed as not computed.
	Open func() (Extractor, error)
}

// Networks are all networks with their published weights. paths are files or folders of some, which must exist. The
// others are searched for in folder, which may be "", in its sub-folders named after the kinds, and where PyTorch and
// Hugging Face keep downloads.
func Networks(paths map[features.Kind]string, folder string, o features.Options) []Network {
	var list []Network
	for _, kind := range features.Kinds() {
		list = append(list, Network{kind, func() (Extractor, error) {
			e, err := openWeights(kind, paths[kind], folder, o)
			if err != nil {
				return nil, err // no Extractor that is a nil pointer
			}
			return e, nil
		}})
	}
	return list
}

func openWeights(kind features.Kind, path, folder string, o features.Options) (*features.Extractor, error) {
	if path != "" {
		e, err := features.Open(kind, path, o)
		if errors.Is(err, features.ErrNoWeights) { // that they are not where they were said to be is a failure
			return nil, errors.New(err.Error())
		}
		return e, err
	}
	if folder != "" {
		places := []string{filepath.Join(folder, string(kind))}
		if kind != features.GigaPath && kind != features.Phikon { // whose files have one name
			places = append(places, folder)
		}
		for _, place := range places {
			if e, err := features.Open(kind, place, o); !errors.Is(err, features.ErrNoWeights) {
				return e, err
			}
		}
	}
	e, err := features.Open(kind, "", o)
	if err != nil && folder != "" && errors.Is(err, features.ErrNoWeights) {
		err = fmt.Errorf("%w; nor are they in %s", err, folder)
	}
	return e, err
}

// extraction are a network's features of sets of images, in the cache by the images' hashes.
type extraction struct {
	program     string
	kind        features.Kind
	read        imagefile.Options
	layers      []int
	fingerprint string
	cache       records
	failed      map[wanted]error // images without features
}

func (x *extraction) key(hash string) key {
	model := fmt.Sprintf("%s %s icc=%s", x.kind, x.fingerprint, x.read.ICC)
	return origin.Origin{Program: x.program, Model: model, Sources: map[string]string{"picture": hash}}.Key()
}

// has reports whether there are features of an image.
func (x *extraction) has(hash string) bool { return x.cache.has(x.key(hash)) }

// row reads the features of an image.
func (x *extraction) row(hash string) ([]float32, error) {
	row, ok, err := read[float32](x.cache, x.key(hash))
	if err == nil && !ok {
		err = fmt.Errorf("%s: no features of the image with the hash %s", x.kind, hash)
	}
	return row, err
}

// rows reads the features of several images.
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

// wanted is an image whose features are needed.
type wanted struct{ path, hash string }

// extract computes the features that the cache lacks, in batches, while the next images are decoded. The last bits of
// an image's features may depend on its batch: no batch has images of two groups, so that whoever computes a group
// gets the same.
func extract(
	ctx context.Context, n Network, program string, read imagefile.Options, groups [][]wanted, cache records, batch int,
	progress func(done int) error,
) (_ *extraction, err error) {
	network, err := n.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	x := &extraction{
		program: program, kind: n.Kind, read: read, layers: network.Layers(), fingerprint: network.Fingerprint(),
		cache:  cache,
		failed: map[wanted]error{},
	}
	done := map[string]bool{} // by hash
	var missing []grouped
	for g, images := range groups {
		seen := map[string]bool{}
		for _, p := range images {
			if seen[p.hash] {
				continue
			}
			seen[p.hash] = true
			if cache.has(x.key(p.hash)) {
				done[p.hash] = true
			} else {
				missing = append(missing, grouped{p, g})
			}
		}
	}
	ctx, stop := context.WithCancel(ctx)
	ahead := decodeAhead(ctx, missing, read)
	defer func() {
		stop()
		for range ahead { // the decoder ends
		}
	}()
	var group []decoded
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		rows, err := rowsOf(ctx, network, group, x.failed)
		if err != nil {
			return err
		}
		for i, d := range group {
			if rows[i] == nil {
				continue
			}
			if err := write(cache, x.key(d.hash), rows[i]); err != nil {
				return err
			}
			done[d.hash] = true
		}
		group = group[:0]
		return progress(len(done) + len(x.failed))
	}
	for d := range ahead {
		if d.err != nil {
			x.failed[d.wanted] = d.err
			continue
		}
		if len(group) > 0 && !group[0].together(d) {
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
	if err := flush(); err != nil {
		return nil, err
	}
	for _, p := range missing { // if all images fail, the network does
		if err := x.failed[p.wanted]; err != nil && len(done) == 0 {
			return nil, err
		}
	}
	return x, nil
}

// rowsOf are the features of images. If the network fails it runs again image by image, so that one bad image doesn't
// fail the others: its row is nil and its error in failed.
func rowsOf(ctx context.Context, network Extractor, group []decoded, failed map[wanted]error) ([][]float32, error) {
	images := make([]*imagefile.Image, len(group))
	for i, d := range group {
		images[i] = d.image
	}
	rows, err := network.Extract(ctx, images)
	if err == nil || ctx.Err() != nil {
		return rows, err
	}
	rows = make([][]float32, len(group))
	for i, d := range group {
		row, err := network.Extract(ctx, images[i:i+1])
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			failed[d.wanted] = err
		default:
			rows[i] = row[0]
		}
	}
	return rows, nil
}

// grouped is an image and the number of its group.
type grouped struct {
	wanted
	group int
}

type decoded struct {
	grouped
	image *imagefile.Image
	err   error
}

// together reports whether two images may be in one batch.
func (d decoded) together(other decoded) bool {
	return d.group == other.group && d.image.Width == other.image.Width && d.image.Height == other.image.Height
}

// decodeAhead decodes images in order, up to two ahead of the network.
func decodeAhead(ctx context.Context, images []grouped, read imagefile.Options) <-chan decoded {
	ahead := make(chan decoded, 2)
	go func() {
		defer close(ahead)
		for _, p := range images {
			d := decoded{grouped: p}
			// Features must be of the bytes that were measured.
			file, err := open(p.path, read)
			if err == nil && file.hash != p.hash {
				err = fmt.Errorf("%s: the file has changed during the evaluation", p.path)
			}
			if d.err = err; err == nil {
				d.err = file.decode()
				d.image = file.image
			}
			select {
			case ahead <- d:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ahead
}
