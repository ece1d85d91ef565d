package tiff

// Tag is the number of a tag in a directory.
type Tag uint16

// Tags of TIFF 6.0, its supplements and Exif 2.3 that are read or written.
const (
	TagNewSubfileType    Tag = 254
	TagSubfileType       Tag = 255
	TagImageWidth        Tag = 256
	TagImageLength       Tag = 257
	TagBitsPerSample     Tag = 258
	TagCompression       Tag = 259
	TagPhotometric       Tag = 262
	TagFillOrder         Tag = 266
	TagImageDescription  Tag = 270
	TagStripOffsets      Tag = 273
	TagOrientation       Tag = 274
	TagSamplesPerPixel   Tag = 277
	TagRowsPerStrip      Tag = 278
	TagStripByteCounts   Tag = 279
	TagXResolution       Tag = 282
	TagYResolution       Tag = 283
	TagPlanarConfig      Tag = 284
	TagT4Options         Tag = 292
	TagResolutionUnit    Tag = 296
	TagSoftware          Tag = 305
	TagPredictor         Tag = 317
	TagColorMap          Tag = 320
	TagTileWidth         Tag = 322
	TagTileLength        Tag = 323
	TagTileOffsets       Tag = 324
	TagTileByteCounts    Tag = 325
	TagSubIFDs           Tag = 330
	TagInkSet            Tag = 332
	TagExtraSamples      Tag = 338
	TagSampleFormat      Tag = 339
	TagJPEGTables        Tag = 347
	TagYCbCrCoefficients Tag = 529
	TagYCbCrSubsampling  Tag = 530
	TagReferenceBlack    Tag = 532
	TagExifIFD           Tag = 34665
	TagICCProfile        Tag = 34675
	TagUserComment       Tag = 37510
)

// kind is the type of a tag's values.
type kind uint16

const (
	kindByte      kind = 1
	kindASCII     kind = 2
	kindShort     kind = 3
	kindLong      kind = 4
	kindRational  kind = 5
	kindSByte     kind = 6
	kindUndefined kind = 7
	kindSShort    kind = 8
	kindSLong     kind = 9
	kindSRational kind = 10
	kindFloat     kind = 11
	kindDouble    kind = 12
	kindIFD       kind = 13
	kindLong8     kind = 16
	kindSLong8    kind = 17
	kindIFD8      kind = 18
)

// size is how many bytes a value has; 0 for unknown types.
func (k kind) size() int64 {
	switch k {
	case kindByte, kindASCII, kindSByte, kindUndefined:
		return 1
	case kindShort, kindSShort:
		return 2
	case kindLong, kindSLong, kindFloat, kindIFD:
		return 4
	case kindRational, kindSRational, kindDouble, kindLong8, kindSLong8, kindIFD8:
		return 8
	}
	return 0
}
