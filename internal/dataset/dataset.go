// Package dataset holds labelled grey images in memory: it reads them from IDX
// files, finds those files in the usual folders, and splits and samples them.
//
// An image keeps its one byte a pixel until a network asks for numbers; [Norm]
// says how a byte becomes a number. Sampling takes images in the order of the
// file, so that it needs no seed and gives the same images everywhere.
package dataset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Set is a list of labelled images of one size. Its slices are shared, not
// copied, by whoever reads them: nobody changes them after reading.
type Set struct {
	Pixels     []uint8 // Len x Rows x Cols, row by row from the top
	Labels     []uint8 // Len, each below Classes
	Rows, Cols int
	Classes    int // the classes there are, which need not all have images
}

// Len returns the number of images.
func (s *Set) Len() int { return len(s.Labels) }

// Image returns the Rows x Cols pixels of image i, shared with the set.
func (s *Set) Image(i int) []uint8 {
	size := s.Rows * s.Cols
	return s.Pixels[i*size : (i+1)*size : (i+1)*size]
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
	var chosen [256]bool
	for _, c := range classes {
		chosen[c] = true
	}
	for i, l := range s.Labels {
		if chosen[l] {
			forget = append(forget, i)
		} else {
			retain = append(retain, i)
		}
	}
	return forget, retain
}

// Subset returns a set of copies of the images at idx, in that order.
func (s *Set) Subset(idx []int) *Set {
	t := &Set{
		Pixels:  make([]uint8, 0, len(idx)*s.Rows*s.Cols),
		Labels:  make([]uint8, 0, len(idx)),
		Rows:    s.Rows,
		Cols:    s.Cols,
		Classes: s.Classes,
	}
	for _, i := range idx {
		t.Pixels = append(t.Pixels, s.Image(i)...)
		t.Labels = append(t.Labels, s.Labels[i])
	}
	return t
}

// Stratified returns a copy of perClass images of every class after passing
// over its first offset, in the order of the set. A class that has fewer gives
// what it has; so two calls with offsets perClass apart share no image.
func (s *Set) Stratified(perClass, offset int) *Set {
	var seen [256]int
	var idx []int
	for i, l := range s.Labels {
		if n := seen[l]; n >= offset && n < offset+perClass {
			idx = append(idx, i)
		}
		seen[l]++
	}
	return s.Subset(idx)
}

// Norm turns a pixel p of 0 to 255 into the number (p/255 - Mean) / Std that a
// network was trained on. It must be the one of the training.
type Norm struct{ Mean, Std float32 }

// FashionNorm is the mean and the standard deviation of the pixels of
// Fashion-MNIST's training images, rounded as published recipes round them.
var FashionNorm = Norm{Mean: 0.2860, Std: 0.3530}

// table holds the number of every pixel value. Each step is rounded to float32
// because PyTorch's ToTensor and Normalize round there.
func (n Norm) table() *[256]float32 {
	var t [256]float32
	for p := range t {
		x := float32(p) / 255
		x = x - n.Mean
		t[p] = x / n.Std
	}
	return &t
}

// CheckNetwork refuses a network that cannot take the images: input is the shape of one
// sample, without the batch, and classes the number of outputs.
func (s *Set) CheckNetwork(input []int, classes int) error {
	if !slices.Equal(input, []int{1, s.Rows, s.Cols}) {
		return fmt.Errorf("the network takes inputs of shape %v, the images are grey and of %d x %d pixels: give the data that it was trained on", input, s.Rows, s.Cols)
	}
	for _, l := range s.Labels {
		if int(l) >= classes {
			return fmt.Errorf("the data has label %d, the network has classes 0 to %d: give the data that it was trained on", l, classes-1)
		}
	}
	return nil
}

// Reader returns a function that writes the Rows x Cols numbers of image i to x.
func (s *Set) Reader(norm Norm) func(i int, x []float32) {
	t := norm.table()
	return func(i int, x []float32) {
		image := s.Image(i)
		x = x[:len(image)]
		for j, p := range image {
			x[j] = t[p]
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

// ParseClass returns the class that s means: an index, or one of names in any
// case. There are as many classes as names. The error lists them.
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
	list := make([]string, len(names))
	for c, name := range names {
		list[c] = fmt.Sprintf("%d %s", c, name)
	}
	return 0, fmt.Errorf("no class %q; the classes are %s", s, strings.Join(list, ", "))
}
