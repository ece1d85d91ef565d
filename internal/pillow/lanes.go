package pillow

// A uint64 carries two signed 32-bit sums, so one multiplication by a weight serves two pixel values. A negative low
// sum has borrowed from the high one, which low and high undo. Twice the values per multiplication of plain int32.

// half starts both sums at one half, which makes the final shift round.
const half = 1<<(precision-1) | 1<<(precision-1+32)

// lanes selects one byte of either half.
const lanes = 0x000000FF_000000FF

func low(sum uint64) uint8 { return clip(int32(sum)) }

func high(sum uint64) uint8 { return clip(int32((sum - uint64(int64(int32(sum)))) >> 32)) }

func clip(sum int32) uint8 { return uint8(min(max(sum>>precision, 0), 255)) }
