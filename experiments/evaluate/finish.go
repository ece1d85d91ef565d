package evaluate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/stain"
)

// finish adds counts, hashes of sets and warnings.
func (e *evaluation) finish() {
	r := e.results
	r.Counts.Pairs, r.Counts.Sizes = len(e.table.Rows), map[string]int{}
	for size, n := range e.m.sizes {
		r.Counts.Sizes[fmt.Sprintf("%d×%d", size[0], size[1])] = n
	}
	p := &e.m.pooled
	r.Histograms = Histograms{stain.BinWidth, parts(&p[realSet]), parts(&p[virtualSet]), parts(&p[heSet])}
	same := [len(candidates)]int{}
	for _, p := range e.table.Rows {
		if p.HE != "" {
			r.Counts.HE++
		}
		if p.VirtualHash != "" && p.VirtualHash == p.RealHash {
			same[0]++
		}
		if p.VirtualHash != "" && p.VirtualHash == p.HEHash {
			same[1]++
		}
	}
	r.Folders.RealHash, r.Folders.VirtualHash = e.hash(realSet), e.hash(virtualSet)
	if e.o.HE != "" {
		r.Folders.HEHash = e.hash(heSet)
	}
	if same[0] > 0 {
		e.warn("%d of %d virtual images are the real images, byte by byte", same[0], r.Counts.Pairs)
	}
	if same[1] > 0 {
		e.warn("%d of %d virtual images are the H&E images, byte by byte", same[1], r.Counts.Pairs)
	}
	if e.m.reals > 0 {
		e.warn("%d of %d real images say that they are virtual stains made by this program", e.m.reals, r.Counts.Pairs)
	}
	if n := r.Units.Count; r.Units.By == "patient" && n < fewPatients {
		e.warn("intervals are from %d patients or slides: with fewer than %d they are too narrow", n, fewPatients)
	}
	if n := len(r.Missing); n > 0 {
		e.warn("%d images have no partner and are left out", n)
	}
	for s, n := range e.m.origins {
		s.Files = n
		r.Provenance = append(r.Provenance, s)
	}
	sort.Slice(r.Provenance, func(i, j int) bool {
		a, b := r.Provenance[i], r.Provenance[j]
		if a.Key != b.Key {
			return a.Key < b.Key
		}
		return a.Value < b.Value
	})
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return strings.Compare(a.Where, b.Where) })
}

// parts normalises a histogram; nil if it is empty.
func parts(h *stain.Histogram) []float64 {
	n := float64(h.Pixels())
	if n == 0 {
		return nil
	}
	out := make([]float64, len(h.Counts))
	for i, count := range h.Counts {
		out[i] = float64(count) / n
	}
	return out
}

// hash is a set's hash: see Folders.
func (e *evaluation) hash(s source) string {
	h := sha256.New()
	for i := range e.table.Rows {
		p := &e.table.Rows[i]
		h.Write([]byte(p.Name + "\x00" + *s.hash(p) + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// write writes the files of the results.
func (e *evaluation) write() error {
	if err := e.table.Write(filepath.Join(e.o.Output, TableFile)); err != nil {
		return err
	}
	data, err := e.results.JSON()
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(e.o.Output, ResultsFile), data); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(e.o.Output, MarkdownFile), []byte(e.results.Markdown()))
}
