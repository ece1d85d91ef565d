package synth_test

import (
	"context"
	"fmt"

	"github.com/histdist/histdist/internal/synth"
)

func ExampleGenerate() {
	c := synth.Default()
	c.Size, c.Marker = 128, synth.HER2
	pair, err := synth.Generate(context.Background(), c, 9)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pair.HE.Width, pair.IHC.Width, pair.Truth.Patient, pair.Truth.Name)
	// Output: 128 128 P002 P002_1_9
}
