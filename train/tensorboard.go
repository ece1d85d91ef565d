package train

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"time"
)

// TensorBoard writes an event file for TensorBoard: a TFRecord file of Event messages in Protocol Buffers' encoding,
// written by hand.
type TensorBoard struct {
	file *os.File
	now  func() time.Time
}

// NewTensorBoard begins an event file in a folder, which is made if needed. Each time a run resumes, it begins another
// file.
func NewTensorBoard(folder string) (*TensorBoard, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	b := &TensorBoard{now: time.Now}
	// TensorBoard reads files in the order of their names, which begin with the time.
	name := fmt.Sprintf("events.out.tfevents.%010d.%s.%d.%d", b.now().Unix(), host, os.Getpid(), b.now().Nanosecond())
	if b.file, err = os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return nil, fmt.Errorf("tensorboard: %w", err)
	}
	var e message
	e.text(eventFileVersion, "brain.Event:2")
	return b, b.write(0, e)
}

// The fields of the messages in tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
const (
	eventWallTime    = 1 // double
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // Summary
	eventSessionLog  = 7 // SessionLog

	sessionStatus = 1 // enum
	sessionStart  = 1 // its value START: TensorBoard drops what it has of later steps

	summaryValue = 1 // Value, repeated

	valueTag    = 1 // string
	valueSimple = 2 // float
	valueImage  = 4 // Image

	imageHeight     = 1 // int32
	imageWidth      = 2 // int32
	imageColorspace = 3 // int32
	imageEncoded    = 4 // bytes

	colorspaceRGB = 3
)

// Observe writes Start, Metrics, Scores and Panel.
func (b *TensorBoard) Observe(event any) error {
	switch e := event.(type) {
	case Start:
		return b.begin(e.Step)
	case Metrics:
		return b.scalars(e.Step, e.scalars())
	case Scores:
		return b.scalars(e.Step, e.Values)
	case Panel:
		return b.panel(e)
	}
	return nil
}

// begin discards events after step; for a new run all, as one that was killed before its first checkpoint may have left
// some.
func (b *TensorBoard) begin(step int) error {
	var log, e message
	log.integer(sessionStatus, sessionStart)
	e.bytes(eventSessionLog, log)
	if step > 0 {
		step++
	}
	return b.write(step, e)
}

// scalars writes the numbers of a step.
func (b *TensorBoard) scalars(step int, values []Scalar) error {
	var summary message
	for _, v := range values {
		var value message
		value.text(valueTag, v.Name)
		value.float(valueSimple, float32(v.Value))
		summary.bytes(summaryValue, value)
	}
	return b.summary(step, summary)
}

// panel writes an image as PNG.
func (b *TensorBoard) panel(p Panel) error {
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, p.Image); err != nil {
		return fmt.Errorf("tensorboard: image %s: %w", p.Name, err)
	}
	var shown, value, summary message
	shown.integer(imageHeight, uint64(p.Image.Bounds().Dy()))
	shown.integer(imageWidth, uint64(p.Image.Bounds().Dx()))
	shown.integer(imageColorspace, colorspaceRGB)
	shown.bytes(imageEncoded, encoded.Bytes())
	value.text(valueTag, p.Name)
	value.bytes(valueImage, shown)
	summary.bytes(summaryValue, value)
	return b.summary(p.Step, summary)
}

// Close closes the file.
func (b *TensorBoard) Close() error { return b.file.Close() }

func (b *TensorBoard) summary(step int, summary message) error {
	var e message
	e.bytes(eventSummary, summary)
	return b.write(step, e)
}

// write appends an event as a record: the length, its checksum, the event, its checksum.
func (b *TensorBoard) write(step int, e message) error {
	var m message
	m.double(eventWallTime, float64(b.now().UnixMicro())/1e6)
	m.integer(eventStep, uint64(step))
	m = append(m, e...)
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(m)))
	record = binary.LittleEndian.AppendUint32(record, maskedCRC(record))
	record = append(record, m...)
	record = binary.LittleEndian.AppendUint32(record, maskedCRC(m))
	if _, err := b.file.Write(record); err != nil {
		return fmt.Errorf("tensorboard: %w", err)
	}
	return nil
}

// maskedCRC is the checksum of TFRecord files: a CRC-32C, turned and shifted so that checksums of data that hold
// checksums are safe.
func maskedCRC(data []byte) uint32 {
	c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}

// message is a message of Protocol Buffers under construction: fields with their numbers and wire types.
type message []byte

// The wire types.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

func (m *message) tag(field, wire uint64) { *m = binary.AppendUvarint(*m, field<<3|wire) }

func (m *message) integer(field, value uint64) {
	m.tag(field, wireVarint)
	*m = binary.AppendUvarint(*m, value)
}

func (m *message) double(field uint64, value float64) {
	m.tag(field, wire64)
	*m = binary.LittleEndian.AppendUint64(*m, math.Float64bits(value))
}

func (m *message) float(field uint64, value float32) {
	m.tag(field, wire32)
	*m = binary.LittleEndian.AppendUint32(*m, math.Float32bits(value))
}

func (m *message) bytes(field uint64, value []byte) {
	m.tag(field, wireBytes)
	*m = append(binary.AppendUvarint(*m, uint64(len(value))), value...)
}

func (m *message) text(field uint64, value string) { m.bytes(field, []byte(value)) }
