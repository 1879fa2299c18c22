package nn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

func samples(n, size int) []float32 {
	r := rand.New(rand.NewPCG(99, 1))
	v := make([]float32, n*size)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func TestForwardAgreesWithReference(t *testing.T) {
	for name, s := range networks() {
		t.Run(name, func(t *testing.T) {
			n, _ := s.bind(t)
			size, classes := product(n.InputShape()), n.Classes()
			for _, count := range []int{1, 16, 17, 83} {
				x := samples(count, size)
				got, err := n.Logits(x, 2)
				if err != nil {
					t.Fatal(err)
				}
				for i := range count {
					one := make([]float64, size)
					for j := range one {
						one[j] = float64(x[i*size+j])
					}
					want := reference(s.graph, toMap(s.entries), dimsOf(s.entries), one, n.InputShape())
					for c, v := range want {
						if math.Abs(float64(got[i*classes+c])-v) > 1e-5*(1+math.Abs(v)) {
							t.Fatalf("sample %d of %d, logit %d: got %v, want %v", i, count, c, got[i*classes+c], v)
						}
					}
				}
			}
		})
	}
}

// step runs one gradient of the loss sum(coefficient * logit) over count
// samples and returns it.
func step(t *testing.T, n *Net, x []float32, count, threads int, train []string) []float32 {
	t.Helper()
	s, err := n.NewSession(count, threads, train)
	if err != nil {
		t.Fatal(err)
	}
	return stepOf(s, x, count)
}

// stepOf is step on a session.
func stepOf(s *Session, x []float32, count int) []float32 {
	size, classes := s.net.SampleSize(), s.net.Classes()
	s.Step(count, func(i int, dst []float32) { copy(dst, x[i*size:(i+1)*size]) }, func(i int, logits, grad []float32) {
		for c := range classes {
			grad[c] = coefficient(i, c)
		}
	})
	return s.Grad()
}

func coefficient(sample, class int) float32 {
	return float32(math.Sin(float64(3*sample + 5*class + 1)))
}

func TestGradientAgreesWithFiniteDifferences(t *testing.T) {
	for name, s := range networks() {
		t.Run(name, func(t *testing.T) {
			n, _ := s.bind(t)
			size := product(n.InputShape())
			count := 5
			x := samples(count, size)
			weights, dims := toMap(s.entries), dimsOf(s.entries)
			loss := func() float64 {
				sum := 0.0
				for i := range count {
					one := make([]float64, size)
					for j := range one {
						one[j] = float64(x[i*size+j])
					}
					for c, v := range reference(s.graph, weights, dims, one, n.InputShape()) {
						sum += v * float64(coefficient(i, c))
					}
				}
				return sum
			}
			params := ops.Parameters(s.graph)
			grad := step(t, n, x, count, 2, params)
			r := rand.New(rand.NewPCG(4, 4))
			at := 0
			for _, p := range params {
				w := weights[p]
				for range min(len(w), 12) {
					i := r.IntN(len(w))
					const h = 1e-6
					old := w[i]
					w[i] = old + h
					up := loss()
					w[i] = old - h
					down := loss()
					w[i] = old
					want := (up - down) / (2 * h)
					if got := float64(grad[at+i]); math.Abs(got-want) > 2e-4*(1+math.Abs(want)) {
						t.Errorf("%s[%d]: got %v, want %v", p, i, got, want)
					}
				}
				at += len(w)
			}
		})
	}
}

func TestGradientDoesNotDependOnThreads(t *testing.T) {
	for name, s := range networks() {
		n, _ := s.bind(t)
		x := samples(333, product(n.InputShape()))
		want := step(t, n, x, 333, 1, ops.Parameters(s.graph))
		for _, threads := range []int{2, 3, 8} {
			if got := step(t, n, x, 333, threads, ops.Parameters(s.graph)); !slices.Equal(got, want) {
				t.Errorf("%s: %d threads give another gradient than one", name, threads)
			}
		}
	}
}

func TestGradientOfSomeParametersIsTheSame(t *testing.T) {
	s := networks()["lenet"]
	n, _ := s.bind(t)
	x := samples(40, 784)
	all := map[string][]float32{}
	params := ops.Parameters(s.graph)
	at, grad := 0, step(t, n, x, 40, 2, params)
	for _, p := range params {
		size := len(n.weights[p])
		all[p] = grad[at : at+size]
		at += size
	}
	for _, train := range [][]string{{params[0]}, {params[4], params[8]}, {params[9]}, {params[6], params[10], params[11]}, {params[3]}} {
		at, grad := 0, step(t, n, x, 40, 2, train)
		for _, p := range train {
			size := len(n.weights[p])
			if !slices.Equal(grad[at:at+size], all[p]) {
				t.Errorf("training %v alone gives %s another gradient", train, p)
			}
			at += size
		}
	}
}

// Another name of a trained parameter gets the same tensor, another of one that is not
// trained stays.
func TestStateDictMovesAliases(t *testing.T) {
	n, sd := networks()["lenet"].bind(t)
	params := ops.Parameters(n.Graph())
	moved, stays := params[0], params[1]
	sd = sd.WithAll(model.Entry{Name: "again", Tensor: sd.Get(moved)}, model.Entry{Name: "other", Tensor: sd.Get(stays)})
	s, err := n.NewSession(8, 1, []string{moved})
	if err != nil {
		t.Fatal(err)
	}
	s.Theta()[0]++
	after, err := s.StateDict(sd)
	if err != nil {
		t.Fatal(err)
	}
	if after.Get("again") != after.Get(moved) || after.Get(moved) == sd.Get(moved) || after.Get("other") != sd.Get(stays) {
		t.Error("names of one tensor have different ones after an edit")
	}
}

func TestBindRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		change func(s *stack)
		want   any
	}{
		"missing weight": {func(s *stack) { s.entries = s.entries[1:] }, new(*model.FormatError)},
		"NaN": {func(s *stack) {
			s.entries[0].Tensor = model.Float32Tensor([]int{3, 1, 2, 2}, slices.Repeat([]float32{nan}, 12))
		}, new(*model.FormatError)},
		"wrong shape":       {func(s *stack) { s.entries[0].Tensor = model.Float32Tensor([]int{3, 2, 2, 1}, make([]float32, 12)) }, new(*model.FormatError)},
		"unknown operator":  {func(s *stack) { s.graph.Nodes[0].Op = "Mystery" }, new(*model.UnsupportedError)},
		"groups":            {func(s *stack) { s.graph.Nodes[0].Attrs = graph.Attrs{"group": graph.Int(3)} }, new(*model.FormatError)},
		"unknown attribute": {func(s *stack) { s.graph.Nodes[1].Attrs["mystery"] = graph.Int(3) }, new(*model.FormatError)},
		"storage order":     {func(s *stack) { s.graph.Nodes[1].Attrs["storage_order"] = graph.Int(1) }, new(*model.UnsupportedError)},
		"no such value":     {func(s *stack) { s.graph.Nodes[1].Inputs[0] = "nothing" }, new(*model.FormatError)},
		"huge kernel":       {func(s *stack) { s.graph.Nodes[1].Attrs["kernel_shape"] = graph.Ints(99, 99) }, new(*model.FormatError)},
		"zero stride":       {func(s *stack) { s.graph.Nodes[1].Attrs["strides"] = graph.Ints(0, 1) }, new(*model.FormatError)},
	} {
		s := networks()[fmt.Sprint("pool ", graph.Attrs{"kernel_shape": graph.Ints(3, 3)})]
		c.change(s)
		s.graph.Outputs = []graph.Value{{Name: s.last}}
		sd, err := model.NewStateDict(s.entries...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Bind(s.graph, sd); err == nil || !errors.As(err, c.want) {
			t.Errorf("%s: got %v, want a %T", name, err, c.want)
		}
	}
}

