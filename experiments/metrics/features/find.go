package features

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/histdist/histdist/graph/weights"
)

// ErrNoWeights is wrapped by the error of Open if a network's weights aren't found.
var ErrNoWeights = errors.New("no weights")

// files are a network's published files.
type files struct {
	names []string // any of them, the best first
	page  string   // the project's page, which links to them
	hub   string   // the model on Hugging Face; "" is none
}

// find returns the file of a network's weights: see Open.
func (f files) find(title, path string) (string, error) {
	var places []string
	switch {
	case path != "":
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() {
			return path, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("weights of %s: %w", title, err)
		}
		places = []string{path}
	case f.hub != "":
		if folder, err := weights.FindModel(f.hub); err == nil {
			places = append(places, folder)
		} else {
			places = append(places, "Hugging Face's cache, "+f.hub)
		}
	default:
		places = []string{torchHub()}
	}
	for _, folder := range places {
		for _, name := range f.candidates() {
			if at := filepath.Join(folder, name); isFile(at) {
				return at, nil
			}
		}
	}
	return "", fmt.Errorf("weights of %s: %w: want %s, looked in %s; they come from %s",
		title, ErrNoWeights, strings.Join(f.names, " or "), strings.Join(places, " and "), f.page)
}

// candidates are the published names, and those of converted files.
func (f files) candidates() []string {
	all := append([]string(nil), f.names...)
	for _, name := range f.names {
		if base, ok := strings.CutSuffix(name, ".pth"); ok {
			all = append(all, base+".safetensors")
		}
	}
	return all
}

// torchHub is where torch.hub.load_state_dict_from_url puts files.
func torchHub() string {
	home := os.Getenv("TORCH_HOME")
	if home == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				user = "~"
			}
			cache = filepath.Join(user, ".cache")
		}
		home = filepath.Join(cache, "torch")
	}
	return filepath.Join(home, "hub", "checkpoints")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
