package pillow

import "encoding/binary"

// horizontal makes the rows of src as wide as w says. Rows go through in pairs, one in each half of the sums.
func horizontal(src Image, w *weights) Image {
	dst := newImage(src.Height, len(w.first), src.Channels)
	inBytes, outBytes := src.Width*src.Channels, dst.Width*dst.Channels
	inParallel((src.Height+1)/2, 2*inBytes, func(from, to int) {
		pair := make([]uint64, src.Width)
		for p := from; p < to; p++ {
			// A last row without a partner is its own.
			y0 := 2 * p
			y1 := min(y0+1, src.Height-1)
			in0, in1 := src.Pix[y0*inBytes:][:inBytes], src.Pix[y1*inBytes:][:inBytes]
			out0, out1 := dst.Pix[y0*outBytes:][:outBytes], dst.Pix[y1*outBytes:][:outBytes]
			if src.Channels == 3 {
				pairRGB(pair, in0, in1)
				sumRGB(out0, out1, pair, w)
			} else {
				pairL(pair, in0, in1)
				sumL(out0, out1, pair, w)
			}
		}
	})
	return dst
}

// pairRGB packs two rows [width,3] into pair [width]: red, green, blue and an ignored byte in either half.
func pairRGB(pair []uint64, row0, row1 []uint8) {
	last := len(pair) - 1
	for i := range pair[:last] {
		pair[i] = uint64(binary.LittleEndian.Uint32(row0[3*i:])) | uint64(binary.LittleEndian.Uint32(row1[3*i:]))<<32
	}
	for i, c := range row0[3*last:] {
		pair[last] = pair[last]&^(lanes<<(8*i)) | uint64(c)<<(8*i) | uint64(row1[3*last+i])<<(8*i+32)
	}
}

// sumRGB resamples two packed rows into out0, out1 [outputs,3].
func sumRGB(out0, out1 []uint8, pair []uint64, w *weights) {
	for x := range w.first {
		first, taps := w.taps(x)
		r, g, b := dotRGB(pair[first:], taps)
		o0, o1 := (*[3]uint8)(out0[3*x:]), (*[3]uint8)(out1[3*x:])
		o0[0], o0[1], o0[2] = low(r), low(g), low(b)
		o1[0], o1[1], o1[2] = high(r), high(g), high(b)
	}
}

// dotRGB sums up packed pixels.
//
//go:noinline // on its own the loop keeps its values in registers: 1.1× over being part of sumRGB
func dotRGB(in, taps []uint64) (r, g, b uint64) {
	in = in[:len(taps)]
	r, g, b = half, half, half
	for i, k := range taps {
		v := in[i]
		r += v & lanes * k
		g += v >> 8 & lanes * k
		b += v >> 16 & lanes * k
	}
	return r, g, b
}

// pairL packs the pixels of two rows [width] into pair [width].
func pairL(pair []uint64, row0, row1 []uint8) {
	for i := range pair {
		pair[i] = uint64(row0[i]) | uint64(row1[i])<<32
	}
}

// sumL resamples two packed rows into out0, out1 [outputs].
func sumL(out0, out1 []uint8, pair []uint64, w *weights) {
	for x := range w.first {
		first, taps := w.taps(x)
		in := pair[first:][:len(taps)]
		sum := uint64(half)
		for i, k := range taps {
			sum += in[i] * k
		}
		out0[x], out1[x] = low(sum), high(sum)
	}
}
