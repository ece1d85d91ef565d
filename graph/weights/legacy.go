package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// legacyMagic is how files of torch.save begin that are not zip archives: a pickle of the number
// 0x1950a86a20f9469cfc6c.
var legacyMagic = []byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.")

// legacyProtocol is the version of the format, which never changed.
const legacyProtocol = 1001

// readLegacy reads a file of torch before 1.6, or of _use_new_zipfile_serialization=False, such as the weights that
// pytorch-fid publishes. Pickles follow one another, and the storages follow them in the order of the last pickle:
//
//	magic number, protocol, machine, description of the tensors, list of the storages' keys,
//	then for each: elements int64, the elements
//
// How many bytes an element has only the description says, so every storage of the list must occur in it.
func readLegacy(b []byte) (*container, error) {
	rest := b[len(legacyMagic):]
	var pickles [4]any
	for i, what := range []string{"protocol", "machine", "description", "list of storages"} {
		var err error
		if pickles[i], rest, err = unpickleFirst(rest); err != nil {
			return nil, fmt.Errorf("torch file of the old format: %s: %w", what, err)
		}
	}
	if pickles[0] != any(legacyProtocol) {
		return nil, fmt.Errorf("torch file of the old format: protocol %s, want %d", describe(pickles[0]), legacyProtocol)
	}
	if err := checkMachine(pickles[1]); err != nil {
		return nil, err
	}
	keys, ok := pickles[3].(*list)
	if !ok {
		return nil, fmt.Errorf("torch file of the old format: %s, want a list of storages", describe(pickles[3]))
	}
	sizes := storageSizes{bytes: map[string]int{}}
	if err := sizes.collect(pickles[2], 0); err != nil {
		return nil, err
	}
	storages := map[string][]byte{}
	for _, k := range keys.items {
		key, ok := k.(string)
		size := sizes.bytes[key]
		if !ok || size == 0 || storages[key] != nil {
			return nil, fmt.Errorf("torch file of the old format: storage %s is listed twice, or no tensor has it", describe(k))
		}
		if len(rest) < 8 {
			return nil, fmt.Errorf("torch file of the old format: it ends before storage %q", key)
		}
		n := binary.LittleEndian.Uint64(rest)
		rest = rest[8:]
		if n > uint64(len(rest)/size) {
			return nil, fmt.Errorf("torch file of the old format: storage %q of %d elements reaches beyond the end of the file",
				key, n)
		}
		end := int(n) * size
		storages[key], rest = rest[:end:end], rest[end:]
	}
	return &container{bytes: b, root: pickles[2], storage: func(key string) ([]byte, error) {
		data, ok := storages[key]
		if !ok {
			return nil, fmt.Errorf("no storage %q in the file", key)
		}
		return data, nil
	}}, nil
}

// checkMachine refuses files of machines whose numbers have another byte order.
func checkMachine(v any) error {
	d, ok := v.(*dict)
	if !ok {
		return fmt.Errorf("torch file of the old format: %s, want a dictionary about the machine", describe(v))
	}
	for i, key := range d.keys {
		if key == any("little_endian") && d.values[i] != any(true) {
			return errors.New("torch file of the old format: byte order big, want little")
		}
	}
	return nil
}

// maxNesting is how deep a description may be: a dictionary in a dictionary, with calls that have tuples.
const maxNesting = 64

// storageSizes are the bytes of an element of each storage, by key, as a description says them.
type storageSizes struct {
	bytes  map[string]int
	visits int
}

// collect goes through all values. A value may refer to another again and again, so their number is bounded.
func (s *storageSizes) collect(v any, depth int) error {
	if s.visits++; depth > maxNesting || s.visits > maxPushes {
		return errors.New("torch file of the old format: values within values beyond measure")
	}
	var inner []any
	switch v := v.(type) {
	case persistent:
		id, err := parseStorageID(v)
		if err != nil {
			return err
		}
		size := int(id.dtype.Size())
		if known, ok := s.bytes[id.key]; ok && known != size {
			return fmt.Errorf("torch file of the old format: storage %q has elements of %d and of %d bytes", id.key, known, size)
		}
		s.bytes[id.key] = size
	case tuple:
		inner = v
	case *list:
		inner = v.items
	case *dict:
		inner = append(append(inner, v.keys...), v.values...)
	case call:
		inner = []any{v.args}
	}
	for _, x := range inner {
		if err := s.collect(x, depth+1); err != nil {
			return err
		}
	}
	return nil
}
