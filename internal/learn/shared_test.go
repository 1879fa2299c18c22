package learn

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/nn"
	"lethe/model"
)

func TestSoftmaxByHand(t *testing.T) {
	logits := []float32{0, float32(math.Log(2)), float32(math.Log(5))}
	logp, p := make([]float64, 3), make([]float64, 3)
	LogSoftmax(logp, p, logits)
	for c, want := range []float64{1. / 8, 2. / 8, 5. / 8} {
		if math.Abs(p[c]-want) > 1e-7 || math.Abs(logp[c]-math.Log(want)) > 1e-7 {
			t.Errorf("class %d: %v and %v, want %v", c, p[c], logp[c], want)
		}
	}
	// Neither end of float32 overflows.
	LogSoftmax(logp, p, []float32{math.MaxFloat32, -math.MaxFloat32, 0})
	if !slices.Equal(p, []float64{1, 0, 0}) || logp[0] != 0 {
		t.Errorf("far apart: %v, %v", p, logp)
	}
	z := []float64{1, 3, 2}
	if sum := Exps(z, p, z); math.Abs(sum-(1+math.Exp(-2)+math.Exp(-1))) > 1e-15 || !slices.Equal(z, []float64{-2, 0, -1}) {
		t.Errorf("in place: sum %v of the exponentials of %v", sum, z)
	}
	if best := Best([]float32{1, 3, 3, 2}); best != 1 {
		t.Errorf("the best class is %d, want the first of equals", best)
	}
}

func TestSamplerDrawsAllBeforeAnyAgain(t *testing.T) {
	pool := []int{3, 5, 8, 13, 21}
	s := NewSampler(rand.New(rand.NewPCG(1, 1)), pool)
	drawn := make([]int, 10)
	s.Draw(drawn[:3])
	s.Draw(drawn[3:])
	for _, half := range [][]int{drawn[:5], drawn[5:]} {
		if !slices.Equal(slices.Sorted(slices.Values(half)), pool) {
			t.Errorf("a round drew %v from %v", half, pool)
		}
	}
	if !slices.Equal(pool, []int{3, 5, 8, 13, 21}) {
		t.Error("the pool of the caller was shuffled")
	}
}

// bound returns the LeNet, ready to run.
func bound(t *testing.T) *nn.Net {
	t.Helper()
	g, like := lenet(t)
	net, err := nn.Bind(g, like)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// Evaluate gives each image its own logits wherever it falls in a batch, and
// stops when it is told to.
func TestEvaluate(t *testing.T) {
	net := bound(t)
	set := sample(t, 5)
	images := []int{49, 0, 7, 7, 23, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	whole, err := Outputs(context.Background(), net, set, dataset.FashionNorm, images, 2)
	if err != nil {
		t.Fatal(err)
	}
	s, err := net.NewSession(5, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, len(images))
	err = Evaluate(context.Background(), s, set, dataset.FashionNorm, images, func(i int, logits []float32) {
		seen[i] = true
		if !slices.Equal(logits, whole[i*10:(i+1)*10]) {
			t.Errorf("image %d has other logits in batches of 5", i)
		}
	})
	if err != nil || slices.Contains(seen, false) {
		t.Errorf("evaluated %v, %v", seen, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Evaluate(ctx, s, set, dataset.FashionNorm, images, func(int, []float32) { t.Error("evaluated after the end") }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Reaches says the same as Accuracy, whatever it leaves unseen.
func TestReaches(t *testing.T) {
	net := bound(t)
	set := sample(t, 40)
	s, err := net.NewSession(Batch, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, images := range [][]int{rand.New(rand.NewPCG(0, 0)).Perm(set.Len()), {0, 1, 2}} {
		accuracy, err := Accuracy(t.Context(), s, set, dataset.FashionNorm, images)
		if err != nil || !(accuracy > 0.5) {
			t.Fatalf("accuracy %g, %v", accuracy, err)
		}
		for _, least := range []float64{0, 0.1, 0.5, accuracy, accuracy + 0.5/float64(len(images)), 0.99, 1, 1.1} {
			if is, err := Reaches(t.Context(), s, set, dataset.FashionNorm, images, least); is != (accuracy >= least) || err != nil {
				t.Errorf("%d images, accuracy %g: at least %g is %v, %v", len(images), accuracy, least, is, err)
			}
		}
	}
}

// A network with branches gets weights too: sums of two values have none, a table
// of weights may be the first input, and integers stay.
func TestFreshWeightsOfBranches(t *testing.T) {
	float := func(dims ...int) *model.Tensor {
		n, _ := model.Elements(dims)
		return model.Float32Tensor(dims, make([]float32, n))
	}
	like, err := model.NewStateDict(model.Entry{Name: "w", Tensor: float(4, 4)}, model.Entry{Name: "table", Tensor: float(1, 4)},
		model.Entry{Name: "scale", Tensor: float(4)}, model.Entry{Name: "shift", Tensor: float(4)}, model.Entry{Name: "end", Tensor: float(2, 4)})
	if err != nil {
		t.Fatal(err)
	}
	g := &graph.Graph{
		Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(4))}, Outputs: []graph.Value{{Name: "logits"}},
		Nodes: []graph.Node{
			{Name: "a", Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"a"}},
			{Name: "b", Op: "Add", Inputs: []string{"table", "a"}, Outputs: []string{"b"}},
			{Name: "c", Op: "Add", Inputs: []string{"b", "x"}, Outputs: []string{"c"}},
			{Name: "d", Op: "LayerNormalization", Inputs: []string{"c", "scale", "shift"}, Outputs: []string{"d"}},
			{Name: "e", Op: "Gemm", Inputs: []string{"d", "end"}, Outputs: []string{"logits"}, Attrs: graph.Attrs{"transB": graph.Int(1)}},
		},
	}
	sd, err := fresh(g, like, rand.New(rand.NewPCG(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nn.Bind(g, sd); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float32{"scale": 1, "shift": 0} {
		if v := elements(t, sd, name); v[0] != want || v[3] != want {
			t.Errorf("%s begins as %v", name, v)
		}
	}
	for _, name := range []string{"w", "table", "end"} {
		if v := elements(t, sd, name); slices.Max(v) <= 0 || slices.Min(v) >= 0 || slices.Max(v) > 0.5 {
			t.Errorf("%s begins as %v", name, v)
		}
	}
}
