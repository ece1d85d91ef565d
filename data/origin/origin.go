// Package origin decides whether an existing result is current: whether the same program would make it of the same
// content in the same way. Images state their origin in the file, caches are keyed by it.
package origin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
)

// Origin is everything that a result depends on. Results of equal origin are equal.
type Origin struct {
	Program  string            // with its version
	Model    string            // fingerprint of its content; "" of a result without one
	Settings Settings          // everything that a user can choose
	Sources  map[string]string // SHA-256 of every file that it was made of, by its role: see Hash
}

// Settings are values by their keys, each as JSON.
type Settings map[string]json.RawMessage

// NewSettings takes the fields of structs: those that encoding/json writes, by its names.
func NewSettings(structs ...any) (Settings, error) {
	all := Settings{}
	for _, s := range structs {
		text, err := encode(s)
		if err != nil {
			return nil, err
		}
		var fields Settings
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			return nil, err
		}
		maps.Copy(all, fields)
	}
	return all, nil
}

// The keys of the statements in a file.
const (
	keyModel    = "histdist.model"
	keySettings = "histdist.settings"
	KeySources  = "histdist.sources" // differs from file to file
)

// Statements say in a file what it is made of; Read finds them.
func (o Origin) Statements() ([]imagefile.Pair, error) {
	settings, err := encode(o.Settings)
	if err != nil {
		return nil, err
	}
	sources, err := encode(o.Sources)
	if err != nil {
		return nil, err
	}
	return []imagefile.Pair{
		{Key: imagefile.KeySoftware, Value: o.Program},
		{Key: keyModel, Value: o.Model},
		{Key: keySettings, Value: settings},
		{Key: KeySources, Value: sources},
	}, nil
}

// Read returns the origin stated in a file, the zero Origin if there is none, as in files of earlier versions.
func Read(path string) (Origin, error) {
	pairs, err := imagefile.ReadProvenance(path)
	if err != nil {
		return Origin{}, err
	}
	texts := map[string]string{}
	for _, p := range pairs {
		texts[p.Key] = p.Value
	}
	o := Origin{Program: texts[imagefile.KeySoftware], Model: texts[keyModel]}
	if json.Unmarshal([]byte(texts[keySettings]), &o.Settings) != nil ||
		json.Unmarshal([]byte(texts[KeySources]), &o.Sources) != nil {
		return Origin{}, nil
	}
	return o, nil
}

// Key is a hash of the origin: of its fields as JSON with sorted keys.
func (o Origin) Key() [sha256.Size]byte {
	text, err := encode(o)
	if err != nil {
		panic(fmt.Sprintf("origin: settings that are not JSON: %v", err)) // NewSettings makes JSON only
	}
	return sha256.Sum256([]byte(text))
}

// encode writes JSON with the keys of maps sorted, and H&E as it is.
func encode(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSpace(b.String()), err
}

// Change is why a result is not current.
type Change struct {
	Kind ChangeKind
	Text string // in a user's words
}

// ChangeKind says what has changed.
type ChangeKind int

// What may have changed.
const (
	Unstated ChangeKind = iota // the result doesn't say what it was made of
	Source                     // a file that it was made of
	Program
	Chosen // the model or a setting
)

// Since returns what has changed since a result of an earlier origin was made, nothing if it is current.
func (o Origin) Since(earlier Origin) []Change {
	if len(earlier.Sources) == 0 {
		return []Change{{Unstated, "made by an earlier version, which did not record the content of the source"}}
	}
	return o.Difference(earlier)
}

// Difference returns in what an earlier origin differs, nothing if it is the same.
func (o Origin) Difference(earlier Origin) []Change {
	if o.Key() == earlier.Key() {
		return nil
	}
	var changes []Change
	add := func(kind ChangeKind, format string, args ...any) {
		changes = append(changes, Change{kind, fmt.Sprintf(format, args...)})
	}
	for _, role := range union(o.Sources, earlier.Sources) {
		switch is, was := o.Sources[role], earlier.Sources[role]; {
		case is == was:
		case was == "":
			add(Source, "made without the %s", role)
		case is == "":
			add(Source, "made with a %s", role)
		default:
			add(Source, "the %s has changed", role)
		}
	}
	if o.Program != earlier.Program {
		add(Program, "made by %s", earlier.Program)
	}
	if o.Model != earlier.Model {
		add(Chosen, "made with another model (%s, now %s)", earlier.Model, o.Model)
	}
	for _, key := range union(o.Settings, earlier.Settings) {
		if is, was := o.Settings[key], earlier.Settings[key]; !bytes.Equal(is, was) {
			add(Chosen, "made with %s %s, now %s", key, text(was), text(is))
		}
	}
	return changes
}

// Text lists changes.
func Text(changes []Change) string {
	var list []string
	for _, c := range changes {
		list = append(list, c.Text)
	}
	return strings.Join(list, "; ")
}

func text(value json.RawMessage) string {
	if value == nil {
		return "unset"
	}
	return string(value)
}

// union returns the sorted keys of two maps.
func union[V any](a, b map[string]V) []string {
	both := map[string]V{}
	maps.Copy(both, a)
	maps.Copy(both, b)
	return slices.Sorted(maps.Keys(both))
}

// Hash returns the SHA-256 of a file's content in hexadecimal.
func Hash(path string) (string, error) { return HashContext(context.Background(), path) }

// HashContext is Hash that ends with an error when ctx does: a slide is read for a while.
func HashContext(ctx context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
		return "", fmt.Errorf("%s: not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return "", context.Cause(ctx)
		}
		const part = 16 << 20
		if _, err := io.CopyN(h, f, part); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// HashFS returns the SHA-256 of all files of a file system by their paths, such as Origin.Sources.
func HashFS(fsys fs.FS) (map[string]string, error) {
	hashes := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := fs.ReadFile(fsys, path)
		hashes[path] = HashBytes(content)
		return err
	})
	return hashes, err
}

// HashBytes is the SHA-256 of a file that has these bytes.
func HashBytes(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
