package evaluate

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/histdist/histdist/internal/claim"
)

// group are consecutive pairs whose images go through networks together.
type group struct {
	name     string
	from, to int // rows of the table, to excluded
}

// groups are as many pairs each as a batch has room for, at least one. They are the same for all processes with the
// same images and the same batch.
func (e *evaluation) groups() (all []group) {
	sets := 2
	if e.o.HE != "" {
		sets = 3
	}
	rows, size := e.table.Rows, max(e.batch()/sets, 1)
	for from := 0; from < len(rows); from += size {
		g := group{rows[from].Name, from, min(from+size, len(rows))}
		if g.to-from > 1 {
			g.name += " to " + rows[g.to-1].Name
		}
		all = append(all, g)
	}
	return all
}

// file is what a shard has computed of the group, for the output folder's cache.
func (g group) file(output string) string {
	sum := sha256.Sum256([]byte(g.name))
	return filepath.Join(output, claim.FolderName, "parts", hex.EncodeToString(sum[:12])+".bin")
}

// wanted lists the images of a group whose features are compared: those of pairs of which both images are readable.
func (e *evaluation) wanted(g group) (images []wanted) {
	for i := g.from; i < g.to; i++ {
		row := &e.table.Rows[i]
		for _, candidate := range candidates {
			if !e.m.readable[realSet][i] || !e.m.readable[candidate.source][i] {
				continue
			}
			for _, s := range []source{realSet, candidate.source} {
				images = append(images, wanted{s.path(row.Match), *s.hash(row)})
			}
		}
	}
	return images
}
