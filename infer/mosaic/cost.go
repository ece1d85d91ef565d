package mosaic

import (
	"fmt"
	"math"

	"github.com/histdist/histdist/graph/schedule"
)

// Plan says what a run will take.
type Plan struct {
	Width, Height int     // of the image in pixels
	Tissue        int64   // pixels to translate
	Area          float64 // of them in mm²; 0 if the size of pixels is unknown
	Window        int     // side of a window in pixels
	Windows       int     // different ones
	Regions       int     // with tissue
	Overlap       float64 // windows' pixels for each pixel of windows that would not overlap
	Dear          string  // why Overlap is above what is aimed at; "" if it isn't
	Sampled       int     // windows of the first pass, for the statistics
	Calls         int64   // of the U-Net, for one window each
	Preview       int64   // calls of the U-Net for a preview, before those
	Encodes       int64   // windows to encode
	Decodes       int64   // windows to decode
	Memory        int64   // bytes, beyond the networks
	Disk          int64   // bytes, in the folder
}

// String says it in lines for a user.
func (p Plan) String() string {
	share := 100 * float64(p.Tissue) / (float64(p.Width) * float64(p.Height))
	text := fmt.Sprintf("image: %d×%d pixels, of which %.1f %% are translated", p.Width, p.Height, share)
	if p.Area > 0 {
		text += fmt.Sprintf(": %.3g mm²", p.Area)
	}
	regions := "1 region"
	if p.Regions != 1 {
		regions = fmt.Sprintf("%d regions", p.Regions)
	}
	text += fmt.Sprintf("\nwindows: %d of %d pixels in %s; overlaps make %.2f times the work of tiles without\n",
		p.Windows, p.Window, regions, p.Overlap)
	if p.Dear != "" {
		text += fmt.Sprintf("overlaps make more than %.1f times the work because %s\n", mostWork, p.Dear)
	}
	text += fmt.Sprintf("U-Net calls: %d\n", p.Calls)
	if p.Preview > 0 {
		text += fmt.Sprintf("preview: %d U-Net calls before those\n", p.Preview)
	}
	if p.Sampled > 0 {
		text += fmt.Sprintf("statistics: of %d windows, in a first pass\n", p.Sampled)
	}
	return text + fmt.Sprintf("memory: %s beyond the networks; disk: up to %s until the output is whole",
		size(p.Memory), size(p.Disk))
}

// size writes bytes as a user reads them.
func size(bytes int64) string {
	if bytes < 1e9 {
		return fmt.Sprintf("%.0f MB", math.Ceil(float64(bytes)/1e6))
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
}

// How many windows statistics are taken over. With 16 instead of all 25 of an image, the positive area differed by 4 %.
const (
	leastSampled = 64
	mostSampled  = 256
)

// plan is what a run takes.
func (l *layout) plan(r Request, regions []region, tokenBytes int) Plan {
	p := Plan{
		Width: l.width, Height: l.height, Tissue: r.Mask.area(l.width, l.height), Window: l.side * l.factor,
		Windows: l.windows(), Regions: len(regions),
	}
	p.Area = float64(p.Tissue) * r.MPP[0] * r.MPP[1] / 1e6
	var largest, tokens int
	for _, g := range regions {
		n := l.count(g.rows, g.cols)
		largest, tokens = max(largest, g.area.h*g.area.w), max(tokens, n)
		p.Calls += l.calls(r.Sampling, g)
		p.Encodes += int64(n)
		p.Decodes += int64(l.count(l.painting(g)))
	}
	if l.slideWide(r) && len(regions) > 1 {
		p.Sampled = min(max(p.Windows/20, leastSampled), mostSampled, p.Windows)
		largest, tokens = max(largest, p.Sampled*l.rows.window*l.cols.window), max(tokens, p.Sampled)
		p.Calls += int64(p.Sampled * r.Sampling.Inversions())
		p.Encodes += int64(p.Sampled)
	}
	p.Overlap = l.work()
	p.Dear = l.dear(r.Settings)
	// Of a canvas: latents, condition, output, noise and two of the solver's history, four channels each, and weights.
	p.Memory = int64(largest)*(6*4*4+8) + int64(tokens)*int64(tokenBytes) + 10*16*int64(largest)
	p.Memory += 3 * int64(l.width) * 3 * stripRows                                  // made, waiting, being written
	p.Memory += 3 * int64(l.rows.window*l.factor) * int64(min(l.width, bandPixels)) // a row of windows
	p.Disk = p.Tissue*3/2 + int64(math.Ceil(float64(largest)*16))*int64(len(regions))
	return p
}

// slideWide reports whether latents are standardised with statistics over the whole image.
func (l *layout) slideWide(r Request) bool {
	return r.Settings.Statistics == StatisticsSlide && r.Sampling.Normalize != schedule.NormalizeNone
}

const (
	// mostWork is how much more work overlaps may make than tiles without, wherever windows can be placed so.
	mostWork = 1.8
	// usualOverlap is the largest part of a window that the next one shares without more work than that in a large
	// image: 1/(1−0.25)² = 1.78. Who asks for more gets it.
	usualOverlap = 0.25
	// leastOverlap is what an overlap may be reduced to: windows of 512 pixels hand over to the next in 64.
	leastOverlap = 0.125
)

// affordable is the largest overlap in latents, up to one that was asked for, with which windows make no more than
// mostWork: where there is none, because the image is hardly larger than a window or regions are small, the one that
// makes the least.
func (l layout) affordable(s Settings, most int) int {
	s.Shift = 0 // a grid that is moved has the same overlaps
	least := min(int(math.Ceil(leastOverlap*float64(l.side))), most)
	best, bestWork := most, math.Inf(1)
	for overlap := most; overlap >= least; overlap-- {
		l.divide(s, overlap)
		work := l.work()
		if work <= mostWork {
			return overlap
		}
		if work < bestWork {
			best, bestWork = overlap, work
		}
	}
	return best
}

// work is how many windows are computed for each tile of a grid without overlaps that touches the mask.
func (l *layout) work() float64 { return float64(l.computed()) / float64(l.alone) }

// dear says why overlaps make more than mostWork; "" if they don't.
func (l *layout) dear(s Settings) string {
	if l.work() <= mostWork {
		return ""
	}
	if s.Overlap > usualOverlap {
		return fmt.Sprintf("windows share %g of their side, as was asked for", s.Overlap)
	}
	whole := *l
	whole.regionRows = []span{{0, len(l.rows.starts)}}
	whole.regionCols = []span{{0, len(l.cols.starts)}}
	if whole.work() <= mostWork {
		return fmt.Sprintf("regions of %d pixels share too many of their windows: larger ones take less time and more "+
			"memory", s.Region)
	}
	if s.Shift > 0 {
		return "the grid of windows is moved"
	}
	return fmt.Sprintf("what is translated is hardly larger than a window of %d pixels", l.side*l.factor)
}
