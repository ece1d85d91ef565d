package model

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/weights"
)

// isPart reports whether a folder of a pipeline has something that a model of this program consists of. Others, such as
// a safety checker of 1.2 GB, are not downloaded.
func isPart(folder string) bool {
	return slices.Contains([]string{"vae", "text_encoder", "tokenizer", "scheduler", "feature_extractor", "phikon"},
		folder) || strings.HasPrefix(folder, defaultUNet)
}

// PullOptions say what is downloaded.
type PullOptions struct {
	Revision string            // a branch, a tag or a commit; "" is main
	Variant  string            // of the weights, such as fp16, in the networks that have it
	Observe  progress.Observer // of hub.Progress
}

// Pull downloads a model, a pipeline or one network, by its name as on huggingface.co into Hugging Face's cache, and
// returns its folder there: see hub.Client.Pull. The name may have the revision: organisation/model@revision.
func Pull(ctx context.Context, name string, o PullOptions) (string, error) {
	dir, err := pull(ctx, name, o)
	if err != nil || !isPipeline(dir) {
		return dir, err
	}
	if _, err := weights.FindModel(phikonOf(dir, "")); errors.Is(err, weights.ErrNotCached) {
		note := fmt.Sprintf("a translation also needs the vision transformer: histdist model pull %s", DefaultPhikon)
		return dir, o.Observe.Report(progress.Note(note))
	}
	return dir, nil
}

func pull(ctx context.Context, name string, o PullOptions) (string, error) {
	id, revision, err := weights.ParseModelID(name)
	if err != nil {
		return "", err
	}
	if revision != "" && o.Revision != "" && revision != o.Revision {
		return "", fmt.Errorf("model %q and revision %q: give one revision", name, o.Revision)
	}
	if revision == "" {
		revision = o.Revision
	}
	c, err := hub.New(o.Observe)
	if err != nil {
		return "", err
	}
	return c.Pull(ctx, hub.Request{ID: id, Revision: revision, Variant: o.Variant, Folder: isPart})
}

// PullMissing downloads what Open needs and isn't here: the model and its vision transformer. What is in Hugging Face's
// cache is used as it is, without a look at the network.
func PullMissing(ctx context.Context, name string, o Options, observe progress.Observer) error {
	dir, err := pullUnlessHere(ctx, name, o.Variant, observe)
	if err != nil {
		return err
	}
	if !isPipeline(dir) { // but one network
		return nil
	}
	if _, err = pullUnlessHere(ctx, phikonOf(dir, o.Phikon), "", observe); err != nil {
		return fmt.Errorf("vision transformer: %w", err)
	}
	return nil
}

// isPipeline reports whether a folder has several networks.
func isPipeline(dir string) bool {
	return exists(filepath.Join(dir, "model_index.json")) || isFolder(filepath.Join(dir, defaultUNet))
}

func pullUnlessHere(ctx context.Context, name, variant string, observe progress.Observer) (string, error) {
	dir, err := weights.FindModel(name)
	if errors.Is(err, weights.ErrNotCached) {
		return pull(ctx, name, PullOptions{Variant: variant, Observe: observe})
	}
	return dir, err
}

// phikonOf returns the folder or the name of a model's vision transformer; "" asks for the model's own, or
// DefaultPhikon.
func phikonOf(dir, name string) string {
	if name != "" {
		return name
	}
	if inside := filepath.Join(dir, "phikon"); isFolder(inside) {
		return inside
	}
	return DefaultPhikon
}
