package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// array is what a .npy member holds.
type array struct {
	name  string
	kind  byte // b, i, u, f; U and S are texts
	size  int  // bytes of an element
	big   bool
	shape []int
	raw   []byte
}

// npzNames are the pairs of arrays that a .npz may have: images or other samples, and
// their labels, for training and for testing, best first. Names with images are MedMNIST's.
var npzNames = []struct{ train, test [2]string }{
	{[2]string{"x_train", "y_train"}, [2]string{"x_test", "y_test"}},
	{[2]string{"x_train", "y_train"}, [2]string{"x_val", "y_val"}},
	{[2]string{"train_images", "train_labels"}, [2]string{"test_images", "test_labels"}},
	{[2]string{"train_images", "train_labels"}, [2]string{"val_images", "val_labels"}},
	{[2]string{"x", "y"}, [2]string{"x_test", "y_test"}},
	{[2]string{"x", "y"}, [2]string{"x_val", "y_val"}},
}

// isNPZ reports whether an archive is one of numpy arrays.
func isNPZ(z *zip.Reader) bool {
	return slices.ContainsFunc(z.File, func(f *zip.File) bool { return strings.HasSuffix(f.Name, ".npy") })
}

// openNPZ reads the arrays x and y of a .npz, or x_train and y_train, x_test and y_test,
// or those of MedMNIST. Bytes of rank 3 (n x rows x columns) or 4 (channels behind or before the
// columns) are images; everything else is samples of numbers, such as vectors or ids
// of tokens. Labels are integers, or texts.
func (s Settings) openNPZ(z *zip.Reader) (*Data, error) {
	members := map[string]*zip.File{}
	for _, f := range z.File {
		members[strings.ToLower(strings.TrimSuffix(f.Name, ".npy"))] = f
	}
	has := func(pair [2]string) bool { return members[pair[0]] != nil && members[pair[1]] != nil }
	var train, test [2]string
	for _, n := range npzNames {
		if !has(n.train) {
			continue
		}
		if has(n.test) {
			train, test = n.train, n.test
			break
		}
		if train[0] == "" {
			train = n.train
		}
	}
	if train[0] == "" {
		names := []string{}
		for _, f := range z.File[:min(len(z.File), 20)] {
			names = append(names, f.Name)
		}
		return nil, &model.FormatError{Format: "npz", Offset: -1, Reason: fmt.Sprintf("it has %q; want x and y, or x_train and y_train, or train_images and train_labels, and x_test, ... beside them", names)}
	}
	var parts [2]samples
	for i, pair := range [][2]string{train, test} {
		if pair[0] == "" {
			continue
		}
		x, err := readArray(members[pair[0]])
		if err != nil {
			return nil, err
		}
		y, err := readArray(members[pair[1]])
		if err != nil {
			return nil, err
		}
		if parts[i], err = x.samples(y); err != nil {
			return nil, err
		}
	}
	d := &Data{Preprocess: s.Preprocess}
	return d, d.take(s.Preprocess, &parts[0], &parts[1])
}

var (
	npyDescr   = regexp.MustCompile(`'descr':\s*'([<>|=]?)([a-zA-Z])([0-9]{0,9})'`)
	npyFortran = regexp.MustCompile(`'fortran_order':\s*(True|False)`)
	npyShape   = regexp.MustCompile(`'shape':\s*\(([0-9, ]*)\)`)
)

