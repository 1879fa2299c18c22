package parquet

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"lethe/internal/oracle"
)

// value is what testdata/make.py writes in row i.
func value(column string, i int) Value {
	null := Value{Null: true}
	missing := func(of int, v Value) Value {
		if i%of == of-1 {
			return null
		}
		return v
	}
	switch column {
	case "id":
		return Value{Int: int64(i)*7919%1000003 - 500000}
	case "small":
		return Value{Int: int64(i % 10)}
	case "text":
		return missing(5, Value{Bytes: fmt.Appendf(nil, "text %d", i%17)})
	case "image.bytes":
		b := make([]byte, i%40)
		for j := range b {
			b[j] = byte((i*j + j) % 251)
		}
		return missing(7, missing(11, Value{Bytes: b}))
	case "image.path":
		return missing(7, Value{Bytes: fmt.Appendf(nil, "%d.png", i)})
	case "raw":
		return Value{Bytes: fmt.Appendf(nil, "same prefix %d", i)}
	case "flag":
		return missing(3, Value{Int: int64(1 - i%2)})
	case "f":
		return Value{Float: float64(i) / 4}
	case "d":
		return Value{Float: float64(i) / 3}
	case "nest.a.b":
		return missing(13, missing(4, Value{Int: int64(i)}))
	}
	return null
}

var columns = []string{"id", "small", "text", "image.bytes", "image.path", "raw", "flag", "f", "d", "nest.a.b", "never"}

func open(b []byte) (*File, error) {
	return Open(bytes.NewReader(b), int64(len(b)), "a.parquet")
}

// compare reads a file of rows rows and compares it with value.
func compare(t *testing.T, name string, b []byte, rows int) {
	t.Helper()
	f, err := open(b)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	var names []string
	var all []int
	for i, c := range f.Columns {
		names, all = append(names, strings.Join(c.Path, ".")), append(all, i)
	}
	if !slices.Equal(names, columns) || f.Rows != int64(rows) {
		t.Errorf("%s: got columns %v, %d rows", name, names, f.Rows)
	}
	slices.Reverse(all)
	at := 0
	var got, want [][]Value
	err = f.Read(all, func(values []Value) error {
		got = append(got, slices.Clone(values))
		row := make([]Value, len(all))
		for i, c := range all {
			row[i] = value(names[c], at)
		}
		want = append(want, row)
		at++
		return nil
	})
	if err != nil || at != rows {
		t.Errorf("%s: after row %d: %v", name, at, err)
		return
	}
	// Compared when all has been read: what a page gives does not change later.
	for i := range want {
		for j, w := range want[i] {
			if g := got[i][j]; g.Null != w.Null || g.Int != w.Int || g.Float != w.Float || !bytes.Equal(g.Bytes, w.Bytes) {
				t.Errorf("%s: row %d of %s: got %v, want %v", name, i, names[all[j]], g, w)
				return
			}
		}
	}
}

// The files are those of polars, duckdb, pandas and datasets: testdata/make.py.
func TestOthers(t *testing.T) {
	for name, b := range golden(t) {
		compare(t, name, b, 60)
	}
}

