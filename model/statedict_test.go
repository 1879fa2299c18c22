package model

import (
	"fmt"
	"slices"
	"testing"
)

func TestWithAll(t *testing.T) {
	tensor := func(v float32) *Tensor { return Float32Tensor([]int{1}, []float32{v}) }
	one, two, three := tensor(1), tensor(2), tensor(3)
	sd, err := NewStateDict(Entry{"a", one}, Entry{"b", one})
	if err != nil {
		t.Fatal(err)
	}
	got := sd.WithAll(Entry{"c", two}, Entry{"b", two}, Entry{"c", three})
	if names := got.Names(); !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("names %v", names)
	}
	if got.Get("a") != one || got.Get("b") != two || got.Get("c") != three {
		t.Error("wrong tensors")
	}
	if sd.Get("b") != one || sd.Get("c") != nil || sd.Len() != 2 {
		t.Error("the state dict that it came from changed")
	}
	// Two state dicts of one must not share the room behind its names.
	x, y := sd.With("x", two), sd.With("y", three)
	if !slices.Equal(x.Names(), []string{"a", "b", "x"}) || !slices.Equal(y.Names(), []string{"a", "b", "y"}) {
		t.Errorf("names %v and %v", x.Names(), y.Names())
	}
}

// BenchmarkWithAll replaces every tensor of a large state dict.
func BenchmarkWithAll(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000} {
		var entries []Entry
		for i := range n {
			entries = append(entries, Entry{fmt.Sprint(i), Float32Tensor([]int{1}, []float32{1})})
		}
		sd, err := NewStateDict(entries...)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				sd.WithAll(entries...)
			}
		})
	}
}
