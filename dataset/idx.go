package dataset

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"lethe/model"
)

// Magic numbers of IDX files as http://yann.lecun.com/exdb/mnist/ gives them:
// two zero bytes, the element type (8: unsigned byte), the number of
// dimensions.
const (
	imagesMagic = 0x00000803
	labelsMagic = 0x00000801
)

// Limits bounds what [ReadIDX] accepts. A zero field means the default.
type Limits struct {
	Bytes   int64 // expanded bytes of one file; default 1 GiB
	Classes int   // labels must be below it; default 256, all that a byte holds
}

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = 1 << 30
	}
	l.Bytes = min(l.Bytes, math.MaxInt) // of a 32-bit machine
	if l.Classes == 0 {
		l.Classes = 256
	}
	return l
}

// ReadIDX reads an IDX file of images and the one of their labels, each plain
// or compressed with gzip. The set has limits.Classes classes, or by default
// as many as the largest label asks for.
//
// Bytes that break the format are a [model.FormatError] whose offset counts
// expanded bytes, and too many of them a [model.LimitError]. Memory follows
// the bytes that arrive, not the counts that a header declares.
func ReadIDX(images, labels io.Reader, limits Limits) (*Set, error) {
	return readPair(images, labels, "images", "labels", limits)
}

// readPair is ReadIDX with the members' names for error messages. It reads the
// two files at once, since expanding the images takes the longest by far.
func readPair(images, labels io.Reader, imagesName, labelsName string, limits Limits) (*Set, error) {
	var (
		labelDims []int
		labelData []byte
		labelErr  error
		done      = make(chan struct{})
	)
	go func() {
		defer close(done)
		labelDims, labelData, labelErr = readFile(labels, labelsName, labelsMagic, limits.orDefault().Bytes)
	}()
	dims, pixels, err := readFile(images, imagesName, imagesMagic, limits.orDefault().Bytes)
	<-done
	if err != nil {
		return nil, err
	}
	if labelErr != nil {
		return nil, labelErr
	}
	if dims[0] != labelDims[0] {
		return nil, &model.FormatError{Format: "idx", Member: labelsName, Offset: 4,
			Reason: fmt.Sprintf("%d labels, but %s has %d images", labelDims[0], imagesName, dims[0])}
	}
	s := &Set{Pixels: pixels, Labels: make([]int, len(labelData)), Shape: []int{1, dims[1], dims[2]}, Classes: limits.Classes}
	for i, l := range labelData {
		s.Labels[i] = int(l)
		if int(l) >= limits.orDefault().Classes {
			return nil, &model.FormatError{Format: "idx", Member: labelsName, Offset: int64(headerSize(1) + i),
				Reason: fmt.Sprintf("label %d, but there are %d classes", l, limits.Classes)}
		}
		if limits.Classes == 0 {
			s.Classes = max(s.Classes, int(l)+1)
		}
	}
	return s, nil
}

// headerSize is the magic number and one 32-bit count for each dimension.
func headerSize(dims int) int { return 4 + 4*dims }

// readFile reads one IDX file of bytes to its end and returns its dimensions,
// all positive, and its elements.
func readFile(r io.Reader, name string, magic uint32, limit int64) ([]int, []byte, error) {
	broken := func(offset int, format string, args ...any) error {
		return &model.FormatError{Format: "idx", Member: name, Offset: int64(offset), Reason: fmt.Sprintf(format, args...)}
	}
	arrives := int64(0)
	if f, ok := r.(fs.File); ok {
		if info, err := f.Stat(); err == nil {
			arrives = info.Size()
		}
	}
	r, err := expand(r)
	if err != nil {
		return nil, nil, readError(err, name, 0)
	}
	rank := int(magic & 0xff)
	header := make([]byte, headerSize(rank))
	// The magic number first, alone: a short file of the wrong kind is better
	// called that than truncated.
	if n, err := io.ReadFull(r, header[:4]); err != nil {
		return nil, nil, readError(err, name, n)
	}
	if got := binary.BigEndian.Uint32(header); got != magic {
		hint := ""
		switch got {
		case imagesMagic:
			hint = ": these are images, not labels"
		case labelsMagic:
			hint = ": these are labels, not images"
		}
		return nil, nil, broken(0, "magic number is %#08x, want %#08x%s", got, magic, hint)
	}
	if n, err := io.ReadFull(r, header[4:]); err != nil {
		return nil, nil, readError(err, name, 4+n)
	}
	dims, size := make([]int, rank), uint64(1)
	for d := range dims {
		n := binary.BigEndian.Uint32(header[4+4*d:])
		if n == 0 {
			return nil, nil, broken(4+4*d, "dimension %d of %d is 0", d, rank)
		}
		high, low := bits.Mul64(size, uint64(n))
		if high != 0 {
			low = 1<<64 - 1
		}
		if low > uint64(limit) {
			return nil, nil, &model.LimitError{What: "number of bytes that " + name + " declares", Got: low, Limit: uint64(limit)}
		}
		dims[d], size = int(n), low
	}
	data, err := readN(r, int(size), arrives)
	at := len(header) + len(data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, broken(at, "the file ends here, but its header declares %s = %d bytes and %d are there", product(dims), size, len(data))
	}
	if err != nil {
		return nil, nil, readError(err, name, at)
	}
	// Reading up to the end also has gzip compare its checksum.
	switch n, err := io.ReadFull(r, header[:1]); {
	case n > 0:
		return nil, nil, broken(at, "more bytes follow the %s = %d that the header declares", product(dims), size)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil, broken(at, "after the last element the gzip stream is cut, or other bytes follow it")
	case err != io.EOF:
		return nil, nil, readError(err, name, at)
	}
	return dims, data, nil
}

// expand looks at the first bytes: IDX begins with zeros, gzip with 1f 8b.
func expand(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if head, err := b.Peek(2); err != nil || head[0] != 0x1f || head[1] != 0x8b {
		if err == io.EOF {
			err = nil // too short: let the reading of the header say so
		}
		return b, err
	}
	return gzip.NewReader(b)
}

// readN reads n bytes, or those that there are and an error. It never holds
// more than twice what has arrived, or eight times the size of the file, which is
// more than images are compressed, whatever n is.
func readN(r io.Reader, n int, file int64) ([]byte, error) {
	buf := make([]byte, min(int64(n), max(1<<20, 8*file)))
	for at := 0; ; {
		m, err := io.ReadFull(r, buf[at:])
		at += m
		if err != nil || at == n {
			return buf[:at], err
		}
		next := make([]byte, min(n-at, at)+at)
		copy(next, buf)
		buf = next
	}
}

// readError tells bytes that are wrong from a device that could not be read.
func readError(err error, name string, offset int) error {
	var corrupt flate.CorruptInputError
	reason := ""
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		reason = "the file ends too early"
	case errors.Is(err, gzip.ErrChecksum):
		reason = "the gzip checksum does not match the expanded bytes"
	case errors.Is(err, gzip.ErrHeader):
		reason = "a gzip header is expected and is not there"
	case errors.As(err, &corrupt):
		reason = "the compressed bytes are damaged"
	default:
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	return &model.FormatError{Format: "idx", Member: name, Offset: int64(offset), Reason: reason}
}

// product writes dimensions as "60000 x 28 x 28".
func product(dims []int) string {
	return strings.Join(strings.Fields(strings.Trim(fmt.Sprint(dims), "[]")), " x ")
}
