//go:build !amd64

package jpeg

func hasVectors() bool { return false }

func (q *quantiser) forwardVectors(*block, []uint64, int) (zeros uint64) { panic("jpeg: no vectors") }

func convertVectors(_, _, _ []uint64, _, _ []uint8) int { panic("jpeg: no vectors") }
