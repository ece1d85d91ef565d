package features

import "github.com/histdist/histdist/graph/vit"

// OpenTileEncoder opens a network of GigaPath's kind of another size: the true one has 1.13 billion parameters.
func OpenTileEncoder(c vit.TimmConfig, path string, o Options) (*Extractor, error) {
	return open(GigaPath, gigapathRecipe(c), path, o)
}
