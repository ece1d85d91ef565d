package pillow

import "encoding/binary"

// vertical makes as many rows of src as w says. It goes through a row by eight bytes, whatever the number of channels.
func vertical(src Image, w *weights) Image {
	dst := newImage(len(w.first), src.Width, src.Channels)
	stride := src.Width * src.Channels
	inParallel(dst.Height, stride*w.stride, func(from, to int) {
		for y := from; y < to; y++ {
			first, taps := w.taps(y)
			in, out := src.Pix[first*stride:][:len(taps)*stride], dst.Pix[y*stride:][:stride]
			whole := stride &^ 7
			for x := 0; x < whole; x += 8 {
				column8((*[8]uint8)(out[x:]), in[x:], stride, taps)
			}
			for x := whole; x < stride; x++ {
				sum := int32(1 << (precision - 1))
				for t, k := range taps {
					sum += int32(in[x+t*stride]) * int32(k)
				}
				out[x] = clip(sum)
			}
		}
	})
	return dst
}

// column8 sums up eight neighbouring bytes of every row of in, which lie stride apart.
func column8(out *[8]uint8, in []uint8, stride int, taps []uint64) {
	s0, s1, s2, s3 := uint64(half), uint64(half), uint64(half), uint64(half)
	at := 0
	for _, k := range taps {
		v := binary.LittleEndian.Uint64(in[at:])
		s0 += v & lanes * k
		s1 += v >> 8 & lanes * k
		s2 += v >> 16 & lanes * k
		s3 += v >> 24 & lanes * k
		at += stride
	}
	*out = [8]uint8{low(s0), low(s1), low(s2), low(s3), high(s0), high(s1), high(s2), high(s3)}
}