// readArray reads a member that numpy.save wrote
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
func readArray(f *zip.File) (*array, error) {
	bad := func(format string, args ...any) error {
		return &model.FormatError{Format: "npy", Member: f.Name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	r, err := f.Open()
	if err != nil {
		return nil, bad("%v", err)
	}
	defer r.Close()
	head := make([]byte, 12)
	if _, err := io.ReadFull(r, head[:10]); err != nil || !bytes.HasPrefix(head, []byte("\x93NUMPY")) {
		return nil, bad("it does not begin as a numpy array")
	}
	size := int(binary.LittleEndian.Uint16(head[8:]))
	if head[6] >= 2 {
		if _, err := io.ReadFull(r, head[10:]); err != nil {
			return nil, bad("it ends in its header")
		}
		size = int(min(binary.LittleEndian.Uint32(head[8:]), 1<<20))
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil || len(text) != size {
		return nil, bad("it ends in its header")
	}
	descr, order, dims := npyDescr.FindSubmatch(text), npyFortran.FindSubmatch(text), npyShape.FindSubmatch(text)
	if descr == nil || order == nil || dims == nil {
		return nil, bad("its header is %.200q; want the element type, the order and the shape of an array of numbers", text)
	}
	a := &array{name: f.Name, kind: descr[2][0], big: string(descr[1]) == ">"}
	a.size, _ = strconv.Atoi(string(descr[3]))
	if a.kind == 'U' {
		a.size *= 4
	}
	for _, word := range strings.FieldsFunc(string(dims[1]), func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, bad("its shape is (%s)", dims[1])
		}
		a.shape = append(a.shape, n)
	}
	if string(order[1]) == "True" && len(a.shape) > 1 {
		return nil, &model.UnsupportedError{What: f.Name + " is in Fortran order", Advice: "save numpy.ascontiguousarray of it"}
	}
	known := map[byte][]int{'b': {1}, 'u': {1, 2, 4, 8}, 'i': {1, 2, 4, 8}, 'f': {2, 4, 8}}[a.kind]
	if texts := a.kind == 'U' || a.kind == 'S'; !texts && !slices.Contains(known, a.size) || texts && (a.size == 0 || a.size > 1<<16) {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("%s has elements of type %q", f.Name, descr[0]), Advice: "want integers, floats or, as labels, texts"}
	}
	n, ok := model.Elements(a.shape)
	if !ok || uint64(n) > maxRaw/uint64(a.size) {
		return nil, &model.LimitError{What: "number of elements of " + f.Name, Got: uint64(max(n, 0)), Limit: maxRaw / uint64(a.size)}
	}
	if a.raw, err = io.ReadAll(io.LimitReader(r, int64(n*a.size)+1)); err != nil {
		return nil, bad("%v", err)
	}
	if len(a.raw) != n*a.size {
		return nil, bad("%d bytes, or more, for an array of shape %v with %d bytes an element", len(a.raw), a.shape, a.size)
	}
	return a, nil
}

// number returns element i.
func (a *array) number(i int) float64 {
	v := a.bits(i)
	if a.kind == 'f' {
		switch a.size {
		case 2:
			return half(uint16(v))
		case 4:
			return float64(math.Float32frombits(uint32(v)))
		}
		return math.Float64frombits(v)
	}
	if a.kind == 'i' {
		return float64(a.integer(i))
	}
	return float64(v)
}

// integer returns element i of integers.
func (a *array) integer(i int) int64 {
	v := a.bits(i)
	if shift := 64 - 8*a.size; a.kind == 'i' {
		return int64(v) << shift >> shift
	}
	return int64(min(v, math.MaxInt64))
}

// bits returns the bytes of element i as one number.
func (a *array) bits(i int) uint64 {
	var b [8]byte
	raw := a.raw[i*a.size : (i+1)*a.size]
	copy(b[:], raw)
	if a.big {
		slices.Reverse(b[:a.size])
	}
	return binary.LittleEndian.Uint64(b[:])
}

// half returns the value of a float16.
func half(v uint16) float64 {
	sign, exponent, fraction := 1.0, int(v>>10&31), float64(v&1023)
	if v>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// text returns element i of texts, whose unused end is zeros.
func (a *array) text(i int) string {
	raw := a.raw[i*a.size : (i+1)*a.size]
	if a.kind == 'S' {
		return strings.TrimRight(string(raw), "\x00")
	}
	var b strings.Builder
	for ; len(raw) >= 4; raw = raw[4:] {
		r := rune(binary.LittleEndian.Uint32(raw))
		if a.big {
			r = rune(binary.BigEndian.Uint32(raw))
		}
		if r == 0 {
			break
		}
		if !utf8.ValidRune(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}

// samples are labelled samples: images, or numbers.
type samples struct {
	images
	values []float32
	shape  []int
	names  []string // labels that are texts, one a sample
}

// samples returns an array with its labels.
func (a *array) samples(y *array) (s samples, err error) {
	bad := func(m *array, format string, args ...any) error {
		return &model.FormatError{Format: "npz", Member: m.name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	if a.kind == 'U' || a.kind == 'S' {
		return s, bad(a, "it is texts; want images or numbers")
	}
	if len(a.shape) == 0 || len(a.raw) == 0 {
		return s, bad(a, "its shape is %v; want the number of samples and what each has", a.shape)
	}
	n := a.shape[0]
	if y.kind == 'f' {
		return s, bad(y, "its elements are floats; want one integer or text for each of the %d samples", n)
	}
	if len(y.shape) == 0 || y.shape[0] != n || len(y.raw)/y.size != n {
		return s, bad(y, "its shape is %v; want one integer or text for each of the %d samples", y.shape, n)
	}
	for i := range n {
		if y.kind == 'U' || y.kind == 'S' {
			s.names = append(s.names, y.text(i))
			continue
		}
		s.labels = append(s.labels, int(y.integer(i)))
	}
	s.name = path.Base(a.name)
	size := len(a.raw) / a.size / n
	few := func(d int) bool { return d >= 1 && d <= 4 }
	four := len(a.shape) == 4
	last := four && few(a.shape[3]) && !few(a.shape[1])
	if a.kind == 'u' && a.size == 1 && (four && (last || few(a.shape[1])) || len(a.shape) == 3) {
		s.pixels = a.raw
		switch {
		case len(a.shape) == 3:
			s.channels, s.rows, s.cols = 1, a.shape[1], a.shape[2]
		case last:
			s.last, s.channels, s.rows, s.cols = true, a.shape[3], a.shape[1], a.shape[2]
		default:
			s.channels, s.rows, s.cols = a.shape[1], a.shape[2], a.shape[3]
		}
		return s, nil
	}
	s.shape = a.shape[1:]
	if len(s.shape) == 0 {
		s.shape = []int{1}
	}
	s.values = make([]float32, n*size)
	if !last {
		for i := range s.values {
			s.values[i] = float32(a.number(i))
		}
		return s, a.finite(s.values, size)
	}
	channels := a.shape[3]
	s.shape = []int{channels, a.shape[1], a.shape[2]}
	plane := a.shape[1] * a.shape[2]
	for i := range s.values {
		at := i % size
		s.values[i-at+at%channels*plane+at/channels] = float32(a.number(i))
	}
	return s, a.finite(s.values, size)
}

// finite refuses samples of size values each in which one is no finite float32.
func (a *array) finite(values []float32, size int) error {
	for i, v := range values {
		if v != v || v > math.MaxFloat32 || v < -math.MaxFloat32 {
			return &model.FormatError{Format: "npz", Member: a.name, Offset: -1, Reason: fmt.Sprintf("sample %d has a value that is %v as float32; leave out such samples, or mend them", i/size, v)}
		}
	}
	return nil
}

// take makes the sets of a data set of samples; test may be empty.
func (d *Data) take(p Preprocess, train, test *samples) (err error) {
	if len(train.names) > 0 || len(test.names) > 0 {
		if len(train.labels) > 0 || len(test.labels) > 0 {
			return &model.FormatError{Format: "labels", Offset: -1, Reason: "some are texts, some are numbers"}
		}
		at := map[string]int{}
		for _, name := range slices.Concat(train.names, test.names) {
			at[name] = 0
		}
		for name := range at {
			d.Names = append(d.Names, name)
		}
		slices.Sort(d.Names)
		for i, name := range d.Names {
			at[name] = i
		}
		for _, s := range []*samples{train, test} {
			for _, name := range s.names {
				s.labels = append(s.labels, at[name])
			}
		}
	}
	if train.values == nil && test.values == nil {
		return d.fill(p, &train.images, &test.images)
	}
	if len(p.Words()) > 0 {
		return fmt.Errorf("%s has numbers, not images of bytes: %s cannot be", train.name, strings.Join(p.Words(), " "))
	}
	if len(test.labels) > 0 && !slices.Equal(train.shape, test.shape) {
		return &model.FormatError{Format: "npz", Member: test.name, Offset: -1, Reason: fmt.Sprintf("samples of shape %v, those for training have %v", test.shape, train.shape)}
	}
	var note string
	if d.Names, note, err = index(d.Names, train.labels, test.labels); err != nil {
		return err
	}
	if note != "" {
		d.Notes = append(d.Notes, note)
	}
	d.Train = &Set{Values: train.values, Labels: train.labels, Shape: train.shape, Classes: len(d.Names)}
	if len(test.labels) > 0 {
		d.Test = &Set{Values: test.values, Labels: test.labels, Shape: test.shape, Classes: len(d.Names)}
		return nil
	}
	d.Notes = append(d.Notes, splitNote())
	left, out := heldOut(train.labels)
	if whole := d.Train; len(out) > 0 {
		d.Train, d.Test = whole.Subset(left), whole.Subset(out)
	}
	return nil
}
