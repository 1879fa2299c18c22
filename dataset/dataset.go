// Package dataset reads labelled images and other samples, and splits and samples
// them: IDX files, folders and zip archives of pictures, CIFAR's batches, .npz archives
// of numpy and Parquet files.
//
// An image keeps its one byte for each pixel and channel until a network asks for
// numbers; [Norm] says how a byte becomes a number. Small sets are decoded at once, of
// large ones each image when it is asked for. Sampling takes images in the
// order of the files, so that it needs no seed and gives the same images everywhere.
package dataset

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Set is a list of labelled images of one shape. Its slices are shared, not copied,
// so nobody may change them.
type Set struct {
	Pixels  []uint8 // of the images in memory, each channel by channel and row by row from the top
	Labels  []int   // Len, each at least 0 and below Classes
	Shape   []int   // of one sample; of an image: channels, rows, columns
	Classes int     // the classes there are, which need not all have images

	// Of samples that are not images of bytes, such as vectors or ids of tokens: Len
	// times what Shape says. Then there are no Pixels.
	Values []float32

	// Of samples that are neither: where their numbers come from, sample at[i] of it
	// for each i, or i where at is nil. [Norm] has no part in them.
	Source Source

	// Of a set that is too large for memory: where each image is, in later or, as
	// ^at[i], in Pixels.
	later *onDemand
	at    []int
}

// Source gives samples as numbers, also to several goroutines at once.
type Source interface {
	// Sample writes the numbers of sample i to x.
	Sample(i int, x []float32)
	// Err returns the error of a sample that could not be had.
	Err() error
}

// Len returns the number of images.
func (s *Set) Len() int { return len(s.Labels) }

// Images reports whether the samples are images of bytes.
func (s *Set) Images() bool { return s.Values == nil && s.Source == nil }

// Size returns the number of elements of one sample.
func (s *Set) Size() int {
	size := 1
	for _, d := range s.Shape {
		size *= d
	}
	return size
}

// Image returns the pixels of image i, channel by channel, shared with the set. An
// image that is in a file and cannot be decoded is black, and makes Err an error.
func (s *Set) Image(i int) []uint8 {
	if s.later != nil {
		if s.at[i] >= 0 {
			return s.later.image(s.at[i])
		}
		i = ^s.at[i]
	}
	size := s.Size()
	return s.Pixels[i*size : (i+1)*size : (i+1)*size]
}

// With returns a set with more images behind those of s, which stays as it is.
func (s *Set) With(pixels []uint8, labels []int) *Set {
	t := *s
	if s.later != nil {
		first := len(s.Pixels) / s.Size()
		t.at = slices.Clone(s.at)
		for i := range labels {
			t.at = append(t.at, ^(first + i))
		}
	}
	t.Pixels = slices.Concat(s.Pixels, pixels)
	t.Labels = slices.Concat(s.Labels, labels)
	return &t
}

// Err returns the error of an image that was asked for and could not be decoded.
func (s *Set) Err() error {
	if s.Source != nil {
		return s.Source.Err()
	}
	if s.later == nil {
		return nil
	}
	return s.later.failure()
}

// WriteTo writes what identifies a set to a hash: all pixels, or values as
// little-endian float32, then all labels, each
// in one byte, or in four, the lowest first, where there are more than 256 classes.
func (s *Set) WriteTo(w io.Writer) (int64, error) {
	n, err := s.writeImages(w)
	if err != nil {
		return n, err
	}
	labels := make([]byte, 0, 4*len(s.Labels))
	for _, l := range s.Labels {
		labels = append(labels, byte(l))
		if s.Classes > 256 {
			labels = append(labels, byte(l>>8), byte(l>>16), byte(l>>24))
		}
	}
	m, err := w.Write(labels)
	return n + int64(m), err
}

// ByClass returns the indices of each class's images in ascending order; the
// outer slice has Classes entries.
func (s *Set) ByClass() [][]int {
	by := make([][]int, s.Classes)
	for i, l := range s.Labels {
		by[l] = append(by[l], i)
	}
	return by
}

