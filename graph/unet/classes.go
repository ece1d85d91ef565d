package unet

import "fmt"

// ClassTable is the parameter with a row for each class label.
const ClassTable = "class_embedding.weight"

// ClassWidth is the size of its rows.
func (c Config) ClassWidth() int { return 4 * c.BlockOutChannels[0] }

// OneHot returns class labels as Network.Classes takes them: [N] → [N,num_class_embeds]; nil for a network without
// class labels, which takes none.
func (c Config) OneHot(labels []int) ([]float32, error) {
	if c.NumClassEmbeds == 0 {
		if len(labels) > 0 {
			return nil, fmt.Errorf("unet: %d class labels for a network without them", len(labels))
		}
		return nil, nil
	}
	values := make([]float32, len(labels)*c.NumClassEmbeds)
	for i, label := range labels {
		if label < 0 || label >= c.NumClassEmbeds {
			return nil, fmt.Errorf("unet: class label %d: want 0 to %d", label, c.NumClassEmbeds-1)
		}
		values[i*c.NumClassEmbeds+label] = 1
	}
	return values, nil
}

// WidenClasses gives class_embedding's weight more rows: [R,C] → [classes,C]; nil of shape [0,C] is a network without
// one. New rows are zero, so that at first the network doesn't see the labels.
func WidenClasses(weight []float32, shape []int, classes int) ([]float32, []int, error) {
	if len(shape) != 2 || shape[0]*shape[1] != len(weight) {
		return nil, nil, fmt.Errorf("widen: weight of shape %v with %d elements: want [R,C]", shape, len(weight))
	}
	if classes < shape[0] {
		return nil, nil, fmt.Errorf("widen: class_embedding has %d rows, more than %d", shape[0], classes)
	}
	wide := make([]float32, classes*shape[1])
	copy(wide, weight)
	return wide, []int{classes, shape[1]}, nil
}
