package pillow

// A uint64 carries two 32-bit sums, so one multiplication by a weight serves two pixel values: twice the values per
// multiplication of plain int32. Sums begin with 256 more than they stand for, which keeps them above 0, so that none
// borrows from the other.

const (
	bias = 256<<precision | 1<<(precision-1) // one half, which makes the final shift round
	// begin is what two sums begin with.
	begin = bias | bias<<32
	// lanes selects one byte of either half.
	lanes = 0x000000FF_000000FF
	ones  = 0x00000001_00000001
)

// clip returns the levels of two sums, in the lowest byte of either half.
func clip(sums uint64) uint64 {
	sums >>= precision
	above := sums >> 9 & ones           // 512 and more stand for 256 and more
	within := sums >> 8 & ones &^ above // less than 256 for less than 0
	return sums&(within*255) | above*255
}
