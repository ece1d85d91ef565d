package jpeg

// baselineBlock decodes a block of a sequential scan (T.81, F.2.2) into zeroed coefficients, dequantised and in rows.
// It returns the place, in the file's order, of the last coefficient that may not be zero.
func (c *scanComponent) baselineBlock(b *bitReader, block *[64]int32) (last int, err error) {
	b.fill()
	size, err := b.symbol(c.dc)
	if err != nil {
		return 0, err
	}
	if size > 0 {
		c.previous += extend(b.bits(int(size)), int(size))
	}
	block[0] = int32(int16(c.previous)) * c.quant[0]
	for k := 1; k < 64; {
		b.fill()
		if whole := c.ac.whole[b.acc>>(64-lookBits)]; whole != 0 {
			length := int(whole & 15)
			b.acc <<= length
			b.n -= length
			k += int(whole >> 4 & 15)
			if k > 63 {
				return 0, errCode
			}
			at := zigzag[k] & 63
			block[at] = whole >> 8 * c.quant[at]
			last = k
			k++
			continue
		}
		symbol, err := b.symbol(c.ac)
		if err != nil {
			return 0, err
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run != 15 {
				break // end of block
			}
			k += 16
			continue
		}
		k += run
		if k > 63 {
			return 0, errCode
		}
		at := zigzag[k] & 63
		block[at] = extend(b.bits(size), size) * c.quant[at]
		last = k
		k++
	}
	return last, nil
}
