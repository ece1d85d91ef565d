package tiff

import (
	"bufio"
	"io"
)

// packBits decodes runs and literals (TIFF 6.0, section 9).
type packBits struct {
	in      *bufio.Reader
	left    int // bytes of the current packet still to come
	literal bool
	value   byte
}

func (p *packBits) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if p.left == 0 {
			head, err := p.in.ReadByte()
			if err != nil {
				return n, err
			}
			switch {
			case head == 128:
				continue
			case head < 128:
				p.left, p.literal = int(head)+1, true
			default:
				p.left, p.literal = 257-int(head), false
				if p.value, err = p.in.ReadByte(); err != nil {
					return n, err
				}
			}
		}
		part := b[n:min(n+p.left, len(b))]
		if p.literal {
			if _, err := io.ReadFull(p.in, part); err != nil {
				return n, err
			}
		} else {
			for i := range part {
				part[i] = p.value
			}
		}
		p.left -= len(part)
		n += len(part)
	}
	return n, nil
}
