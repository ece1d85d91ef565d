package jpeg

import "errors"

// Tables are quantisation and Huffman tables without an image (T.81, B.5), which the segments of a TIFF file share.
// They may be used by several goroutines at once.
type Tables struct{ state decoder }

// ReadTables reads an abbreviated format for table specification.
func ReadTables(data []byte) (*Tables, error) {
	d := decoder{data: data, tablesOnly: true}
	if err := d.segments(false); err != nil {
		return nil, err
	}
	if d.frame != nil {
		return nil, errors.New("jpeg: there is an image among tables")
	}
	return &Tables{d}, nil
}

// Conversion says what becomes of an image's components.
type Conversion int

// The conversions. A container such as TIFF knows what the components mean, and markers inside may not change that.
const (
	AsStored  Conversion = iota + 1 // none: [H,W,Components]
	FromYCbCr                       // to RGB from YCbCr, of three components
)

// DecodeSegment decodes an image whose tables may be in tables, which may be nil.
func DecodeSegment(data []byte, tables *Tables, conversion Conversion, maxPixels int) (*Image, error) {
	var d decoder
	if tables != nil {
		d = tables.state
	}
	d.data, d.pos, d.ended, d.tablesOnly, d.conversion = data, 0, false, false, conversion
	if conversion == AsStored {
		return d.decode(maxPixels, (*decoder).stored)
	}
	return d.decode(maxPixels, (*decoder).rgb)
}
