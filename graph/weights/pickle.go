package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What a pickle can hold here, in addition to nil, bool, int, float64 and string. A pickle is a program that may call
// any function of Python; this reader knows none: of a call it keeps the name, out of a list of harmless ones, and the
// arguments.
type (
	global     struct{ module, name string }
	call       struct{ function, args any }
	persistent struct{ id any }
	tuple      []any
	list       struct{ items []any }
	dict       struct{ keys, values []any }
	mark       struct{}
)

const (
	maxPickle = 16 << 20 // bytes; the U-Net's 686 tensors take 0.1 MB
	maxPushes = 1 << 20  // values that one pickle may make
)

// isKnown reports whether a pickle of tensors may name a global.
func (g global) isKnown() bool {
	switch g {
	case global{"torch._utils", "_rebuild_tensor_v2"}, global{"torch._utils", "_rebuild_parameter"},
		global{"collections", "OrderedDict"}:
		return true
	}
	_, ok := storageTypes()[g.name]
	return ok && g.module == "torch"
}

// machine is the state of a pickle's program.
type machine struct {
	rest   []byte
	stack  []any
	memo   map[uint32]any
	pushes int
}

// errPickleEnd is the error of a pickle that stops in the middle.
var errPickleEnd = errors.New("pickle: it ends early")

// unpickle runs a pickle of protocol 2, which torch.save writes.
func unpickle(b []byte) (any, error) {
	if len(b) > maxPickle {
		return nil, fmt.Errorf("pickle: %d bytes, more than %d", len(b), maxPickle)
	}
	v, _, err := unpickleFirst(b)
	return v, err
}

// unpickleFirst runs the pickle that b begins with and returns its value and what follows it.
func unpickleFirst(b []byte) (value any, rest []byte, err error) {
	m := &machine{rest: b[:min(len(b), maxPickle)], memo: map[uint32]any{}}
	for {
		op, err := m.take(1)
		if err != nil {
			return nil, nil, err
		}
		if op[0] == '.' {
			value, err := m.pop()
			return value, b[min(len(b), maxPickle)-len(m.rest):], err
		}
		if err := m.step(op[0]); err != nil {
			return nil, nil, err
		}
		if m.pushes > maxPushes {
			return nil, nil, fmt.Errorf("pickle: more than %d values", maxPushes)
		}
	}
}

// step runs one instruction; the comments are its names in Python's pickletools.
func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := m.number(1)
		if err == nil && v != 2 {
			err = fmt.Errorf("pickle: protocol %d, want 2", v)
		}
		return err
	case '(': // MARK
		m.push(mark{})
	case '0': // POP
		_, err := m.pop()
		return err
	case 'N': // NONE
		m.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		m.push(op == 0x88)
	case 'K': // BININT1
		return m.pushNumber(1)
	case 'M': // BININT2
		return m.pushNumber(2)
	case 'J': // BININT
		b, err := m.take(4)
		if err == nil {
			m.push(int(int32(binary.LittleEndian.Uint32(b))))
		}
		return err
	case 0x8a: // LONG1
		return m.long()
	case 'G': // BINFLOAT
		b, err := m.take(8)
		if err == nil {
			m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
		return err
	case 'X', 'T': // BINUNICODE, BINSTRING
		return m.text(4)
	case 'U': // SHORT_BINSTRING
		return m.text(1)
	case '}': // EMPTY_DICT
		m.push(&dict{})
	case ']': // EMPTY_LIST
		m.push(&list{})
	case ')': // EMPTY_TUPLE
		m.push(tuple{})
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		return m.tuple(int(op - 0x84))
	case 't': // TUPLE
		items, err := m.popMark()
		if err == nil {
			m.push(tuple(items))
		}
		return err
	case 'a', 'e': // APPEND, APPENDS
		return m.appendItems(op == 'e')
	case 's', 'u': // SETITEM, SETITEMS
		return m.setItems(op == 'u')
	case 'q': // BINPUT
		return m.put(1)
	case 'r': // LONG_BINPUT
		return m.put(4)
	case 'h': // BINGET
		return m.get(1)
	case 'j': // LONG_BINGET
		return m.get(4)
	case 'c': // GLOBAL
		return m.global()
	case 'Q': // BINPERSID
		id, err := m.pop()
		if err == nil {
			m.push(persistent{id})
		}
		return err
	case 'R': // REDUCE
		return m.reduce()
	case 'b': // BUILD: attributes of a dictionary, such as the _metadata of a state_dict
		_, err := m.pop()
		return err
	default:
		return fmt.Errorf("pickle: instruction %#02x: none that a file of tensors needs", op)
	}
	return nil
}

func (m *machine) push(v any) {
	m.stack = append(m.stack, v)
	m.pushes++
}

func (m *machine) pop() (any, error) {
	if len(m.stack) == 0 {
		return nil, errors.New("pickle: it takes a value from an empty stack")
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	if v == (mark{}) {
		return nil, errors.New("pickle: a mark in place of a value")
	}
	return v, nil
}

// popMark takes all values above the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, ok := m.stack[i].(mark); ok {
			items := append([]any{}, m.stack[i+1:]...)
			m.stack = m.stack[:i]
			return items, nil
		}
	}
	return nil, errors.New("pickle: no mark on the stack")
}

