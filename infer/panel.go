package infer

import (
	"path/filepath"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
)

// PanelName is the file of an output's panel.
func PanelName(output string) string {
	return strings.TrimSuffix(output, filepath.Ext(output)) + "-panel.png"
}

// Panel puts images side by side with a white gap between them, aligned at the top.
func Panel(images ...*imagefile.Image) *imagefile.Image {
	const gap = 8
	width, height := -gap, 0
	for _, m := range images {
		width += m.Width + gap
		height = max(height, m.Height)
	}
	panel := imagefile.New(width, height)
	for i := range panel.Pix {
		panel.Pix[i] = 255
	}
	x := 0
	for _, m := range images {
		for y := range m.Height {
			copy(panel.Pix[(y*width+x)*3:], m.Pix[y*m.Width*3:(y+1)*m.Width*3])
		}
		x += m.Width + gap
	}
	return panel
}
