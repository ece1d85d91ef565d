package walk

import (
	"context"
	"io/fs"
)

// ImagesWith is Images with another way to list a folder: for root there is none that can't be read.
func ImagesWith(
	ctx context.Context, folder string, o Options, readDir func(string) ([]fs.DirEntry, error),
) (*Listing, error) {
	w := newWalker(ctx, folder, o)
	w.readDir = readDir
	return w.images()
}
