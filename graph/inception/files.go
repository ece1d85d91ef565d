package inception

import (
	"strings"

	"github.com/histdist/histdist/graph/weights"
)

// Mapping allows what a published file has in addition to the network's tensors: the classifier, the auxiliary head,
// and BatchNorm's counters.
func Mapping() weights.Mapping {
	return weights.Mapping{Ignore: func(name string) bool {
		return strings.HasPrefix(name, "fc.") || strings.HasPrefix(name, "AuxLogits.") ||
			strings.HasSuffix(name, ".num_batches_tracked")
	}}
}
