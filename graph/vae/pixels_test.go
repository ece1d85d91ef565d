package vae_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/internal/golden"
)

func TestSigned(t *testing.T) {
	pix := make([]uint8, 256)
	for i := range pix {
		pix[i] = uint8(i)
	}
	want := golden.Open(t, "augment.safetensors").Float32(t, "value_of_byte").Data
	if diff := cmp.Diff(want, vae.Signed(pix)); diff != "" {
		t.Error(diff)
	}
}
