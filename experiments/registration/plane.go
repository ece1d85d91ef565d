package registration

import (
	"image"
	"math"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
)

// plane has one value for each pixel, [height,width].
type plane struct {
	width, height int
	values        []float64
}

func newPlane(width, height int) plane { return plane{width, height, make([]float64, width*height)} }

// densest is an optical density of haematoxylin beyond which pixels are alike: ink and folds don't outweigh nuclei.
const densest = 1.5

// haematoxylin returns the optical density of haematoxylin on a slide with these stains.
func haematoxylin(m *imagefile.Image, s stain.Stains) (plane, error) {
	separator, err := stain.New(s)
	if err != nil {
		return plane{}, err
	}
	table, err := separator.Table(stain.Haematoxylin)
	if err != nil {
		return plane{}, err
	}
	p := newPlane(m.Width, m.Height)
	for i := range p.values {
		p.values[i] = max(0, min(densest, table.At(m.Pix[3*i], m.Pix[3*i+1], m.Pix[3*i+2])))
	}
	return p, nil
}

// reduced has the means of factor × factor values each.
func (p plane) reduced(factor int) plane {
	if factor == 1 {
		return p
	}
	out := newPlane(p.width/factor, p.height/factor)
	for y := range out.height {
		for x := range out.width {
			sum := 0.0
			for dy := range factor {
				for _, v := range p.values[(y*factor+dy)*p.width+x*factor:][:factor] {
					sum += v
				}
			}
			out.values[y*out.width+x] = sum / float64(factor*factor)
		}
	}
	return out
}

// at interpolates bilinearly; outside it is the value of the nearest pixel.
func (p plane) at(x, y float64) float64 {
	x, y = max(0, min(x, float64(p.width-1))), max(0, min(y, float64(p.height-1)))
	i, j := min(int(x), max(p.width-2, 0)), min(int(y), max(p.height-2, 0))
	fx, fy := x-float64(i), y-float64(j)
	right, down := min(1, p.width-1), min(1, p.height-1)*p.width
	v := p.values[j*p.width+i:]
	top := v[0] + (v[right]-v[0])*fx
	bottom := v[down] + (v[down+right]-v[down])*fx
	return top + (bottom-top)*fy
}

// moved takes each value from where a transform says.
func (p plane) moved(t Transform) plane {
	out := newPlane(p.width, p.height)
	m := t.mapping(p.width, p.height)
	for y := range p.height {
		for x := range p.width {
			at := m.of(complex(float64(x), float64(y)))
			out.values[y*p.width+x] = p.at(real(at), imag(at))
		}
	}
	return out
}

// part cuts a square out of a plane.
func (p plane) part(x, y, side int) plane {
	out := newPlane(side, side)
	for j := range side {
		copy(out.values[j*side:(j+1)*side], p.values[(y+j)*p.width+x:])
	}
	return out
}

// deviation is the standard deviation of the values.
func (p plane) deviation() float64 {
	sum, squares := 0.0, 0.0
	for _, v := range p.values {
		sum += v
		squares += v * v
	}
	n := float64(len(p.values))
	return math.Sqrt(max(0, squares/n-sum/n*sum/n))
}

// resampled is a part of an image whose pixels are taken from where a mapping says: whole pixels as they are, others by
// Catmull and Rom's cubic.
func resampled(m *imagefile.Image, from mapping, part image.Rectangle) *imagefile.Image {
	out := imagefile.New(part.Dx(), part.Dy())
	for y := range out.Height {
		for x := range out.Width {
			at := from.of(complex(float64(part.Min.X+x), float64(part.Min.Y+y)))
			cubic(out.Pix[3*(y*out.Width+x):][:3], m, real(at), imag(at))
		}
	}
	return out
}

// cubic interpolates a pixel; beyond the edge are copies of it.
func cubic(to []uint8, m *imagefile.Image, x, y float64) {
	i, j := math.Floor(x+1e-6), math.Floor(y+1e-6)
	across, down := catmullRom(max(0, x-i)), catmullRom(max(0, y-j))
	var sum [3]float64
	for dy, wy := range down {
		if wy == 0 {
			continue
		}
		row := max(0, min(int(j)+dy-1, m.Height-1)) * m.Width
		for dx, wx := range across {
			p := m.Pix[3*(row+max(0, min(int(i)+dx-1, m.Width-1))):]
			for c := range sum {
				sum[c] += wy * wx * float64(p[c])
			}
		}
	}
	for c, v := range sum {
		to[c] = uint8(max(0, min(255, math.Round(v))))
	}
}

// catmullRom has the weights of four values around a place t after the second.
func catmullRom(t float64) [4]float64 {
	if t < 1e-6 {
		return [4]float64{0, 1, 0, 0}
	}
	return [4]float64{
		((-0.5*t+1)*t - 0.5) * t,
		(1.5*t-2.5)*t*t + 1,
		((-1.5*t+2)*t + 0.5) * t,
		(0.5*t - 0.5) * t * t,
	}
}
