package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/histdist/histdist/internal/parallel"
)

// Fingerprint identifies a file's content, whatever its path and time, so a copy has the same one.
type Fingerprint struct {
	Bytes   int64
	Sampled string // hash of the size and of parts of the file; "" for a file that can't be read
	Full    string // SHA-256 of the whole file, "" if that wasn't asked for
}

// Sampled covers a file of up to sampleParts×samplePart bytes whole, of a longer one that many evenly spaced parts,
// first and last bytes included. Compressed images differ in everything after the first changed pixel.
const (
	sampleParts = 4
	samplePart  = 16 << 10
)

// Fingerprints reads files: whole if full, else parts of each. A file that can't be read gets a zero Fingerprint.
func Fingerprints(ctx context.Context, paths []string, full bool) ([]Fingerprint, error) {
	list := make([]Fingerprint, len(paths))
	err := parallel.Each(ctx, len(paths), 2*runtime.GOMAXPROCS(0), func(i int) error {
		if f, err := fingerprint(paths[i], full); err == nil {
			list[i] = f
		}
		return nil
	})
	return list, err
}

func fingerprint(path string, full bool) (f Fingerprint, err error) {
	file, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return f, err
	}
	f.Bytes = info.Size()
	sum := sha256.New()
	fmt.Fprintf(sum, "%d\n", f.Bytes)
	if f.Bytes <= sampleParts*samplePart {
		_, err = io.Copy(sum, io.NewSectionReader(file, 0, f.Bytes))
	} else {
		for i := range int64(sampleParts) {
			at := i * (f.Bytes - samplePart) / (sampleParts - 1)
			if _, err = io.Copy(sum, io.NewSectionReader(file, at, samplePart)); err != nil {
				break
			}
		}
	}
	if err != nil {
		return f, err
	}
	f.Sampled = hex.EncodeToString(sum.Sum(nil)[:16])
	if full {
		sum.Reset()
		if _, err := io.Copy(sum, file); err != nil {
			return f, err
		}
		f.Full = hex.EncodeToString(sum.Sum(nil))
	}
	return f, nil
}

// Same reports whether two files have the same content, as far as both fingerprints say.
func (f Fingerprint) Same(o Fingerprint) bool {
	return f.Bytes == o.Bytes && f.Sampled == o.Sampled && (f.Full == o.Full || f.Full == "" || o.Full == "")
}
