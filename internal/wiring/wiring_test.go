package wiring

import (
	"testing"

	"lethe/convert/layers"
	"lethe/internal/dataset"
	"lethe/model"
)

func BenchmarkHalve(b *testing.B) {
	var entries []model.Entry
	add := func(name string, shape ...int) {
		n, _ := model.Elements(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = float32((i*7919)%13-6) / 60
		}
		entries = append(entries, model.Entry{Name: name + ".weight", Tensor: model.Float32Tensor(shape, v)}, model.Entry{Name: name + ".bias", Tensor: model.Float32Tensor(shape[:1], v[:shape[0]])})
	}
	add("conv1", 8, 1, 3, 3)
	add("conv2", 16, 8, 3, 3)
	add("conv3", 32, 16, 3, 3)
	add("fc1", 64, 32*9)
	add("fc2", 10, 64)
	sd, _ := model.NewStateDict(entries...)
	set := &dataset.Set{Pixels: make([]uint8, 784*64), Labels: make([]int, 64), Shape: []int{1, 28, 28}, Classes: 10}
	for b.Loop() {
		n, err := layers.Draft(sd, set.Shape)
		if err != nil {
			b.Fatal(err)
		}
		s := &search{ctx: b.Context(), sd: sd, net: n, set: set, opts: Options{Norms: []dataset.Norm{dataset.FashionNorm}}, shapes: layers.ShapesOf(sd), seen: map[string]*candidate{}}
		for i := range 32 {
			s.images = append(s.images, i)
		}
		list, _, err := n.Wirings(s.shapes, 20)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.evaluate(s.everywhere(list), 32); err != nil {
			b.Fatal(err)
		}
		b.Logf("%d tried", s.tried.Load())
	}
}
