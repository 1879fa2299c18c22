package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// largestPage is how many bytes a page may have once it is decompressed.
const largestPage = 1 << 30

// codec is a way to compress pages.
type codec struct {
	name string
	// How many bytes one byte can become at most. So memory for what a page is said
	// to have is in proportion to the bytes that it has.
	most   int64
	decode func(dst, src []byte) error // fills dst exactly; nil where it is not supported
}

// codecs are those of the format, by its numbers.
var codecs = [...]codec{
	{"none", 1, stored},
	{"Snappy", 64, snappy},
	{"gzip", 1032, gunzip},
	{"LZO", 0, nil},
	{"Brotli", 0, nil},
	{"LZ4 in frames of Hadoop", 0, nil},
	{"zstd", 1 << 15, unzstd}, // a block of three bytes and a repeated one has at most 128 KiB
	{"LZ4", 255, lz4},
}

// decompress returns the size bytes that src has been compressed from.
func decompress(c *codec, src []byte, size int64) ([]byte, error) {
	if size == 0 && len(src) == 0 {
		return nil, nil
	}
	if c.most == 1 {
		if size != int64(len(src)) {
			return nil, errEncoded
		}
		return src, nil
	}
	if size > c.most*int64(len(src)) {
		return nil, errEncoded
	}
	dst := make([]byte, size)
	return dst, c.decode(dst, src)
}

func stored(dst, src []byte) error {
	copy(dst, src)
	return nil
}

func gunzip(dst, src []byte) error {
	z, err := gzip.NewReader(bytes.NewReader(src))
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(z, dst); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(z, 1)); n != 0 || err != nil {
		return errEncoded
	}
	return nil
}

var zstdReader = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(largestPage))
})

func unzstd(dst, src []byte) error {
	d, err := zstdReader()
	if err != nil {
		return err
	}
	got, err := d.DecodeAll(src, dst[:0:len(dst)])
	if err == nil && len(got) != len(dst) {
		err = errEncoded
	}
	return err
}

// snappy decodes a block: how many bytes it becomes, then literals, and copies of
// what came before (https://github.com/google/snappy/blob/main/format_description.txt).
func snappy(dst, src []byte) error {
	size, n := binary.Uvarint(src)
	if n <= 0 || size != uint64(len(dst)) {
		return errEncoded
	}
	out := 0
	for src = src[n:]; len(src) > 0; {
		tag := src[0]
		length, extra := int64(tag>>2), 0 // bytes behind the tag
		offset := int64(0)
		switch tag & 3 {
		case 0:
			if length >= 60 {
				extra = int(length) - 59
			}
		case 1:
			extra, length = 1, length&7+4
		case 2:
			extra, length = 2, length+1
		case 3:
			extra, length = 4, length+1
		}
		if len(src) <= extra {
			return errEncoded
		}
		number := int64(0)
		for i, b := range src[1 : 1+extra] {
			number |= int64(b) << (8 * i)
		}
		src = src[1+extra:]
		switch tag & 3 {
		case 0:
			if extra > 0 {
				length = number
			}
			if length++; length > int64(len(src)) || length > int64(len(dst)-out) {
				return errEncoded
			}
			out += copy(dst[out:], src[:length])
			src = src[length:]
			continue
		case 1:
			offset = int64(tag>>5)<<8 | number
		default:
			offset = number
		}
		if out = again(dst, out, offset, length); out < 0 {
			return errEncoded
		}
	}
	if out != len(dst) {
		return errEncoded
	}
	return nil
}

// again copies length bytes that begin offset before out to there, also where they
// overlap, and returns where they end, or -1 if that cannot be.
func again(dst []byte, out int, offset, length int64) int {
	if offset <= 0 || offset > int64(out) || length > int64(len(dst)-out) {
		return -1
	}
	end := out + int(length)
	if offset >= length {
		return out + copy(dst[out:end], dst[out-int(offset):])
	}
	for from := out - int(offset); out < end; out, from = out+1, from+1 {
		dst[out] = dst[from]
	}
	return end
}

// lz4 decodes a block: literals and copies in turn
// (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
func lz4(dst, src []byte) error {
	out := 0
	// length completes a length of 15 by the bytes that follow.
	length := func(n int64) int64 {
		for more := n == 15; more; {
			if len(src) == 0 {
				return -1
			}
			n += int64(src[0])
			more = src[0] == 255
			src = src[1:]
		}
		return n
	}
	for len(src) > 0 {
		token := int64(src[0])
		src = src[1:]
		n := length(token >> 4)
		if n < 0 || n > int64(len(src)) || n > int64(len(dst)-out) {
			return errEncoded
		}
		out += copy(dst[out:], src[:n])
		if src = src[n:]; len(src) == 0 {
			break
		}
		if len(src) < 2 {
			return errEncoded
		}
		offset := int64(binary.LittleEndian.Uint16(src))
		src = src[2:]
		if n = length(token & 15); n < 0 {
			return errEncoded
		}
		if out = again(dst, out, offset, n+4); out < 0 {
			return errEncoded
		}
	}
	if out != len(dst) {
		return errEncoded
	}
	return nil
}
