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
			columns(out, in, taps)
		}
	})
	return dst
}

// columns sums up the rows of in, as many as taps, each as long as out.
func columns(out, in []uint8, taps []uint64) {
	stride := len(out)
	x := 0
	for ; x+8 <= stride; x += 8 {
		s0, s1, s2, s3 := uint64(begin), uint64(begin), uint64(begin), uint64(begin)
		at := x
		for _, k := range taps {
			v := binary.LittleEndian.Uint64(in[at:])
			s0 += v & lanes * k
			s1 += v >> 8 & lanes * k
			s2 += v >> 16 & lanes * k
			s3 += v >> 24 & lanes * k
			at += stride
		}
		binary.LittleEndian.PutUint64(out[x:], clip(s0)|clip(s1)<<8|clip(s2)<<16|clip(s3)<<24)
	}
	for ; x < stride; x++ {
		sum := uint64(begin)
		for t, k := range taps {
			sum += uint64(in[x+t*stride]) * k
		}
		out[x] = uint8(clip(sum))
	}
}
