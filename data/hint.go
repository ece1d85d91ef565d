package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/internal/walk"
)

// ErrNoPairs is the error of a location without a single pair.
var ErrNoPairs = errors.New("no pairs of images")

// noPairs says what was looked for, what is there, and how it might be read.
func (l *listed) noPairs(ctx context.Context, loc Location) error {
	looked := ""
	if loc.layout() != CSV {
		looked = "; looked for " + strings.Join(walk.Extensions(), ", ")
	}
	return withHints(fmt.Errorf("data: %w in %s%s", ErrNoPairs, loc, looked), slices.Concat(l.looked, hints(ctx, loc)))
}

func withHints(err error, hints []string) error {
	if len(hints) == 0 {
		return err
	}
	return fmt.Errorf("%w\n\t%s", err, strings.Join(hints, "\n\t"))
}

// hints suggest how a location with few or no pairs might be read instead.
func hints(ctx context.Context, loc Location) []string {
	var list []string
	for _, layout := range []Layout{MIST, BCI} {
		if layout == loc.layout() || loc.layout() == Folders {
			continue
		}
		other := loc
		other.Layout, other.Split, other.Suffixes = layout, "", ""
		if l, err := listAsIs(ctx, other); err == nil && len(l.pairs) > 0 {
			list = append(list,
				fmt.Sprintf("the layout %s finds %s (--layout %[1]s, data.layout)", layout, plural(len(l.pairs), "pair")))
		}
	}
	if len(list) > 0 || loc.Suffixes != "" {
		return list
	}
	switch loc.layout() {
	case Folders:
		he, ihc := loc.sides()
		a, b := names(ctx, he.folder), names(ctx, ihc.folder)
		if d, ok := detect(a, b, walk.SameFile(he.folder, ihc.folder)); ok {
			list = append(list, d.hint(""))
		}
	case MIST, BCI, Combined:
		found := names(ctx, loc.Root)
		if d, ok := detect(found, found, true); ok {
			list = append(list, d.hint("--layout folders "))
		}
		if lists, err := filepath.Glob(filepath.Join(loc.Root, "*.csv")); err == nil && len(lists) > 0 {
			list = append(list, "there is a list: "+lists[0])
		}
	}
	return list
}

func (d detected) hint(layout string) string {
	suffixes := d.suffixes
	if strings.ContainsAny(suffixes, "*& ()") {
		suffixes = "'" + suffixes + "'"
	}
	text := fmt.Sprintf("by their names %s could belong together, such as %s and %s: %s--suffixes %s",
		plural(d.pairs, "pair"), d.he, d.ihc, layout, suffixes)
	if layout != "" {
		text += " (data.layout, data.suffixes)"
	} else {
		text += " (data.suffixes)"
	}
	if d.guessed {
		text += "; the H&E images come first, so exchange the two if they are the others"
	}
	return text
}

// names are the stems of the images in a folder and its sub-folders.
func names(ctx context.Context, folder string) []string {
	l, err := walk.Images(ctx, folder, walk.Options{})
	if err != nil {
		return nil // what is wrong with it was said
	}
	var list []string
	for _, f := range l.Files {
		list = append(list, f.Stem)
	}
	return list
}

// contents says in a few words what is in a folder without images.
func contents(ctx context.Context, folder string) string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err.Error()
	}
	var folders []string
	kinds := map[string]int{}
	for _, e := range entries {
		switch {
		case walk.Hidden(e.Name()):
		case isFolder(filepath.Join(folder, e.Name())):
			folders = append(folders, e.Name())
		default:
			kinds[strings.ToLower(filepath.Ext(e.Name()))]++
		}
	}
	var parts []string
	if len(folders) > 0 {
		text := "the folders " + among(folders)
		if len(folders) == 1 {
			text = "the folder " + folders[0]
		}
		if below := names(ctx, folder); len(below) > 0 {
			text += fmt.Sprintf(" with %s, such as %s", plural(len(below), "image"), below[0])
		}
		parts = append(parts, text)
	}
	for _, kind := range sortedKeys(kinds) {
		if kind == "" {
			parts = append(parts, plural(kinds[kind], "file")+" without an extension")
		} else {
			parts = append(parts, plural(kinds[kind], kind+" file"))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return among(parts)
}
