package tiff

import (
	"encoding/xml"
	"strings"
)

// Description is what a slide says of itself, as OME-XML.
type Description struct {
	Image         string  // the image's name
	Channel       string  // the stain's name
	Magnification float64 // of the objective; 0 if it is unknown
	Provenance    []Entry // how the image came to be, in this order
}

// Entry is a key with its value.
type Entry struct{ Key, Value string }

// provenanceNamespace marks the annotation that holds a slide's provenance.
const provenanceNamespace = "histdist/provenance"

// The elements of OME-XML (schema 2016-06) that are written, in the order that the schema asks for.
type (
	omeXML struct {
		XMLName     xml.Name        `xml:"http://www.openmicroscopy.org/Schemas/OME/2016-06 OME"`
		XSI         string          `xml:"xmlns:xsi,attr"`
		Schema      string          `xml:"xsi:schemaLocation,attr"`
		Creator     string          `xml:"Creator,attr"`
		Instrument  *omeInstrument  `xml:"Instrument"`
		Image       omeImage        `xml:"Image"`
		Annotations *omeAnnotations `xml:"StructuredAnnotations"`
	}
	omeInstrument struct {
		ID        string `xml:"ID,attr"`
		Objective struct {
			ID            string  `xml:"ID,attr"`
			Magnification float64 `xml:"NominalMagnification,attr"`
		} `xml:"Objective"`
	}
	omeReference struct {
		ID string `xml:"ID,attr"`
	}
	omeImage struct {
		ID         string        `xml:"ID,attr"`
		Name       string        `xml:"Name,attr,omitempty"`
		Instrument *omeReference `xml:"InstrumentRef"`
		Objective  *omeReference `xml:"ObjectiveSettings"`
		Pixels     omePixels     `xml:"Pixels"`
		Annotation *omeReference `xml:"AnnotationRef"`
	}
	omePixels struct {
		ID          string  `xml:"ID,attr"`
		Order       string  `xml:"DimensionOrder,attr"`
		Type        string  `xml:"Type,attr"`
		Bits        int     `xml:"SignificantBits,attr"`
		Interleaved bool    `xml:"Interleaved,attr"`
		BigEndian   bool    `xml:"BigEndian,attr"`
		X           int     `xml:"SizeX,attr"`
		Y           int     `xml:"SizeY,attr"`
		Z           int     `xml:"SizeZ,attr"`
		C           int     `xml:"SizeC,attr"`
		T           int     `xml:"SizeT,attr"`
		SizeX       float64 `xml:"PhysicalSizeX,attr,omitempty"`
		UnitX       string  `xml:"PhysicalSizeXUnit,attr,omitempty"`
		SizeY       float64 `xml:"PhysicalSizeY,attr,omitempty"`
		UnitY       string  `xml:"PhysicalSizeYUnit,attr,omitempty"`
		Channel     struct {
			ID      string `xml:"ID,attr"`
			Name    string `xml:"Name,attr,omitempty"`
			Samples int    `xml:"SamplesPerPixel,attr"`
		} `xml:"Channel"`
		Data struct {
			IFD    int `xml:"IFD,attr"`
			Planes int `xml:"PlaneCount,attr"`
		} `xml:"TiffData"`
	}
	omeAnnotations struct {
		Map omeMap `xml:"MapAnnotation"`
	}
	omeMap struct {
		ID        string    `xml:"ID,attr"`
		Namespace string    `xml:"Namespace,attr"`
		Entries   []omePair `xml:"Value>M"`
	}
	omePair struct {
		Key   string `xml:"K,attr"`
		Value string `xml:",chardata"`
	}
)

// ome writes the description of an RGB image; mpp are µm a pixel, 0 if they are unknown.
func (d *Description) ome(width, height int, mpp [2]float64) (string, error) {
	const schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
	root := omeXML{
		XSI: "http://www.w3.org/2001/XMLSchema-instance", Schema: schema + " " + schema + "/ome.xsd", Creator: "histdist",
	}
	image := &root.Image
	image.ID, image.Name = "Image:0", d.Image
	if d.Magnification > 0 {
		root.Instrument = &omeInstrument{ID: "Instrument:0"}
		root.Instrument.Objective.ID, root.Instrument.Objective.Magnification = "Objective:0:0", d.Magnification
		image.Instrument, image.Objective = &omeReference{"Instrument:0"}, &omeReference{"Objective:0:0"}
	}
	p := &image.Pixels
	*p = omePixels{
		ID: "Pixels:0", Order: "XYCZT", Type: "uint8", Bits: 8, Interleaved: true,
		X: width, Y: height, Z: 1, C: 3, T: 1,
	}
	if mpp[0] > 0 && mpp[1] > 0 {
		p.SizeX, p.SizeY, p.UnitX, p.UnitY = mpp[0], mpp[1], "µm", "µm"
	}
	p.Channel.ID, p.Channel.Name, p.Channel.Samples = "Channel:0:0", d.Channel, 3
	p.Data.Planes = 1
	if len(d.Provenance) > 0 {
		annotation := omeMap{ID: "Annotation:0", Namespace: provenanceNamespace}
		for _, e := range d.Provenance {
			annotation.Entries = append(annotation.Entries, omePair(e))
		}
		root.Annotations = &omeAnnotations{annotation}
		image.Annotation = &omeReference{"Annotation:0"}
	}
	text, err := xml.Marshal(root)
	if err != nil {
		return "", err
	}
	return xml.Header[:len(xml.Header)-1] + plainEscapes().Replace(string(text)), nil
}

// ReadProvenance returns the entries of Description.Provenance from a page's description in OME-XML; nil where it isn't
// that of a slide that was written here.
func ReadProvenance(description string) []Entry {
	if !strings.Contains(description, provenanceNamespace) {
		return nil
	}
	var root struct {
		Maps []struct {
			Namespace string    `xml:"Namespace,attr"`
			Entries   []omePair `xml:"Value>M"`
		} `xml:"StructuredAnnotations>MapAnnotation"`
	}
	if xml.Unmarshal([]byte(description), &root) != nil {
		return nil
	}
	var entries []Entry
	for _, m := range root.Maps {
		if m.Namespace != provenanceNamespace {
			continue
		}
		for _, e := range m.Entries {
			entries = append(entries, Entry(e))
		}
	}
	return entries
}

// plainEscapes replaces references to characters by their number, which Bio-Formats damages.
func plainEscapes() *strings.Replacer {
	return strings.NewReplacer("&#34;", "&quot;", "&#39;", "&apos;", "&#x9;", "\t", "&#xA;", "\n", "&#xD;", "\r")
}
