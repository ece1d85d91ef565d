package jpeg

import "errors"

// Tables are quantisation and Huffman tables without a picture (T.81, B.5), which the segments of a TIFF file share.
// They may be used by several goroutines at once.
type Tables struct{ state decoder }

// ReadTables reads an abbreviated format for table specification.
func ReadTables(data []byte) (*Tables, error) {
	d := decoder{data: data, tablesOnly: true}
	if err := d.segments(false); err != nil {
		return nil, err
	}
	if d.frame != nil {
		return nil, errors.New("jpeg: there is a picture where tables alone belong")
	}
	return &Tables{d}, nil
}

// Conversion says what becomes of a picture's components.
type Conversion int

// The conversions. A container such as TIFF knows what the components mean, and markers inside may not change that.
const (
	AsStored  Conversion = iota + 1 // none: [H,W,Components]
	FromYCbCr                       // to RGB from YCbCr, of three components
)

// DecodeSegment decodes a picture that may leave its tables to others; tables is nil where there are none.
func DecodeSegment(data []byte, tables *Tables, conversion Conversion, maxPixels int) (*Picture, error) {
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
