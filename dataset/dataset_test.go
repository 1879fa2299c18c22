package dataset

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tiny has six images of 1 x 2 pixels, marked by their number, in four classes
// of which class 3 is empty.
func tiny() *Set {
	return &Set{
		Pixels:  []uint8{0, 1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51},
		Labels:  []int{1, 0, 1, 2, 1, 0},
		Shape:   []int{1, 1, 2},
		Classes: 4,
	}
}

func TestByClass(t *testing.T) {
	got, want := tiny().ByClass(), [][]int{{1, 5}, {0, 2, 4}, {3}, nil}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		classes        []int
		forget, retain []int
	}{
		{[]int{1}, []int{0, 2, 4}, []int{1, 3, 5}},
		{[]int{2, 0}, []int{1, 3, 5}, []int{0, 2, 4}},
		{[]int{3}, nil, []int{0, 1, 2, 3, 4, 5}},
		{nil, nil, []int{0, 1, 2, 3, 4, 5}},
	} {
		forget, retain := tiny().Split(c.classes...)
		if !reflect.DeepEqual(forget, c.forget) || !reflect.DeepEqual(retain, c.retain) {
			t.Errorf("%v: got %v and %v, want %v and %v", c.classes, forget, retain, c.forget, c.retain)
		}
	}
}

func TestStratified(t *testing.T) {
	for _, c := range []struct {
		perClass, offset int
		labels           []int
		first            []uint8 // first pixel of each image
	}{
		{1, 0, []int{1, 0, 2}, []uint8{0, 10, 30}},
		{1, 1, []int{1, 0}, []uint8{20, 50}},
		{9, 2, []int{1}, []uint8{40}},
		{9, 0, tiny().Labels, []uint8{0, 10, 20, 30, 40, 50}},
		{0, 0, []int{}, nil},
	} {
		s := tiny().Stratified(c.perClass, c.offset)
		var first []uint8
		for i := range s.Len() {
			first = append(first, s.Image(i)[0])
		}
		if !reflect.DeepEqual(s.Labels, c.labels) || !reflect.DeepEqual(first, c.first) {
			t.Errorf("%d after %d: got labels %v and pixels %v, want %v and %v", c.perClass, c.offset, s.Labels, first, c.labels, c.first)
		}
		if !slices.Equal(s.Shape, []int{1, 1, 2}) || s.Classes != 4 {
			t.Errorf("%d after %d: got shape %v and %d classes, want [1 1 2] and 4", c.perClass, c.offset, s.Shape, s.Classes)
		}
	}
}

func TestSubsetCopies(t *testing.T) {
	s := tiny()
	s.Subset([]int{0}).Pixels[0] = 99
	if s.Pixels[0] != 0 {
		t.Error("a change of the subset reached the set")
	}
}

func TestReader(t *testing.T) {
	s := &Set{Pixels: []uint8{0, 255, 73, 128}, Labels: []int{0, 0}, Shape: []int{1, 1, 2}, Classes: 1}
	read, dst := s.Reader(FashionNorm), []float32{7, 7, 7}
	for i, image := range [][]float64{{0, 255}, {73, 128}} {
		read(i, dst)
		for j, p := range image {
			want := (p/255 - 0.2860) / 0.3530
			if got := dst[j]; math.Abs(float64(got)-want) > 3e-7 {
				t.Errorf("pixel %v: got %v, want %v", p, got, want)
			}
		}
		if dst[2] != 7 {
			t.Error("wrote beyond the image")
		}
	}
	// float32 arithmetic throughout; with float64 inside, pixel 1 would be
	// one unit in the last place away for one of the two steps.
	mean, std := float32(0.2860), float32(0.3530)
	for p, got := range FashionNorm.tables(1)[0] {
		x := float32(p) / 255
		x -= mean
		if want := x / std; got != want {
			t.Errorf("pixel %d: got %v, want %v", p, got, want)
		}
	}
}

func TestParseClass(t *testing.T) {
	odd := []string{"2", "b", "c"} // the label of class 0 is an index of class 2
	for _, c := range []struct {
		in    string
		names []string
		want  int
		err   string
	}{
		{"3", fashionNames, 3, ""},
		{" 9 ", fashionNames, 9, ""},
		{"shirt", fashionNames, 6, ""},
		{"T-SHIRT/TOP", fashionNames, 0, ""},
		{"Ankle boot", fashionNames, 9, ""},
		{"class 1", numberedNames(2), 1, ""},
		{"1", odd, 1, ""},
		{"10", fashionNames, 0, `no class "10"; the classes are 0 T-shirt/top, 1 Trouser`},
		{"-1", fashionNames, 0, `no class "-1"`},
		{"2", numberedNames(2), 0, `no class "2"; the classes are 0 to 1, and have no names`},
		{"x", append(numberedNames(29), "y"), 0, "19 class 19, and 10 more"},
		{"", fashionNames, 0, `no class ""`},
		{"shir", fashionNames, 0, "6 Shirt"},
		{"2", odd, 0, `class "2" is both the index of "c" and the label of class 0`},
	} {
		got, err := ParseClass(c.in, c.names)
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%q: got %d, %v, want %d", c.in, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: got error %v, want %q", c.in, err, c.err)
		}
	}
}
