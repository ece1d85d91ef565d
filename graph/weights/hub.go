package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// modelID matches the names that huggingface.co gives: a model, or an organisation and a model.
var modelID = regexp.MustCompile(`^[\w][\w.-]*(/[\w][\w.-]*)?$`)

// FindModel returns the folder of a model: id itself if it is a folder here, else the snapshot of the branch main that
// Hugging Face's tools have downloaded for an id such as "stable-diffusion-v1-5/stable-diffusion-v1-5". Their cache is
// where HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME or XDG_CACHE_HOME say, or ~/.cache/huggingface/hub. Nothing is
// downloaded.
func FindModel(id string) (string, error) {
	if info, err := os.Stat(id); err == nil {
		if !info.IsDir() {
			return "", fmt.Errorf("model %q: a file: want a folder or a name as on huggingface.co", id)
		}
		return id, nil
	}
	if !modelID.MatchString(id) || strings.Contains(id, "..") || strings.Contains(id, "--") {
		return "", fmt.Errorf("model %q: no such folder, and not a name as on huggingface.co (organisation/model)", id)
	}
	cache, err := hubCache()
	if err != nil {
		return "", fmt.Errorf("model %q: %w", id, err)
	}
	repository := filepath.Join(cache, "models--"+strings.ReplaceAll(id, "/", "--"))
	snapshot, err := snapshotOf(repository)
	if err != nil {
		return "", fmt.Errorf("model %q: no such folder here, and not in Hugging Face's cache: %w; nothing is downloaded: "+
			"run `huggingface-cli download %s`, or set HF_HOME to where it is, or give the path of a folder", id, err, id)
	}
	return snapshot, nil
}

// snapshotOf returns the folder of the revision that main points to, or of the only revision there is.
func snapshotOf(repository string) (string, error) {
	snapshots := filepath.Join(repository, "snapshots")
	ref := filepath.Join(repository, "refs", "main")
	b, err := os.ReadFile(ref)
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(snapshots)
		if err != nil {
			return "", fmt.Errorf("looked for %s", snapshots)
		}
		if len(entries) != 1 {
			return "", fmt.Errorf("%d revisions in %s and no %s to choose one", len(entries), snapshots, ref)
		}
		return filepath.Join(snapshots, entries[0].Name()), nil
	}
	if err != nil {
		return "", err
	}
	revision := strings.TrimSpace(string(b))
	if revision == "" || strings.ContainsAny(revision, `/\.`) {
		return "", fmt.Errorf("%s: %q is no revision", ref, revision)
	}
	folder := filepath.Join(snapshots, revision)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%s names the revision %s, but there is no folder %s", ref, revision, folder)
	}
	return folder, nil
}

// hubCache is the folder of Hugging Face's cache, found as its Python library does.
func hubCache() (string, error) {
	home, homeErr := os.UserHomeDir()
	expand := func(path string) string {
		path = os.ExpandEnv(path)
		if path == "~" || strings.HasPrefix(path, "~/") {
			return home + path[1:]
		}
		return path
	}
	for _, v := range []struct{ name, below string }{
		{"HF_HUB_CACHE", ""},
		{"HUGGINGFACE_HUB_CACHE", ""},
		{"HF_HOME", "hub"},
		{"XDG_CACHE_HOME", "huggingface/hub"},
	} {
		if value := os.Getenv(v.name); value != "" {
			return filepath.Join(expand(value), v.below), nil
		}
	}
	if homeErr != nil {
		return "", homeErr
	}
	return filepath.Join(home, ".cache", "huggingface", "hub"), nil
}
