package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/histdist/histdist/internal/hfconfig"
)

// maxIndex is more than an index of a million tensors takes, in bytes.
const maxIndex = 256 << 20

// shardOf matches the end of a shard's name, such as -00001-of-00002.safetensors.
var shardOf = regexp.MustCompile(`-\d{5}-of-\d{5}\.(safetensors|bin)$`)

// openIndex adds the tensors of all shards. Tensors that the index doesn't list aren't loaded.
func (s *Store) openIndex(path string) error {
	shards, err := readIndex(path)
	if err != nil {
		return err
	}
	for _, shard := range shards {
		if err := s.openFile(filepath.Join(filepath.Dir(path), shard.file), shard.tensors); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// Shards returns the names of the files that an index lists, which are next to it.
func Shards(index string) ([]string, error) {
	shards, err := readIndex(index)
	names := make([]string, len(shards))
	for i, s := range shards {
		names[i] = s.file
	}
	return names, err
}

func readIndex(path string) ([]shard, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxIndex {
		return nil, fmt.Errorf("%s: want a file of at most %d bytes", path, maxIndex)
	}
	b, err := hfconfig.ReadFile(path)
	if err != nil {
		return nil, err
	}
	shards, err := parseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return shards, nil
}

// shard is a file and the tensors that are to be in it.
type shard struct {
	file    string
	tensors map[string]bool
}

// parseIndex reads an index: {"metadata": {…}, "weight_map": {tensor: file}}. Its metadata are hints and not read.
// Shards are next to the index: a path to any other place is refused.
func parseIndex(b []byte) ([]shard, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if len(index.WeightMap) == 0 {
		return nil, errors.New("index: no weight_map, which says in which file each tensor is")
	}
	files := map[string]map[string]bool{}
	for name, file := range index.WeightMap {
		if file == "" || file == "." || file == ".." || strings.ContainsAny(file, "/\\\x00") {
			return nil, fmt.Errorf("index: tensor %q: file %q: want the name of a file in the index's folder", name, file)
		}
		if strings.HasSuffix(file, ".json") {
			return nil, fmt.Errorf("index: tensor %q: file %q: want a file of tensors", name, file)
		}
		if files[file] == nil {
			files[file] = map[string]bool{}
		}
		files[file][name] = true
	}
	shards := make([]shard, 0, len(files))
	for file, tensors := range files {
		shards = append(shards, shard{file, tensors})
	}
	slices.SortFunc(shards, func(a, b shard) int { return strings.Compare(a.file, b.file) })
	return shards, nil
}