// Split returns the indices of the images of the given classes, and of all
// others, both in ascending order.
func (s *Set) Split(classes ...int) (forget, retain []int) {
	for i, l := range s.Labels {
		if slices.Contains(classes, l) {
			forget = append(forget, i)
		} else {
			retain = append(retain, i)
		}
	}
	return forget, retain
}

// Subset returns a set of the images at idx, in that order; of copies of those that
// are in memory.
func (s *Set) Subset(idx []int) *Set {
	t := &Set{Labels: make([]int, 0, len(idx)), Shape: s.Shape, Classes: s.Classes, later: s.later}
	if s.Values != nil {
		size := s.Size()
		t.Values = make([]float32, 0, len(idx)*size)
		for _, i := range idx {
			t.Values, t.Labels = append(t.Values, s.Values[i*size:(i+1)*size]...), append(t.Labels, s.Labels[i])
		}
		return t
	}
	if s.Source != nil {
		t.Source = s.Source
		for _, i := range idx {
			t.at, t.Labels = append(t.at, s.place(i)), append(t.Labels, s.Labels[i])
		}
		return t
	}
	if s.later != nil {
		t.Pixels = s.Pixels
		for _, i := range idx {
			t.at, t.Labels = append(t.at, s.at[i]), append(t.Labels, s.Labels[i])
		}
		return t
	}
	t.Pixels = make([]uint8, 0, len(idx)*s.Size())
	for _, i := range idx {
		t.Pixels = append(t.Pixels, s.Image(i)...)
		t.Labels = append(t.Labels, s.Labels[i])
	}
	return t
}

// Copy returns a set of copies in memory of the images at idx, in that order.
func (s *Set) Copy(idx []int) *Set {
	t := &Set{Pixels: make([]uint8, 0, len(idx)*s.Size()), Labels: make([]int, 0, len(idx)), Shape: s.Shape, Classes: s.Classes}
	for _, i := range idx {
		t.Pixels, t.Labels = append(t.Pixels, s.Image(i)...), append(t.Labels, s.Labels[i])
	}
	return t
}

// Stratified returns a set of perClass images of every class, without the first offset
// images of each, in the order of the set. A class that has fewer gives what it has; so
// two calls with offsets perClass apart share no image.
func (s *Set) Stratified(perClass, offset int) *Set {
	seen := make([]int, s.Classes)
	var idx []int
	for i, l := range s.Labels {
		if n := seen[l]; n >= offset && n < offset+perClass {
			idx = append(idx, i)
		}
		seen[l]++
	}
	return s.Subset(idx)
}

// CheckNetwork refuses a network that cannot take the images: input is the shape of one
// sample, without the batch, and classes the number of outputs.
func (s *Set) CheckNetwork(input []int, classes int) error {
	if !s.fits(input) {
		return s.misfit(input)
	}
	for _, l := range s.Labels {
		if l >= classes {
			return fmt.Errorf("the data has label %d, the network has classes 0 to %d: give the data that it was trained on", l, classes-1)
		}
	}
	return nil
}

// fits reports whether a network takes samples of this shape: the same, but for
// dimensions of 1, or as many in one row.
func (s *Set) fits(input []int) bool {
	wide := func(shape []int) []int {
		return slices.DeleteFunc(slices.Clone(shape), func(d int) bool { return d == 1 })
	}
	return slices.Equal(wide(input), wide(s.Shape)) || len(input) == 1 && input[0] == s.Size()
}

// misfit tells both shapes and which flag would make them one.
func (s *Set) misfit(input []int) error {
	kind, advice := "images have the shape %v (channels, rows, columns)", "give the data that it was trained on"
	if !s.Images() {
		kind = "samples have the shape %v"
	} else if len(input) == 3 {
		var flags []string
		if input[0] != s.Shape[0] {
			if input[0] == 1 {
				flags = append(flags, "--channels "+Grey)
			} else if input[0] == 3 {
				flags = append(flags, "--channels "+RGB)
			}
		}
		if !slices.Equal(input[1:], s.Shape[1:]) {
			size := Size{input[1], input[2]}
			flags = append(flags, fmt.Sprintf("--resize %v, or --resize N and --crop %v", size, size))
		}
		if len(flags) > 0 && (input[0] == s.Shape[0] || input[0] == 1 || input[0] == 3) {
			advice += ", or prepare it as for the training: " + strings.Join(flags, " and ") + ", or --preprocess"
		}
	}
	return fmt.Errorf("the network takes inputs of shape %v, the "+kind+": %s", input, s.Shape, advice)
}

