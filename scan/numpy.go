package scan

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// npy scans an array of numpy: one of objects holds a pickle.
func (w *walk) npy(p part, head []byte) string {
	const kind = "numpy array"
	for at := int64(0); ; { // numpy reads the next one if it is asked again
		one := p.section(at, p.size-at)
		if at > 0 {
			one.member = p.inside(fmt.Sprintf("behind %d", at))
			head = w.head(one, block)
		}
		if at > 0 && !bytes.HasPrefix(head, []byte("\x93NUMPY")) {
			one.depth++
			w.file(one)
			return kind
		}
		size, ok := w.array(one, head)
		if at += size; !ok || at == p.size {
			return kind
		}
	}
}

// array scans one array of numpy, and returns where it ends; ok is false if
// that is not known, or if it holds a pickle that goes to the end of the file.
func (w *walk) array(p part, head []byte) (end int64, ok bool) {
	if len(head) < 12 {
		w.gap(p, 0, "the numpy array is cut short")
		return 0, false
	}
	from, n := int64(10), int64(le.Uint16(head[8:]))
	if head[6] >= 2 {
		from, n = 12, int64(le.Uint32(head[8:]))
	}
	if n > p.size-from || n > 1<<20 {
		w.gap(p, 8, "the header of the numpy array has %d bytes", n)
		return 0, false
	}
	header := make([]byte, n)
	if !w.read(p, header, from) {
		return 0, false
	}
	data := p.section(from+n, p.size-from-n)
	data.member = p.inside("data")
	if bytes.ContainsAny(header, "O\\") || bytes.Contains(header, []byte("object")) {
		if k, ok := w.streams(data, certain); !ok || k == "" {
			w.gap(data, 0, "the array of objects holds no pickle")
		}
		return 0, false
	}
	size, ok := arraySize(header)
	switch {
	case !ok:
		w.find(Finding{Level: Unknown, Kind: KindFormat, What: "numpy array", Why: "its element type is not one whose bytes can be counted", Member: p.member})
	case size > data.size:
		w.gap(data, data.size, "the array is cut short: it has %d bytes and needs %d", data.size, size)
	}
	return from + n + size, ok && size <= data.size
}

var (
	arrayType   = lazyRegexp(`'descr': *('[<>|=]?[?biufcSUmMV][0-9]+(\[[0-9a-zA-Z]+\])?'|\[[^\]]*\])`)
	arrayFields = lazyRegexp(`\('[^']*', *('[<>|=]?[?biufcSUV][0-9]+')(, *\(([0-9, ]*)\))?\)`)
	arrayCode   = lazyRegexp(`([?biufcSUmMV])([0-9]+)`)
	arrayShape  = lazyRegexp(`'shape': *\(([0-9, L]*)\)`)
)

// lazyRegexp compiles an expression when it is first used: few files need any, and
// compiling all of them takes longer than most scans.
func lazyRegexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// arraySize returns the bytes of the elements of a numpy array.
func arraySize(header []byte) (int64, bool) {
	t, shape := arrayType().FindSubmatch(header), arrayShape().FindSubmatch(header)
	if t == nil || shape == nil {
		return 0, false
	}
	if t[1][0] != '[' {
		return times(itemSize(t[1]), shape[1]), true
	}
	if rest := arrayFields().ReplaceAll(t[1], nil); len(bytes.Trim(rest, "[], ")) > 0 {
		return 0, false
	}
	var item int64
	for _, field := range arrayFields().FindAllSubmatch(t[1], -1) {
		if item += times(itemSize(field[1]), field[3]); item < 0 {
			return 0, false
		}
	}
	return times(item, shape[1]), true
}

// itemSize returns the bytes of an element with a type code.
func itemSize(code []byte) int64 {
	m := arrayCode().FindSubmatch(code)
	size, err := strconv.ParseInt(string(m[2]), 10, 32)
	if err != nil {
		return math.MaxInt64
	}
	if m[1][0] == 'U' {
		size *= 4
	}
	return size
}

// times multiplies a size with the numbers of a shape, up to the largest one.
func times(size int64, shape []byte) int64 {
	for _, n := range strings.FieldsFunc(string(shape), func(r rune) bool { return r < '0' || r > '9' }) {
		v, err := strconv.ParseInt(n, 10, 62)
		if err != nil || v > 0 && size > math.MaxInt64/v {
			return math.MaxInt64
		}
		size *= v
	}
	return size
}
