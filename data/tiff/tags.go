package tiff

// Tag is the number of a tag in a directory.
type Tag uint16

// Tags of TIFF 6.0, its supplements and Exif 2.3 that are read or written.
const (
	tagNewSubfileType    Tag = 254
	tagSubfileType       Tag = 255
	tagImageWidth        Tag = 256
	tagImageLength       Tag = 257
	tagBitsPerSample     Tag = 258
	tagCompression       Tag = 259
	tagPhotometric       Tag = 262
	tagFillOrder         Tag = 266
	TagImageDescription  Tag = 270
	tagStripOffsets      Tag = 273
	tagOrientation       Tag = 274
	tagSamplesPerPixel   Tag = 277
	tagRowsPerStrip      Tag = 278
	tagStripByteCounts   Tag = 279
	tagXResolution       Tag = 282
	tagYResolution       Tag = 283
	tagPlanarConfig      Tag = 284
	tagT4Options         Tag = 292
	tagResolutionUnit    Tag = 296
	TagSoftware          Tag = 305
	tagPredictor         Tag = 317
	tagColorMap          Tag = 320
	tagTileWidth         Tag = 322
	tagTileLength        Tag = 323
	tagTileOffsets       Tag = 324
	tagTileByteCounts    Tag = 325
	tagSubIFDs           Tag = 330
	tagInkSet            Tag = 332
	tagExtraSamples      Tag = 338
	tagSampleFormat      Tag = 339
	tagJPEGTables        Tag = 347
	tagYCbCrCoefficients Tag = 529
	tagYCbCrSubsampling  Tag = 530
	tagReferenceBlack    Tag = 532
	TagExifIFD           Tag = 34665
	TagICCProfile        Tag = 34675
	TagUserComment       Tag = 37510
)

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