func golden(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.parquet")
	if err != nil || len(names) != 6 {
		t.Fatalf("got %q, %v", names, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestOraclePyarrow(t *testing.T) {
	python, dir := oracle.Python(t, "pyarrow"), t.TempDir()
	out, err := exec.Command(python, "testdata/make.py", "pyarrow", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		end := strings.LastIndex(line, " ")
		name, rows := line[:end], 0
		if _, err := fmt.Sscan(line[end:], &rows); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "brotli.parquet" {
			if err := readAll(b); err == nil || !strings.Contains(err.Error(), "column id is compressed by Brotli; write it with zstd") {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		compare(t, name, b, rows)
	}
}

// readAll reads each column of a file.
func readAll(b []byte) error {
	f, err := open(b)
	if err != nil {
		return err
	}
	for i := range f.Columns {
		if err := f.Read([]int{i}, func([]Value) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// A file with any byte changed, and one that is cut anywhere, is an error or is read,
// and takes no more memory than in proportion to its bytes.
func TestBroken(t *testing.T) {
	for name, b := range golden(t) {
		step := 7
		if testing.Short() {
			step = 41
		}
		for at := 0; at < len(b); at += step {
			for _, x := range []byte{0x55, 0xff} {
				changed := slices.Clone(b)
				changed[at] ^= x
				before := allocated()
				readAll(changed)
				if got := allocated() - before; got > 64<<20 {
					t.Errorf("%s, byte %d: it takes %d bytes of memory", name, at, got)
				}
			}
			if err := readAll(b[:at]); err == nil {
				t.Errorf("%s: cut to %d bytes it is read", name, at)
			}
		}
	}
}

// allocated returns how many bytes the program has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func FuzzRead(f *testing.F) {
	for _, b := range golden(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { readAll(b) })
}

// values of the encodings as the format's pages give them as examples.
func TestEncodings(t *testing.T) {
	numbers := func(v values, n int) (got []int64) {
		for range n {
			r, err := v.next()
			if err != nil {
				return append(got, math.MinInt64)
			}
			got = append(got, int64(r.bits))
		}
		return got
	}
	deltas := func(data ...byte) values {
		d, err := newDeltas(data)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	const none = math.MinInt64
	for name, c := range map[string]struct {
		v    values
		want []int64
	}{
		"0 to 7 in three bits": {&hybrid{data: []byte{3, 0x88, 0xc6, 0xfa}, width: 3}, []int64{0, 1, 2, 3, 4, 5, 6, 7, none}},
		"a run, then packed":   {&hybrid{data: []byte{4, 9, 3, 1}, width: 1}, []int64{9, 9, 1, 0, 0, 0, 0, 0, 0, 0, none}},
		"a run of two bytes":   {&hybrid{data: []byte{2, 1, 2}, width: 9}, []int64{513, none}},
		"no bits":              {&hybrid{data: []byte{4, 3}, width: 0}, []int64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, none}},
		"packed, cut":          {&hybrid{data: []byte{3, 0x88}, width: 3}, []int64{0, 1, none}},
		"runs of nothing":      {&hybrid{data: []byte{0, 1, 1, 2, 7}, width: 8}, []int64{7, none}},
		"1 to 5":               {deltas(8, 2, 5, 2, 2, 0, 0), []int64{1, 2, 3, 4, 5, none}},
		"7 5 3 1 2 3 4 5":      {deltas(8, 2, 8, 14, 3, 2, 2, 0xc0, 0x3f), []int64{7, 5, 3, 1, 2, 3, 4, 5, none}},
		"booleans":             {&plainBools{data: []byte{5}}, []int64{1, 0, 1, 0, 0, 0, 0, 0, none}},
		"not in a dictionary":  {&indexed{hybrid{data: []byte{2, 0, 2, 1}, width: 1}, dictionary{{bits: 6}}}, []int64{6, none}},
	} {
		if got := numbers(c.v, len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	for _, data := range []string{"", "\x00\x01\x01\x00", "\x08\x00\x01\x00", "\x08\x03\x01\x00\x00", "\x08\x02"} {
		if _, err := newDeltas([]byte(data)); err == nil {
			t.Errorf("%q is an encoding of differences", data)
		}
	}
	if v := bitsAt([]byte{0x80, 1, 2, 3, 4, 5, 6, 7, 8}, 7, 64); v != 0x100e0c0a08060403 {
		t.Errorf("64 bits from the seventh: got %x", v)
	}
}

func TestCodecs(t *testing.T) {
	want := []byte("abcabcabcabcabcX")
	for name, c := range map[string]struct {
		codec int
		src   string
	}{
		"Snappy":                      {1, "\x10\x08abc" + "\x1d\x03" + "\x04cX"},
		"Snappy, offset of two bytes": {1, "\x10\x08abc" + "\x2e\x03\x00" + "\x00X"},
		"Snappy, of four":             {1, "\x10\x08abc" + "\x2f\x03\x00\x00\x00" + "\xf0\x00X"},
		"LZ4":                         {7, "\x38abc\x03\x00\x10X"},
	} {
		got, err := decompress(&codecs[c.codec], []byte(c.src), int64(len(want)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		for size := range 40 {
			if _, err := decompress(&codecs[c.codec], []byte(c.src), int64(size)); err == nil && size != len(want) {
				t.Errorf("%s: it is %d bytes too", name, size)
			}
		}
		for at := range c.src {
			if _, err := decompress(&codecs[c.codec], []byte(c.src[:at]), int64(len(want))); err == nil {
				t.Errorf("%s: cut to %d bytes it is whole", name, at)
			}
			changed := []byte(c.src)
			changed[at] ^= 0xff
			decompress(&codecs[c.codec], changed, int64(len(want)))
		}
	}
	// What no bytes of that length can become is not even tried.
	for i, c := range codecs {
		if c.decode != nil {
			if _, err := decompress(&codecs[i], []byte("abc"), c.most*3+1); err != errEncoded {
				t.Errorf("%s: got %v", c.name, err)
			}
		}
	}
}
