package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/weights"
)

// Adapter is an adapter that is added to a U-Net's weights.
type Adapter struct {
	Digest string  `json:"digest"` // of its content
	Weight float64 `json:"weight"`
}

// adapt adds the adapters to the U-Net's weights.
func (m *Model) adapt(o Options) error {
	fit := lora.Fit{Other: o.OtherBase}
	for _, use := range o.Adapters {
		a, err := lora.Open(use.Path)
		if err != nil {
			return err
		}
		if a.Base != "" && fit.Base == "" {
			if fit.Base, err = fingerprintOf(m.unet, userDigests()); err != nil {
				return err
			}
		}
		if err := a.AddTo(m.unet, use.Weight, fit); err != nil {
			return err
		}
		m.Adapters = append(m.Adapters, Adapter{a.Digest, use.Weight})
	}
	return nil
}

// UNetFingerprint is a hash of a U-Net's weights, 16 hexadecimal digits: what adapters record of their base.
func UNetFingerprint(folder, variant string) (_ string, err error) {
	v := variants{wanted: variant}
	s, err := weights.Open(folder, weights.Options{Variant: v.of(folder)})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return fingerprintOf(s, userDigests())
}

func fingerprintOf(s *weights.Store, c digestCache) (string, error) {
	text, err := c.digest(s)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}
