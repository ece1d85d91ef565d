package slide

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// isOME reports whether a description is OME-XML.
func isOME(description string) bool {
	return strings.Contains(description, "http://www.openmicroscopy.org/Schemas/OME/")
}

// microns are what units of length that OME-XML knows are in µm. Its default is µm.
var microns = map[string]float64{
	"": 1, "µm": 1, "μm": 1, "um": 1, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "Å": 1e-4, "in": 25400,
}

// readOME reads the first image of OME-XML that is as large as the slide.
func (i *Info) readOME(description string) error {
	var ome struct {
		Creator    string `xml:"Creator,attr"`
		Objectives []struct {
			ID            string `xml:"ID,attr"`
			Magnification string `xml:"NominalMagnification,attr"`
		} `xml:"Instrument>Objective"`
		Images []struct {
			Name      string `xml:"Name,attr"`
			Objective struct {
				ID string `xml:"ID,attr"`
			} `xml:"ObjectiveSettings"`
			Pixels struct {
				Width  int    `xml:"SizeX,attr"`
				Height int    `xml:"SizeY,attr"`
				X      string `xml:"PhysicalSizeX,attr"`
				Y      string `xml:"PhysicalSizeY,attr"`
				UnitX  string `xml:"PhysicalSizeXUnit,attr"`
				UnitY  string `xml:"PhysicalSizeYUnit,attr"`
			} `xml:"Pixels"`
		} `xml:"Image"`
		Entries []struct {
			Key   string `xml:"K,attr"`
			Value string `xml:",chardata"`
		} `xml:"StructuredAnnotations>MapAnnotation>Value>M"`
	}
	if err := xml.Unmarshal([]byte(description), &ome); err != nil {
		return fmt.Errorf("the OME-XML of the slide is damaged: %w", err)
	}
	for _, e := range ome.Entries {
		i.Properties = append(i.Properties, Property{e.Key, e.Value})
	}
	for n, image := range ome.Images {
		if p := image.Pixels; p.Width != i.Levels[0].Width || p.Height != i.Levels[0].Height {
			continue
		}
		x, y := positive(image.Pixels.X)*microns[image.Pixels.UnitX], positive(image.Pixels.Y)*microns[image.Pixels.UnitY]
		if x > 0 && y > 0 {
			i.MPP = [2]float64{x, y}
		}
		for _, o := range ome.Objectives {
			if o.ID == image.Objective.ID {
				i.Magnification = positive(o.Magnification)
			}
		}
		i.Properties = append(i.Properties,
			Property{"ome.Creator", ome.Creator}, Property{"ome.Image", strconv.Itoa(n)}, Property{"ome.Name", image.Name})
		break
	}
	return nil
}
