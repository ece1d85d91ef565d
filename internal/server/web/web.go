// Package web has the page of `histdist serve`: TypeScript sources in src, and dist, which `make web` builds of them
// with npm and which is committed, so that building the program needs Go alone.
//
// The page is one HTML file, a script, a style sheet and an icon. It asks the server under api/v1, relative to its own
// address, for everything else, has no inline script or style and no eval, and so satisfies
//
//	default-src 'self'; img-src 'self' data: blob:; style-src 'self'
//
// e2e has the tests in a browser (`make web-test`).
package web

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files returns the page: index.html, its files under assets, and LICENSES.txt with the licences of what is bundled.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // only for an invalid name
	}
	return files
}
