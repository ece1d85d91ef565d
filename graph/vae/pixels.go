package vae

// Signed returns 8-bit values as the networks take them: 2·(x/255) − 1 in float32, the division first.
func Signed(rgb []uint8) []float32 {
	var table [256]float32
	for x := range table {
		table[x] = 2*(float32(x)/255) - 1
	}
	values := make([]float32, len(rgb))
	for i, x := range rgb {
		values[i] = table[x]
	}
	return values
}
