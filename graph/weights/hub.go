package weights

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ErrNotCached is wrapped by the error of FindModel if a model could be downloaded but hasn't been.
var ErrNotCached = errors.New("not in Hugging Face's cache")

// modelID matches the names that huggingface.co gives: a model, or an organisation and a model.
var modelID = regexp.MustCompile(`^[\w][\w.-]*(/[\w][\w.-]*)?$`)

// ParseModelID takes a name as on huggingface.co apart: organisation/model, or organisation/model@revision, where the
// revision is a branch, a tag or a commit; "" where there is none.
func ParseModelID(name string) (id, revision string, err error) {
	id, revision, given := strings.Cut(name, "@")
	switch {
	case !modelID.MatchString(id) || strings.Contains(id, "..") || strings.Contains(id, "--"):
		return "", "", fmt.Errorf("model %q: not a name as on huggingface.co (organisation/model)", name)
	case given && !validRevision(revision):
		return "", "", fmt.Errorf("model %q: %q is no revision: want a branch, a tag or a commit", name, revision)
	}
	return id, revision, nil
}

// validRevision reports whether a text can be a revision, which becomes a path below refs.
func validRevision(revision string) bool {
	return filepath.IsLocal(revision) && revision != "." && !strings.ContainsAny(revision, "\\:\x00")
}

// FindModel returns the folder of a model: name itself if it is a folder here, else the snapshot that Hugging Face's
// tools or this program have downloaded for an id such as "stable-diffusion-v1-5/stable-diffusion-v1-5": of the branch
// main, or of the revision of "id@revision". Their cache is HubCache. Nothing is downloaded: see ErrNotCached.
func FindModel(name string) (string, error) {
	if info, err := os.Stat(name); err == nil {
		if !info.IsDir() {
			return "", fmt.Errorf("model %q: a file: want a folder or a name as on huggingface.co", name)
		}
		return name, nil
	}
	id, revision, err := ParseModelID(name)
	if err != nil {
		return "", fmt.Errorf("model %q: no such folder, and not a name as on huggingface.co (organisation/model)", name)
	}
	cache, err := HubCache()
	if err != nil {
		return "", fmt.Errorf("model %q: %w", name, err)
	}
	snapshot, err := snapshotOf(HubRepository(cache, id), revision)
	if err != nil {
		return "", fmt.Errorf("model %q: no such folder here, and %w: %w; nothing is downloaded unasked: "+
			"run `histdist model pull %s`, or set HF_HOME to where it is, or give the path of a folder",
			name, ErrNotCached, err, name)
	}
	return snapshot, nil
}

// HubRepository is the folder of a model in Hugging Face's cache.
func HubRepository(cache, id string) string {
	return filepath.Join(cache, "models--"+strings.ReplaceAll(id, "/", "--"))
}

// snapshotOf returns the folder of a revision: a commit, or what refs has for it. "" is main or, without refs, the only
// revision there is.
func snapshotOf(repository, revision string) (string, error) {
	snapshots := filepath.Join(repository, "snapshots")
	ref := filepath.Join(repository, "refs", filepath.FromSlash(cmp.Or(revision, "main")))
	b, err := os.ReadFile(ref)
	if errors.Is(err, fs.ErrNotExist) {
		if folder := filepath.Join(snapshots, revision); revision != "" && isFolder(folder) {
			return folder, nil
		}
		entries, err := os.ReadDir(snapshots)
		if err != nil {
			return "", fmt.Errorf("looked for %s", snapshots)
		}
		if revision != "" {
			return "", fmt.Errorf("looked for %s", ref)
		}
		if len(entries) != 1 {
			return "", fmt.Errorf("%d revisions in %s and no %s to choose one", len(entries), snapshots, ref)
		}
		return filepath.Join(snapshots, entries[0].Name()), nil
	}
	if err != nil {
		return "", err
	}
	commit := strings.TrimSpace(string(b))
	if commit == "" || strings.ContainsAny(commit, `/\.`) {
		return "", fmt.Errorf("%s: %q is no revision", ref, commit)
	}
	folder := filepath.Join(snapshots, commit)
	if !isFolder(folder) {
		return "", fmt.Errorf("%s names the revision %s, but there is no folder %s", ref, commit, folder)
	}
	return folder, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// HubCache is the folder of Hugging Face's cache, found as its Python library does: where HF_HUB_CACHE,
// HUGGINGFACE_HUB_CACHE, HF_HOME or XDG_CACHE_HOME say, or ~/.cache/huggingface/hub.
func HubCache() (string, error) {
	return hubPlace([]place{{"HF_HUB_CACHE", ""}, {"HUGGINGFACE_HUB_CACHE", ""}, {"HF_HOME", "hub"}}, "hub")
}

// HubToken is the file in which Hugging Face's tools keep a user's token: where HF_TOKEN_PATH or HF_HOME say, or
// ~/.cache/huggingface/token.
func HubToken() (string, error) {
	return hubPlace([]place{{"HF_TOKEN_PATH", ""}, {"HF_HOME", "token"}}, "token")
}

// place is what a variable of the environment says: a path, or one that has it below.
type place struct{ variable, below string }

// hubPlace returns the first place whose variable is set, or a name in the folder of Hugging Face's tools.
func hubPlace(places []place, name string) (string, error) {
	home, homeErr := os.UserHomeDir()
	expand := func(path string) string {
		path = os.ExpandEnv(path)
		if path == "~" || strings.HasPrefix(path, "~/") || strings.HasPrefix(path, "~"+string(filepath.Separator)) {
			return home + path[1:]
		}
		return path
	}
	for _, p := range append(places, place{"XDG_CACHE_HOME", filepath.Join("huggingface", name)}) {
		if value := os.Getenv(p.variable); value != "" {
			return filepath.Join(expand(value), p.below), nil
		}
	}
	if homeErr != nil {
		return "", homeErr
	}
	return filepath.Join(home, ".cache", "huggingface", name), nil
}
