package tiff

import (
	"bufio"
	"errors"
	"io"
)

var errLZW = errors.New("a code that is not defined yet")

const (
	lzwClear = 256
	lzwEnd   = 257
	lzwFirst = 258 // the first code for a string of more than one byte
	lzwCodes = 4096
)

// lzw decodes TIFF's LZW (TIFF 6.0, section 13): codes of 9 to 12 bits from the highest bit on, which grow one code
// earlier than they must. Files from before 1988 have them from the lowest bit on and growing in time (old).
type lzw struct {
	in  *bufio.Reader
	old bool

	acc   uint32
	n     int // bits in acc
	width int

	next     int // the code that is defined next
	previous int // the code before; -1 after a clear code
	prefix   [lzwCodes]uint16
	last     [lzwCodes]byte // of a code's string
	first    [lzwCodes]byte
	length   [lzwCodes]uint16

	out  []byte // decoded and not yet read
	room [lzwCodes]byte
}

func (l *lzw) reset(in *bufio.Reader) {
	// As libtiff: a new file begins with a clear code, whose bits are 100000000 from the highest on.
	head, err := in.Peek(2)
	l.in, l.old = in, err == nil && head[0] == 0 && head[1]&1 != 0
	l.acc, l.n, l.out = 0, 0, nil
	for i := range 256 {
		l.last[i], l.first[i], l.length[i] = byte(i), byte(i), 1
	}
	l.clear()
}

func (l *lzw) clear() { l.width, l.next, l.previous = 9, lzwFirst, -1 }

func (l *lzw) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if len(l.out) == 0 {
			if err := l.decode(); err != nil {
				return n, err
			}
		}
		copied := copy(b[n:], l.out)
		l.out = l.out[copied:]
		n += copied
	}
	return n, nil
}

// decode decodes one code into out, which may stay empty.
func (l *lzw) decode() error {
	code, err := l.code()
	switch {
	case err != nil:
		return err
	case code == lzwClear:
		l.clear()
		return nil
	case code == lzwEnd:
		return io.EOF
	case l.previous < 0:
		if code > 255 {
			return errLZW
		}
	case code > l.next:
		return errLZW
	case l.next < lzwCodes: // define the next code: the string before, and the first byte of this one
		first := l.first[code]
		if code == l.next {
			first = l.first[l.previous]
		}
		l.prefix[l.next], l.last[l.next] = uint16(l.previous), first
		l.first[l.next], l.length[l.next] = l.first[l.previous], l.length[l.previous]+1
		l.next++
		early := 1
		if l.old {
			early = 0
		}
		if l.next+early >= 1<<l.width && l.width < 12 {
			l.width++
		}
	}
	l.previous = code
	size := int(l.length[code])
	l.out = l.room[:size]
	for at := size - 1; at >= 0; at-- {
		l.out[at] = l.last[code]
		code = int(l.prefix[code])
	}
	return nil
}

func (l *lzw) code() (int, error) {
	for l.n < l.width {
		b, err := l.in.ReadByte()
		if err != nil {
			return 0, err
		}
		if l.old {
			l.acc |= uint32(b) << l.n
		} else {
			l.acc = l.acc<<8 | uint32(b)
		}
		l.n += 8
	}
	l.n -= l.width
	mask := uint32(1)<<l.width - 1
	if l.old {
		code := l.acc & mask
		l.acc >>= l.width
		return int(code), nil
	}
	return int(l.acc >> l.n & mask), nil
}