// take returns the next n bytes.
func (m *machine) take(n int) ([]byte, error) {
	if n > len(m.rest) {
		return nil, errPickleEnd
	}
	b := m.rest[:n]
	m.rest = m.rest[n:]
	return b, nil
}

// number reads n bytes, the lowest first.
func (m *machine) number(n int) (uint32, error) {
	b, err := m.take(n)
	v := uint32(0)
	for i, x := range b {
		v |= uint32(x) << (8 * i)
	}
	return v, err
}

func (m *machine) pushNumber(n int) error {
	v, err := m.number(n)
	if err == nil {
		m.push(int(v))
	}
	return err
}

// long reads an integer in two's complement with its length in front.
func (m *machine) long() error {
	n, err := m.number(1)
	if err != nil {
		return err
	}
	b, err := m.take(int(n))
	if err != nil {
		return err
	}
	v := int64(0)
	if n > 0 && b[n-1] >= 0x80 {
		v = -1
	}
	sign := byte(v)
	for i := len(b) - 1; i >= 0; i-- {
		if i >= 8 && b[i] != sign || i == 7 && (b[i]^sign) >= 0x80 {
			return errors.New("pickle: an integer of more than 64 bits")
		}
		if i < 8 {
			v = v<<8 | int64(b[i])
		}
	}
	m.push(int(v))
	return nil
}

// text reads a string that follows its length in n bytes.
func (m *machine) text(n int) error {
	size, err := m.number(n)
	if err != nil {
		return err
	}
	if uint64(size) > uint64(len(m.rest)) {
		return errPickleEnd
	}
	b, err := m.take(int(size))
	if err == nil {
		m.push(string(b))
	}
	return err
}

func (m *machine) tuple(n int) error {
	t := make(tuple, n)
	for i := n - 1; i >= 0; i-- {
		v, err := m.pop()
		if err != nil {
			return err
		}
		t[i] = v
	}
	m.push(t)
	return nil
}

// operands pops an instruction's operands: the values above the last mark, or the topmost n.
func (m *machine) operands(many bool, n int) ([]any, error) {
	if many {
		return m.popMark()
	}
	if err := m.tuple(n); err != nil {
		return nil, err
	}
	t, err := m.pop()
	if err != nil {
		return nil, err
	}
	return t.(tuple), nil
}

func (m *machine) appendItems(many bool) error {
	items, err := m.operands(many, 1)
	if err != nil {
		return err
	}
	l, ok := m.top().(*list)
	if !ok {
		return errors.New("pickle: it appends to what is no list")
	}
	l.items = append(l.items, items...)
	return nil
}

func (m *machine) setItems(many bool) error {
	items, err := m.operands(many, 2)
	if err != nil {
		return err
	}
	d, ok := m.top().(*dict)
	if !ok || len(items)%2 != 0 {
		return errors.New("pickle: it sets items without values or of what is no dictionary")
	}
	for i := 0; i < len(items); i += 2 {
		d.keys, d.values = append(d.keys, items[i]), append(d.values, items[i+1])
	}
	return nil
}

// top returns the topmost value, nil if there is none.
func (m *machine) top() any {
	if len(m.stack) == 0 {
		return nil
	}
	return m.stack[len(m.stack)-1]
}

func (m *machine) put(n int) error {
	key, err := m.number(n)
	if err != nil {
		return err
	}
	if len(m.stack) == 0 {
		return errors.New("pickle: it remembers a value of an empty stack")
	}
	m.memo[key] = m.top()
	return nil
}

func (m *machine) get(n int) error {
	key, err := m.number(n)
	if err != nil {
		return err
	}
	v, ok := m.memo[key]
	if !ok {
		return fmt.Errorf("pickle: it reads value %d, which it never remembered", key)
	}
	m.push(v)
	return nil
}

// global reads the name of a function or type, in two lines.
func (m *machine) global() error {
	var lines [2]string
	for i := range lines {
		n := bytes.IndexByte(m.rest, '\n')
		if n < 0 {
			return errPickleEnd
		}
		lines[i] = string(m.rest[:n])
		m.rest = m.rest[n+1:]
	}
	g := global{lines[0], lines[1]}
	if !g.isKnown() {
		return fmt.Errorf("pickle: it asks for %.100q of the module %.100q, which no tensor needs; nothing was run", g.name,
			g.module)
	}
	m.push(g)
	return nil
}

// reduce keeps a function and its arguments. An OrderedDict is made at once, for it is filled afterwards.
func (m *machine) reduce() error {
	pair, err := m.operands(false, 2)
	if err != nil {
		return err
	}
	args, ok := pair[1].(tuple)
	if !ok {
		return errors.New("pickle: it calls a function without a tuple of arguments")
	}
	if pair[0] == any(global{"collections", "OrderedDict"}) {
		if len(args) != 0 {
			return fmt.Errorf("pickle: OrderedDict with %d arguments, want none", len(args))
		}
		m.push(&dict{})
		return nil
	}
	if _, ok := pair[0].(global); !ok {
		return errors.New("pickle: it calls what is no function")
	}
	m.push(call{pair[0], args})
	return nil
}
