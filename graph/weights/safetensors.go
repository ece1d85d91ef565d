package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/nlpodyssey/safetensors"
)

const (
	maxHeader = 100_000_000 // the format's own limit, in bytes
	maxRank   = 64          // PyTorch's limit
)

// header describes one tensor of a .safetensors file.
type header struct {
	DType   string `json:"dtype"`
	Shape   dims   `json:"shape"`
	Offsets dims   `json:"data_offsets"`
}

// dims are a few numbers; a long list is refused before memory is taken for it.
type dims []int

func (d *dims) UnmarshalJSON(b []byte) error {
	if bytes.Count(b, []byte(",")) >= maxRank {
		return fmt.Errorf("an array of more than %d numbers", maxRank)
	}
	var list []int
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	for _, n := range list {
		if n < 0 {
			return fmt.Errorf("%v: negative", list)
		}
	}
	*d = list
	return nil
}

// parseSafetensors reads the header of a .safetensors file and checks that its tensors cover the data without gaps or
// overlaps.
//
// The library github.com/nlpodyssey/safetensors takes "null" and invalid UTF-8 for a header, keeps the last of two
// tensors of one name, doesn't name the culprit in its errors, and a shape of a million dimensions makes it allocate 57
// times the file's size (3 times here). It is asked for the types of elements, it writes files, and it is the fuzz
// test's second opinion.
func parseSafetensors(b []byte) ([]*stored, map[string]string, error) {
	text, data, err := splitSafetensors(b)
	if err != nil {
		return nil, nil, err
	}
	var metadata map[string]string
	var parts []part
	seen := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil { // the brace that was checked
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("header: %w", err)
		}
		name, ok := token.(string)
		if !ok {
			return nil, nil, fmt.Errorf("header: %v in place of a tensor's name", token)
		}
		if seen[name] {
			return nil, nil, fmt.Errorf("tensor %q: named twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := d.Decode(&metadata); err != nil {
				return nil, nil, fmt.Errorf("header: metadata: %w", err)
			}
			continue
		}
		var h header
		if err := d.Decode(&h); err != nil {
			var wrong *json.UnmarshalTypeError
			if errors.As(err, &wrong) { // its text mentions Go's types
				err = fmt.Errorf("%s: want a dtype, and natural numbers as shape and data_offsets", wrong.Value)
			}
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		p, err := h.part(name)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		parts = append(parts, p)
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("header: something follows the JSON object")
	}
	tensors, err := cover(parts, data)
	return tensors, metadata, err
}

// part is a tensor and where its bytes begin and end in the data.
type part struct {
	*stored
	begin, end int
}

// cover gives tensors their bytes and checks that all bytes belong to one of them.
func cover(parts []part, data []byte) ([]*stored, error) {
	slices.SortFunc(parts, func(x, y part) int {
		return cmp.Or(cmp.Compare(x.begin, y.begin), cmp.Compare(x.end, y.end), cmp.Compare(x.name, y.name))
	})
	tensors := make([]*stored, len(parts))
	end := 0
	for i, p := range parts {
		switch {
		case p.end > len(data):
			return nil, fmt.Errorf("tensor %q: ends at byte %d of %d bytes of data: the file is cut off or its header is wrong",
				p.name, p.end, len(data))
		case p.begin < end:
			return nil, fmt.Errorf("tensor %q: begins at byte %d, within the tensor before it, which ends at %d", p.name,
				p.begin, end)
		case p.begin > end:
			return nil, fmt.Errorf("tensor %q: begins at byte %d, but the tensor before it ends at %d", p.name, p.begin, end)
		}
		tensors[i] = p.stored
		tensors[i].data = data[p.begin:p.end:p.end]
		end = p.end
	}
	if end != len(data) {
		return nil, fmt.Errorf("%d bytes follow the last tensor", len(data)-end)
	}
	return tensors, nil
}

// splitSafetensors splits the file into the JSON of its header and its data.
func splitSafetensors(b []byte) (text, data []byte, err error) {
	if len(b) < 8 {
		return nil, nil, fmt.Errorf("%d bytes: too short for a safetensors file", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	switch {
	case n > maxHeader:
		return nil, nil, fmt.Errorf("header of %d bytes: the format allows %d; is it a safetensors file?", n, maxHeader)
	case n > uint64(len(b)-8):
		return nil, nil, fmt.Errorf("header of %d bytes in a file of %d: the file is cut off or no safetensors file", n,
			len(b))
	}
	text, data = b[8:8+n], b[8+n:]
	if len(text) == 0 || text[0] != '{' {
		return nil, nil, errors.New("header: want a JSON object")
	}
	if !utf8.Valid(text) {
		return nil, nil, errors.New("header: invalid UTF-8")
	}
	return text, data, nil
}

// part checks a tensor's description.
func (h header) part(name string) (part, error) {
	if h.Shape == nil || len(h.Offsets) != 2 {
		return part{}, fmt.Errorf("shape %v, data_offsets %v: want a shape and two offsets", []int(h.Shape), []int(h.Offsets))
	}
	dtype, err := safetensors.ParseDType(h.DType)
	if err != nil {
		return part{}, fmt.Errorf("dtype %q: unknown", h.DType)
	}
	size, err := byteSize(h.Shape, dtype)
	if err != nil {
		return part{}, err
	}
	p := part{&stored{name: name, dtype: dtype, shape: h.Shape}, h.Offsets[0], h.Offsets[1]}
	if p.end-p.begin != size {
		return part{}, fmt.Errorf("%v of %s takes %d bytes, but data_offsets are %v", []int(h.Shape), dtype, size,
			[]int(h.Offsets))
	}
	return p, nil
}

// byteSize is the number of bytes of a dense tensor.
func byteSize(shape []int, t safetensors.DType) (int, error) {
	n := t.Size()
	for _, d := range shape {
		over, low := bits.Mul64(n, uint64(d))
		if over != 0 || low > math.MaxInt {
			return 0, fmt.Errorf("shape %v: more elements than can be counted", shape)
		}
		n = low
	}
	return int(n), nil
}
