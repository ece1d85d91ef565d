package tissue

// saturation is that of HSV, 0 to 255: glass and dust have next to none, and eosin and haematoxylin much. What is
// nearly black, such as the surroundings of a scan, has a saturation of noise and gets 0.
func saturation(pix []uint8) []uint8 {
	const nearlyBlack = 24
	out := make([]uint8, len(pix)/3)
	for i := range out {
		r, g, b := pix[3*i], pix[3*i+1], pix[3*i+2]
		if top := max(r, g, b); top >= nearlyBlack {
			out[i] = uint8((int(top) - int(min(r, g, b))) * 255 / int(top))
		}
	}
	return out
}

// otsu is the value that best separates a histogram in two: the greatest variance between the classes ≤ it and > it
// (Otsu, 1979, equation 18). Of several equally good ones it is the middle.
func otsu(histogram *[256]int) int {
	total, sum := 0, 0.0
	for v, n := range histogram {
		total, sum = total+n, sum+float64(v*n)
	}
	below, sumBelow := 0, 0.0
	best, first, last := -1.0, 0, 0
	for v, n := range histogram {
		below, sumBelow = below+n, sumBelow+float64(v*n)
		if below == 0 || below == total {
			continue
		}
		apart := sumBelow/float64(below) - (sum-sumBelow)/float64(total-below)
		switch between := float64(below) * float64(total-below) * apart * apart; {
		case between > best:
			best, first, last = between, v, v
		case between == best:
			last = v
		}
	}
	return (first + last) / 2
}
