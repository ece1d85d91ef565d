package synth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/parallel"
)

// Write makes a data set in MIST's layout:
//
//	dir/dataset.json                              the settings
//	dir/TrainValAB/{trainA,trainB,valA,valB}/P001_1_0.jpg    A: H&E, B: IHC
//	dir/truth/{train,val}/P001_1_0.json           a Truth
//
// Names are <patient>_<slide of the patient>_<index of the pair>. All pairs of a patient are in one split.
//
// Files appear whole or not at all. A second call with the same settings adds what is missing; other settings are
// refused. observe receives a progress.Stage for each finished pair, including those of earlier calls. When ctx ends,
// Write returns its cause and keeps complete pairs.
func Write(ctx context.Context, dir string, c Config, observe progress.Observer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Pairs+c.ValPairs == 0 {
		return errors.New("synth: pairs and val pairs are both 0: nothing to make")
	}
	if err := mark(dir, c); err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	places := c.places(dir)
	for _, p := range places {
		for _, file := range p.files("x") {
			if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
				return fmt.Errorf("synth: %w", err)
			}
		}
	}

	if err := c.all(ctx, dir, places, observe); err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	return nil
}

// all makes all pairs, alone or with other processes.
func (c Config) all(ctx context.Context, dir string, places []place, observe progress.Observer) (err error) {
	items := make([]claim.Item, len(places))
	for i, p := range places {
		files := p.files(c.name(p.index))
		items[i] = claim.Item{Name: p.split + "/" + c.name(p.index), Work: 1, Outputs: files[:]}
	}
	o := claim.Options{Part: c.Shard, Silence: c.DeadAfter}
	if c.Shard.N > 0 {
		o.Folder = filepath.Join(dir, claim.FolderName)
	}
	queue, err := claim.Open(items, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, queue.Close()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var lock sync.Mutex
	done := 0
	workers := cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	return parallel.Each(ctx, workers, workers, func(int) error {
		err := queue.Each(nil, func(item *claim.Claim) error {
			if !item.Elsewhere {
				if err := c.make(ctx, places[item.Index]); err != nil {
					return err
				}
				if err := item.Finish(nil); err != nil {
					return err
				}
			}
			lock.Lock()
			defer lock.Unlock()
			done++
			return observe.Report(progress.Stage{Name: "pairs", Done: done, Total: len(places)})
		}, func() error { return queue.Wait(ctx) })
		if err != nil {
			cancel(err) // the others end, too
		}
		return err
	})
}

// WriteMarkers makes a data set for each marker, dir/er, dir/her2 and so on, as Write does: of the same tissue, so that
// one H&E image has an IHC image of every marker, or each of other patients if apart.
func WriteMarkers(
	ctx context.Context, dir string, c Config, markers []Marker, apart bool, observe progress.Observer,
) error {
	if len(markers) == 0 {
		return errors.New("synth: no markers: nothing to make")
	}
	sets := make([]Config, len(markers))
	for i, m := range markers { // all are valid before the first is made
		if slices.Contains(markers[:i], m) {
			return fmt.Errorf("synth: marker %s is there twice", m)
		}
		sets[i] = c
		sets[i].Marker = m
		if apart && c.PatientPairs > 0 {
			sets[i].FirstPatient += i * (patients(c.Pairs, c.PatientPairs) + patients(c.ValPairs, c.PatientPairs))
		}
		if err := sets[i].Validate(); err != nil {
			return err
		}
	}
	for i, set := range sets {
		if err := Write(ctx, filepath.Join(dir, string(markers[i])), set, observe); err != nil {
			return err
		}
	}
	return nil
}

type place struct {
	dir, split string
	index      int
}

// places lists all pairs, those for validation from the first unused patient on.
func (c Config) places(dir string) []place {
	var all []place
	first := c.FirstPatient * c.PatientPairs
	for i := range c.Pairs {
		all = append(all, place{dir, "train", first + i})
	}
	first += patients(c.Pairs, c.PatientPairs) * c.PatientPairs
	for i := range c.ValPairs {
		all = append(all, place{dir, "val", first + i})
	}
	return all
}

// patients is how many patients so many pairs are of.
func patients(pairs, each int) int { return (pairs + each - 1) / each }

// files are the H&E image, the IHC image and the truth. The truth is written last: where it is, the pair is complete.
func (p place) files(name string) [3]string {
	return [3]string{
		filepath.Join(p.dir, "TrainValAB", p.split+"A", name+".jpg"),
		filepath.Join(p.dir, "TrainValAB", p.split+"B", name+".jpg"),
		filepath.Join(p.dir, "truth", p.split, name+".json"),
	}
}

func (c Config) make(ctx context.Context, p place) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	files := p.files(c.name(p.index))
	complete := true
	for _, file := range files {
		_, err := os.Stat(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		complete = complete && err == nil
	}
	if complete {
		return nil
	}
	pair, err := Generate(ctx, c, p.index)
	if err != nil {
		return err
	}
	o := imagefile.WriteOptions{
		Quality:    c.Quality,
		Provenance: []imagefile.Pair{{Key: imagefile.KeyDescription, Value: "synthetic tissue, made by histdist"}},
	}
	for i, img := range []*imagefile.Image{pair.HE, pair.IHC} {
		if err := imagefile.Write(files[i], img, o); err != nil {
			return err
		}
	}
	return writeJSON(files[2], pair.Truth)
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, append(text, '\n'))
}
