package tissue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/histdist/histdist/internal/atomicfile"
)

// Area is a polygon with its class, as QuPath names it: "Tissue", "Tumor"; "" without one.
type Area struct {
	Class   string
	Polygon Polygon
}

// Limits of files: far above what is drawn by hand, and within what memory and time allow.
const (
	maxFileBytes = 256 << 20
	maxPoints    = 4 << 20
	maxPlace     = 1 << 31 // pixels of level 0
)

// ErrGeoJSON says that a file has no areas that can be used.
var ErrGeoJSON = errors.New("no areas in GeoJSON")

type feature struct {
	Type       string     `json:"type"`
	Geometry   geometry   `json:"geometry"`
	Properties properties `json:"properties"`
}

type geometry struct {
	Type        string    `json:"type"`
	Coordinates [][]Point `json:"coordinates"`
}

type properties struct {
	ObjectType     string         `json:"objectType"`
	Classification classification `json:"classification"`
}

type classification struct {
	Name  string `json:"name"`
	Color [3]int `json:"color"`
}

// GeoJSON returns areas as a FeatureCollection of annotations for QuPath, in pixels of level 0.
func GeoJSON(areas []Area) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"type":"FeatureCollection","features":[`)
	for i, a := range areas {
		if i > 0 {
			b.WriteByte(',')
		}
		f := feature{Type: "Feature", Geometry: geometry{Type: "Polygon"}}
		f.Properties = properties{"annotation", classification{a.Class, [3]int{200, 0, 120}}}
		for _, ring := range a.Polygon {
			if len(ring) > 0 {
				ring = append(ring[:len(ring):len(ring)], ring[0])
			}
			f.Geometry.Coordinates = append(f.Geometry.Coordinates, ring)
		}
		text, err := json.Marshal(f)
		if err != nil {
			return nil, err
		}
		b.WriteByte('\n')
		b.Write(text)
	}
	b.WriteString("\n]}\n")
	return b.Bytes(), nil
}

// WriteGeoJSON writes the mask's outlines, of the class "Tissue".
func (m *Mask) WriteGeoJSON(path string) error {
	var areas []Area
	for _, p := range m.Polygons() {
		areas = append(areas, Area{"Tissue", p})
	}
	text, err := GeoJSON(areas)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, text)
}

// ReadGeoJSON reads the areas of a file that QuPath exported: see ParseGeoJSON. Errors name the file.
func ReadGeoJSON(path string) ([]Area, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	areas, err := ParseGeoJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return areas, nil
}

// object is any object of GeoJSON.
type object struct {
	Type        string          `json:"type"`
	Features    []object        `json:"features"`
	Geometries  []object        `json:"geometries"`
	Geometry    *object         `json:"geometry"`
	Coordinates json.RawMessage `json:"coordinates"`
	Properties  struct {
		Classification struct {
			Name  string   `json:"name"`
			Names []string `json:"names"` // QuPath from 0.5 on, of derived classes
		} `json:"classification"`
	} `json:"properties"`
}

// ParseGeoJSON reads areas: a FeatureCollection, a Feature, a geometry, or a list of Features, of Polygons and
// MultiPolygons. Lines and points are errors, since they have no area, and so are coordinates that can't be places on
// a slide. It is ErrGeoJSON that there is no area.
func ParseGeoJSON(text []byte) ([]Area, error) {
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%w: the file has more than %d bytes", ErrGeoJSON, maxFileBytes)
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF")))
	p := parser{}
	var err error
	if bytes.HasPrefix(text, []byte("[")) { // QuPath up to 0.2
		var all []object
		if err = json.Unmarshal(text, &all); err == nil {
			err = p.collection(all)
		}
	} else {
		var one object
		if err = json.Unmarshal(text, &one); err == nil {
			err = p.object(&one, "")
		}
	}
	if err != nil && !errors.Is(err, ErrGeoJSON) {
		err = fmt.Errorf("%w: %w", ErrGeoJSON, err)
	}
	if err == nil && len(p.areas) == 0 {
		err = fmt.Errorf("%w: the file has no Polygon or MultiPolygon", ErrGeoJSON)
	}
	if err != nil {
		return nil, err
	}
	return p.areas, nil
}

type parser struct {
	areas  []Area
	points int
}

func (p *parser) collection(all []object) error {
	for i := range all {
		if err := p.object(&all[i], ""); err != nil {
			return fmt.Errorf("feature %d: %w", i+1, err)
		}
	}
	return nil
}

func (p *parser) object(o *object, class string) error {
	switch o.Type {
	case "FeatureCollection":
		return p.collection(o.Features)
	case "Feature":
		if o.Geometry == nil {
			return fmt.Errorf("%w: a feature without geometry", ErrGeoJSON)
		}
		c := o.Properties.Classification
		if class = c.Name; class == "" {
			class = strings.Join(c.Names, ": ")
		}
		return p.object(o.Geometry, class)
	case "GeometryCollection":
		for i := range o.Geometries {
			if err := p.object(&o.Geometries[i], class); err != nil {
				return err
			}
		}
		return nil
	case "Polygon":
		var rings [][][]float64
		if err := json.Unmarshal(o.Coordinates, &rings); err != nil {
			return fmt.Errorf("%w: the coordinates of a Polygon: %w", ErrGeoJSON, err)
		}
		return p.polygon(rings, class)
	case "MultiPolygon":
		var polygons [][][][]float64
		if err := json.Unmarshal(o.Coordinates, &polygons); err != nil {
			return fmt.Errorf("%w: the coordinates of a MultiPolygon: %w", ErrGeoJSON, err)
		}
		for _, rings := range polygons {
			if err := p.polygon(rings, class); err != nil {
				return err
			}
		}
		return nil
	case "Point", "MultiPoint", "LineString", "MultiLineString":
		return fmt.Errorf("%w: a %s has no area; leave it out of the export", ErrGeoJSON, o.Type)
	}
	return fmt.Errorf("%w: an object of the type %q", ErrGeoJSON, o.Type)
}

func (p *parser) polygon(rings [][][]float64, class string) error {
	var polygon Polygon
	for _, ring := range rings {
		if p.points += len(ring); p.points > maxPoints {
			return fmt.Errorf("%w: more than %d points", ErrGeoJSON, maxPoints)
		}
		points := make([]Point, len(ring))
		for i, c := range ring {
			if len(c) < 2 {
				return fmt.Errorf("%w: a point of %d coordinates", ErrGeoJSON, len(c))
			}
			for _, v := range c[:2] {
				if !(math.Abs(v) <= maxPlace) {
					return fmt.Errorf("%w: the coordinate %g can't be a pixel of a slide", ErrGeoJSON, v)
				}
			}
			points[i] = Point{c[0], c[1]}
		}
		if n := len(points); n > 1 && points[n-1] == points[0] {
			points = points[:n-1]
		}
		if len(points) < 3 {
			return fmt.Errorf("%w: an outline of %d points; want 3 or more", ErrGeoJSON, len(points))
		}
		polygon = append(polygon, points)
	}
	if len(polygon) == 0 {
		return fmt.Errorf("%w: a polygon without an outline", ErrGeoJSON)
	}
	p.areas = append(p.areas, Area{class, polygon})
	return nil
}
