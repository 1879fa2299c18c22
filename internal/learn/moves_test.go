package learn

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/nn"
	"lethe/model"
)

func TestMoveByHand(t *testing.T) {
	src := []uint8{
		1, 2, 3,
		4, 5, 6,

		11, 12, 13,
		14, 15, 16,
	}
	m := &mover{rows: 2, cols: 3}
	for _, c := range []struct {
		move
		want []uint8
	}{
		{move{}, src},
		{move{mirrored: true}, []uint8{3, 2, 1, 6, 5, 4, 13, 12, 11, 16, 15, 14}},
		{move{right: 1}, []uint8{0, 1, 2, 0, 4, 5, 0, 11, 12, 0, 14, 15}},
		{move{right: -2, down: 1}, []uint8{0, 0, 0, 3, 0, 0, 0, 0, 0, 13, 0, 0}},
		{move{mirrored: true, right: 1, down: -1}, []uint8{0, 6, 5, 0, 0, 0, 0, 16, 15, 0, 0, 0}},
	} {
		dst := slices.Repeat([]uint8{99}, len(src))
		if m.apply(dst, src, c.move); !slices.Equal(dst, c.want) {
			t.Errorf("%+v makes %v, want %v", c.move, dst, c.want)
		}
	}
}

// sides returns images of channels x 8 x 8 of which one half is bright, and a network
// that tells which by a weight on every pixel.
func sides(t *testing.T, channels int, class func(y, x int) int) (*nn.Net, *dataset.Set) {
	t.Helper()
	set := &dataset.Set{Shape: []int{channels, 8, 8}, Classes: 2}
	weight := make([]float32, 2*channels*64)
	for c := range channels {
		for y := range 8 {
			for x := range 8 {
				weight[(class(y, x)*channels+c)*64+y*8+x] = 1
			}
		}
	}
	for i := range 64 {
		label := i % 2
		set.Labels = append(set.Labels, label)
		for range channels {
			for y := range 8 {
				for x := range 8 {
					p := uint8(0)
					if class(y, x) == label {
						p = 255
					}
					set.Pixels = append(set.Pixels, p)
				}
			}
		}
	}
	g := &graph.Graph{
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(channels, 8, 8))},
		Outputs: []graph.Value{{Name: "y"}},
		Nodes: []graph.Node{
			{Op: "Flatten", Inputs: []string{"x"}, Outputs: []string{"flat"}},
			{Op: "Gemm", Inputs: []string{"flat", "w", "b"}, Outputs: []string{"y"}, Attrs: graph.Attrs{"transB": graph.Int(1)}},
		},
		Opsets: map[string]int{"": graph.DefaultOpset},
	}
	sd, err := model.NewStateDict(
		model.Entry{Name: "w", Tensor: model.Float32Tensor([]int{2, channels * 64}, weight)},
		model.Entry{Name: "b", Tensor: model.Float32Tensor([]int{2}, make([]float32, 2))})
	if err != nil {
		t.Fatal(err)
	}
	net, err := nn.Bind(g, sd)
	if err != nil {
		t.Fatal(err)
	}
	return net, set
}

// What an image shows decides how it may be moved: a class that is a side does not
// bear a mirror, one that is a stripe of a pixel no shift.
func TestTolerated(t *testing.T) {
	left := func(_, x int) int { return x / 4 }
	lower := func(y, _ int) int { return y / 4 }
	stripes := func(y, _ int) int { return y % 2 }
	for _, c := range []struct {
		name     string
		channels int
		class    func(y, x int) int
		want     moves
	}{
		{"left or right", 3, left, moves{shift: true}},
		{"above or below", 3, lower, moves{shift: true, mirror: true}},
		{"odd or even rows", 3, stripes, moves{mirror: true}},
		{"grey", 1, lower, moves{}},
	} {
		net, set := sides(t, c.channels, c.class)
		images := []int{}
		for i := range set.Len() {
			images = append(images, i)
		}
		if got, err := tolerated(context.Background(), net, set, dataset.OneNorm(0, 1), images, 2); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

// Steps of moved images see them moved, do not depend on the number of threads, and
// the recipe and the key of the cache tell.
func TestWithoutMoves(t *testing.T) {
	net, set := sides(t, 3, func(y, _ int) int { return y / 4 })
	like, err := model.NewStateDict(
		model.Entry{Name: "w", Tensor: model.Float32Tensor([]int{2, 192}, make([]float32, 384))},
		model.Entry{Name: "b", Tensor: model.Float32Tensor([]int{2}, make([]float32, 2))})
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Norm: dataset.OneNorm(0, 1)}
	var prints []string
	for _, threads := range []int{1, 3} {
		opts.Threads = threads
		sd, recipe, err := without(context.Background(), net.Graph(), like, set, opts, length{20, 2})
		if err != nil {
			t.Fatal(err)
		}
		if recipe.Steps != 12 || !reflect.DeepEqual(recipe.Variations, []string{"shift", "mirror"}) { // 2.5 * 20 * 64 / 256
			t.Errorf("recipe %+v", recipe)
		}
		prints = append(prints, fingerprint(t, sd))
	}
	if prints[0] != prints[1] {
		t.Error("the weights depend on the number of threads")
	}
	r, err := prepare(context.Background(), net.Graph(), like, set, opts, length{20, 2})
	if err != nil {
		t.Fatal(err)
	}
	moved := r.key()
	r.recipe.Variations = nil
	if slices.Equal(moved, r.key()) {
		t.Error("the cache does not tell moved images from others")
	}
	r.moves = moves{}
	r.rng = rand.New(rand.NewPCG(opts.Seed, 0))
	if r.start, err = fresh(net.Graph(), like, r.rng); err != nil {
		t.Fatal(err)
	}
	sd, err := r.train(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if fingerprint(t, sd) == prints[0] {
		t.Error("images that are moved teach the same as others")
	}
}