func BenchmarkLeNet(b *testing.B) {
	s := features(1).gemm(256, 120).add("Relu", nil).gemm(120, 84).add("Relu", nil).gemm(84, 10)
	n, _ := s.bind(b)
	for _, threads := range []int{1, 2} {
		for _, train := range []bool{false, true} {
			b.Run(fmt.Sprintf("threads=%d,train=%v", threads, train), func(b *testing.B) {
				ses, err := n.NewSession(256, threads, ops.Parameters(s.graph))
				if err != nil {
					b.Fatal(err)
				}
				fill := func(_ int, dst []float32) {
					for i := range dst {
						dst[i] = float32(i%7) - 3
					}
				}
				b.ReportAllocs()
				for b.Loop() {
					if train {
						ses.Step(256, fill, func(i int, _, grad []float32) { clear(grad); grad[0] = 1 })
						ses.Refresh()
					} else {
						ses.Forward(256, fill, func(int, []float32) {})
					}
				}
				b.ReportMetric(256*float64(b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}

// BenchmarkLayers measures each layer of LeNet alone, on one chunk and one
// thread: what the operations of its products reach, and the images a second for
// layers that have none.
func BenchmarkLayers(b *testing.B) {
	s := features(1).gemm(256, 120).add("Relu", nil).gemm(120, 84).add("Relu", nil).gemm(84, 10)
	n, _ := s.bind(b)
	ses, err := n.NewSession(ChunkSamples, 1, ops.Parameters(s.graph))
	if err != nil {
		b.Fatal(err)
	}
	fill := func(_ int, dst []float32) {
		for i := range dst {
			dst[i] = float32(i%7) - 3
		}
	}
	ses.Step(ChunkSamples, fill, func(_ int, _, grad []float32) { clear(grad); grad[0] = 1 })
	flops := func(l layer) float64 { // of an image, forward
		switch l := l.(type) {
		case *convLayer:
			return 2 * float64(l.m*l.c*l.kk*l.outSz/Lanes)
		case *denseLayer:
			return 2 * float64(l.m*l.k)
		}
		return 0
	}
	for i, l := range ses.layers {
		st := layerRange{i, i + 1, false}
		for _, p := range ses.path {
			st.byGroups = st.byGroups || p.byGroups && p.lo <= i && i < p.hi
		}
		run := func(name string, factor float64, f func(p part)) {
			b.Run(fmt.Sprintf("%d %T/%s", i, l, name), func(b *testing.B) {
				p := ses.part(0, 0)
				for b.Loop() {
					f(p)
				}
				seconds := b.Elapsed().Seconds() / float64(b.N)
				if work := factor * flops(l); work > 0 {
					b.ReportMetric(work*ChunkSamples/seconds/1e9, "GFLOP/s")
				}
				b.ReportMetric(ChunkSamples/seconds, "images/s")
			})
		}
		run("forward", 1, func(p part) { st.parts(p, func(p part, _ layerRange) { l.forward(p) }) })
		_, products := l.(*denseLayer)
		backward := 2.
		if products || i == 0 {
			backward = 1 // of the weight of a convolution alone; of the input of a product alone
		}
		run("backward", backward, func(p part) { st.parts(p, func(p part, _ layerRange) { l.backward(p) }) })
		if l.tasks() > 0 {
			reduce := 0.
			if products {
				reduce = 1 // of the weight
			}
			run("reduce", reduce, func(part) {
				for task := range l.tasks() {
					l.reduce(task, 1, largestChunk)
				}
			})
		}
	}
}
