package rng

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Offsets in PyTorch's saved state: the C++ struct CPUGeneratorImplState, little-endian.
const (
	stateSeed        = 0    // uint64
	stateLeft        = 8    // int32: words left, plus one
	stateSeeded      = 12   // int32: 1
	stateNext        = 16   // uint64: index of the next word; 0 before the first draw
	stateWords       = 24   // 624 × uint64, each below 2³²
	stateNormalY     = 5024 // float64: the cached normal; the float64 after it is always 0
	stateNormalValid = 5040 // int32, 4 bytes of padding
	stateFloat       = 5048 // float32: the cached float32 normal
	stateFloatValid  = 5052 // bool, 3 bytes of padding
	stateSize        = 5056
)

// State returns the generator's state as torch.Generator.get_state and torch.get_rng_state do: 5056 bytes.
func (t *Torch) State() []byte {
	b := make([]byte, stateSize)
	le := binary.LittleEndian
	next := t.engine.next
	left := words - next + 1
	if t.engine.fresh {
		next = 0
	}
	le.PutUint64(b[stateSeed:], t.seed)
	le.PutUint32(b[stateLeft:], uint32(left))
	le.PutUint32(b[stateSeeded:], 1)
	le.PutUint64(b[stateNext:], uint64(next))
	for i, w := range t.engine.state {
		le.PutUint64(b[stateWords+8*i:], uint64(w))
	}
	if t.hasCached {
		le.PutUint64(b[stateNormalY:], math.Float64bits(t.cached))
		b[stateNormalValid] = 1
	}
	if t.hasCachedFloat {
		le.PutUint32(b[stateFloat:], math.Float32bits(t.cachedFloat))
		b[stateFloatValid] = 1
	}
	return b
}

// SetState is torch.Generator.set_state: it takes the 5056 bytes of State or of PyTorch. After an error the generator
// is unchanged.
func (t *Torch) SetState(state []byte) error {
	if len(state) != stateSize {
		return fmt.Errorf("random state: %d bytes, want the %d of torch.get_rng_state", len(state), stateSize)
	}
	le := binary.LittleEndian
	if seeded := le.Uint32(state[stateSeeded:]); seeded != 1 {
		return fmt.Errorf("random state: seeded is %d, want 1", seeded)
	}
	restored := Torch{seed: le.Uint64(state[stateSeed:])}
	left, next := int32(le.Uint32(state[stateLeft:])), le.Uint64(state[stateNext:])
	switch {
	case left == 1 && next == 0:
		restored.engine.next, restored.engine.fresh = words, true
	case 1 <= next && next <= words && int(left) == words+1-int(next):
		restored.engine.next = int(next)
	default:
		return fmt.Errorf("random state: %d words left at word %d of %d", left, next, words)
	}
	for i := range restored.engine.state {
		w := le.Uint64(state[stateWords+8*i:])
		if w > math.MaxUint32 {
			return fmt.Errorf("random state: word %d is %#x, which is more than 32 bits", i, w)
		}
		restored.engine.state[i] = uint32(w)
	}
	if le.Uint32(state[stateNormalValid:]) != 0 {
		restored.cached, restored.hasCached = math.Float64frombits(le.Uint64(state[stateNormalY:])), true
	}
	if state[stateFloatValid] != 0 {
		restored.cachedFloat, restored.hasCachedFloat = math.Float32frombits(le.Uint32(state[stateFloat:])), true
	}
	*t = restored
	return nil
}
