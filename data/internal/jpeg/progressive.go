package jpeg

// progressiveBlock decodes a scan's part of a block, in the file's order (T.81, G.1.2; libjpeg's jdphuff.c).
func (d *decoder) progressiveBlock(c *scanComponent, b *bitReader, block *[64]int16) error {
	s := &d.scan
	switch {
	case s.first == 0 && s.high == 0:
		b.fill()
		size, err := b.symbol(c.dc)
		if err != nil {
			return err
		}
		if size > 0 {
			c.previous += extend(b.bits(int(size)), int(size))
		}
		block[0] = int16(c.previous << s.low)
		return nil
	case s.first == 0:
		b.fill()
		if b.bits(1) != 0 {
			block[0] |= 1 << s.low
		}
		return nil
	case s.high == 0:
		return d.firstAC(c, b, block)
	}
	return d.refineAC(c, b, block)
}

func (d *decoder) firstAC(c *scanComponent, b *bitReader, block *[64]int16) error {
	s := &d.scan
	if s.blocksEnded > 0 {
		s.blocksEnded--
		return nil
	}
	for k := s.first; k <= s.last; k++ {
		b.fill()
		symbol, err := b.symbol(c.ac)
		if err != nil {
			return err
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run == 15 {
				k += 15
				continue
			}
			s.blocksEnded = 1<<run - 1 + int(b.bits(run))
			return nil
		}
		k += run
		if k > s.last {
			return errCode
		}
		block[k] = int16(extend(b.bits(size), size) << s.low)
	}
	return nil
}

func (d *decoder) refineAC(c *scanComponent, b *bitReader, block *[64]int16) error {
	s := &d.scan
	bit := int16(1) << s.low
	k := s.first
	if s.blocksEnded == 0 {
		for ; k <= s.last; k++ {
			b.fill()
			symbol, err := b.symbol(c.ac)
			if err != nil {
				return err
			}
			run, size := int(symbol>>4), int(symbol&15)
			var value int16
			switch {
			case size == 1:
				value = -bit
				if b.bits(1) != 0 {
					value = bit
				}
			case size != 0:
				return errCode
			case run != 15:
				s.blocksEnded = 1<<run + int(b.bits(run))
			}
			if s.blocksEnded > 0 {
				break
			}
			// Pass run coefficients that are still zero, refining those that are not.
			for ; k <= s.last; k++ {
				if block[k] != 0 {
					refine(b, &block[k], bit)
					continue
				}
				if run == 0 {
					break
				}
				run--
			}
			if value != 0 {
				if k > s.last {
					return errCode
				}
				block[k] = value
			}
		}
	}
	if s.blocksEnded > 0 {
		for ; k <= s.last; k++ {
			if block[k] != 0 {
				refine(b, &block[k], bit)
			}
		}
		s.blocksEnded--
	}
	return nil
}

// refine reads one more bit of a coefficient that is not zero.
func refine(b *bitReader, coefficient *int16, bit int16) {
	b.fill()
	if b.bits(1) == 0 || *coefficient&bit != 0 {
		return
	}
	if *coefficient >= 0 {
		*coefficient += bit
	} else {
		*coefficient -= bit
	}
}