// Reader returns a function that writes the Size numbers of sample i to x, normalized,
// in the order of its pixels or values. Several goroutines may call it at once.
func (s *Set) Reader(norm Norm) func(i int, x []float32) {
	switch {
	case s.Values != nil:
		return s.valueReader(norm)
	case s.Source != nil:
		return func(i int, x []float32) { s.Source.Sample(s.place(i), x) }
	}
	tables := norm.tables(s.Shape[0])
	plane := s.Size() / len(tables)
	return func(i int, x []float32) {
		image := s.Image(i)
		for c, table := range tables {
			lookUp(x[c*plane:(c+1)*plane], image[c*plane:(c+1)*plane], table)
		}
	}
}

// lookUp writes to each element of to what the table has for that of from. It is a
// twentieth of an edit: eight at a time take half of the time of one at a time.
func lookUp(to []float32, from []uint8, table *[256]float32) {
	for len(from) >= 8 && len(to) >= 8 {
		f, t := (*[8]uint8)(from), (*[8]float32)(to)
		t[0], t[1], t[2], t[3] = table[f[0]], table[f[1]], table[f[2]], table[f[3]]
		t[4], t[5], t[6], t[7] = table[f[4]], table[f[5]], table[f[6]], table[f[7]]
		from, to = from[8:], to[8:]
	}
	for j, p := range from {
		to[j] = table[p]
	}
}

// place returns which sample of Source sample i of the set is.
func (s *Set) place(i int) int {
	if s.at == nil {
		return i
	}
	return s.at[i]
}

// valueReader is Reader for samples that are values.
func (s *Set) valueReader(norm Norm) func(i int, x []float32) {
	size := s.Size()
	plane := size / s.Shape[0]
	scale := float32(norm.Scale)
	if scale == 0 {
		scale = 1
	}
	return func(i int, x []float32) {
		for j, v := range s.Values[i*size : (i+1)*size] {
			v = v * scale
			v = v - norm.Mean.at(j/plane, 0)
			x[j] = v / norm.Std.at(j/plane, 1)
		}
	}
}

// fashionNames are the labels of Fashion-MNIST as its authors print them.
var fashionNames = []string{
	"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
	"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
}

// numberedNames are the labels of a data set that nobody named.
func numberedNames(classes int) []string {
	names := make([]string, classes)
	for c := range names {
		names[c] = "class " + strconv.Itoa(c)
	}
	return names
}

// ParseClass returns the class that s means, from 0 on: an index, or one of names in
// any case. There are as many classes as names. The error lists them, or says that s is
// the index of one class and the name of another.
func ParseClass(s string, names []string) (int, error) {
	s = strings.TrimSpace(s)
	index, named := -1, -1
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(names) {
		index = n
	}
	for c, name := range names {
		if strings.EqualFold(s, name) {
			named = c
			break
		}
	}
	switch {
	case index >= 0 && named >= 0 && index != named:
		return 0, fmt.Errorf("class %q is both the index of %q and the label of class %d; give the other's index or label", s, names[index], named)
	case index >= 0:
		return index, nil
	case named >= 0:
		return named, nil
	}
	if slices.Equal(names, numberedNames(len(names))) {
		return 0, fmt.Errorf("no class %q; the classes are 0 to %d, and have no names", s, len(names)-1)
	}
	const most = 20
	var list []string
	for c, name := range names[:min(len(names), most)] {
		list = append(list, fmt.Sprintf("%d %s", c, name))
	}
	if len(names) > most {
		list = append(list, fmt.Sprintf("and %d more", len(names)-most))
	}
	return 0, fmt.Errorf("no class %q; the classes are %s", s, strings.Join(list, ", "))
}
