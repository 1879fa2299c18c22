package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// reference evaluates a graph on one sample in float64, by the definitions of
// the operators and nothing else.
func reference(g *graph.Graph, w map[string][]float64, dims map[string][]int, x []float64, shape []int) []float64 {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		in := func(i int) ([]float64, []int) {
			if i >= len(n.Inputs) || n.Inputs[i] == "" {
				return nil, nil
			}
			return w[n.Inputs[i]], dims[n.Inputs[i]]
		}
		switch n.Op {
		case "Relu":
			y := make([]float64, len(x))
			for i, v := range x {
				y[i] = math.Max(v, 0)
			}
			x = y
		case "Flatten":
			shape = []int{len(x)}
		case "BatchNormalization":
			scale, _ := in(1)
			bias, _ := in(2)
			mean, _ := in(3)
			variance, _ := in(4)
			y := make([]float64, len(x))
			for i, v := range x {
				f := i / (len(x) / shape[0])
				y[i] = (v-mean[f])/math.Sqrt(variance[f]+float64(n.Float("epsilon", 1e-5)))*scale[f] + bias[f]
			}
			x = y
		case "Gemm":
			weight, d := in(1)
			bias, _ := in(2)
			k, m := d[0], d[1]
			if n.Int("transB", 0) == 1 {
				k, m = m, k
			}
			y := make([]float64, m)
			for o := range m {
				if bias != nil {
					y[o] = bias[o]
				}
				for i := range k {
					if n.Int("transB", 0) == 1 {
						y[o] += weight[o*k+i] * x[i]
					} else {
						y[o] += weight[i*m+o] * x[i]
					}
				}
			}
			x, shape = y, []int{m}
		case "Conv", "MaxPool":
			weight, d := in(1)
			bias, _ := in(2)
			m, k := shape[0], n.Ints("kernel_shape")
			if n.Op == "Conv" {
				m, k = d[0], d[2:]
			}
			st, di, pa := n.Ints("strides", 1, 1), n.Ints("dilations", 1, 1), n.Ints("pads", 0, 0, 0, 0)
			h, wd := shape[1], shape[2]
			oh := (h+pa[0]+pa[2]-(k[0]-1)*di[0]-1)/st[0] + 1
			ow := (wd+pa[1]+pa[3]-(k[1]-1)*di[1]-1)/st[1] + 1
			y := make([]float64, m*oh*ow)
			for o := range y {
				ch, oy, ox := o/(oh*ow), o/ow%oh, o%ow
				sum, top := 0.0, math.Inf(-1)
				for c := range shape[0] {
					for ky := range k[0] {
						for kx := range k[1] {
							iy, ix := oy*st[0]-pa[0]+ky*di[0], ox*st[1]-pa[1]+kx*di[1]
							if iy < 0 || ix < 0 || iy >= h || ix >= wd {
								continue
							}
							v := x[(c*h+iy)*wd+ix]
							if n.Op == "Conv" {
								sum += v * weight[((ch*shape[0]+c)*k[0]+ky)*k[1]+kx]
							} else if c == ch {
								top = math.Max(top, v)
							}
						}
					}
				}
				y[o] = top
				if n.Op == "Conv" {
					y[o] = sum
					if bias != nil {
						y[o] += bias[ch]
					}
				}
			}
			x, shape = y, []int{m, oh, ow}
		default:
			panic(n.Op)
		}
	}
	return x
}

// stack is a test network under construction.
type stack struct {
	r       *rand.Rand
	graph   *graph.Graph
	entries []model.Entry
	last    string
}

func newStack(seed uint64, shape ...int) *stack {
	in := graph.TensorValue("input", model.Float32, graph.Batch(shape...))
	return &stack{rand.New(rand.NewPCG(seed, 0)), &graph.Graph{Name: "test", Inputs: []graph.Value{in}}, nil, "input"}
}

func (s *stack) weight(name string, positive bool, shape ...int) string {
	v := make([]float32, product(shape))
	for i := range v {
		v[i] = float32(s.r.NormFloat64() / math.Sqrt(float64(product(shape))/float64(shape[0])))
		if positive {
			v[i] = v[i]*v[i] + 0.5
		}
	}
	s.entries = append(s.entries, model.Entry{Name: name, Tensor: model.Float32Tensor(shape, v)})
	return name
}

func (s *stack) add(op string, attrs graph.Attrs, weights ...string) *stack {
	name := fmt.Sprintf("n%d", len(s.graph.Nodes))
	s.graph.Nodes = append(s.graph.Nodes, graph.Node{Name: name, Op: op, Attrs: attrs,
		Inputs: append([]string{s.last}, weights...), Outputs: []string{name}})
	s.last = name
	return s
}

func (s *stack) conv(m, c, kh, kw int, attrs graph.Attrs) *stack {
	i := fmt.Sprint(len(s.graph.Nodes))
	return s.add("Conv", attrs, s.weight("w"+i, false, m, c, kh, kw), s.weight("b"+i, false, m))
}

func (s *stack) norm(f int) *stack {
	i := fmt.Sprint(len(s.graph.Nodes))
	return s.add("BatchNormalization", nil, s.weight("scale"+i, false, f), s.weight("shift"+i, false, f),
		s.weight("mean"+i, false, f), s.weight("var"+i, true, f))
}

func (s *stack) gemm(k, m int) *stack {
	i := fmt.Sprint(len(s.graph.Nodes))
	return s.add("Gemm", graph.Attrs{"transB": graph.Int(1)}, s.weight("w"+i, false, m, k), s.weight("b"+i, false, m))
}

func (s *stack) bind(t testing.TB) (*Net, *model.StateDict) {
	t.Helper()
	s.graph.Outputs = []graph.Value{graph.TensorValue(s.last, model.Float32, graph.Batch(1))}
	sd, err := model.NewStateDict(s.entries...)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Bind(s.graph, sd)
	if err != nil {
		t.Fatal(err)
	}
	return n, sd
}

// features is the part of LeNet before its fully connected layers.
func features(seed uint64) *stack {
	pool := graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)}
	return newStack(seed, 1, 28, 28).conv(6, 1, 5, 5, nil).norm(6).add("Relu", nil).add("MaxPool", pool).
		conv(16, 6, 5, 5, nil).norm(16).add("Relu", nil).add("MaxPool", pool).
		add("Flatten", graph.Attrs{"axis": graph.Int(1)})
}

// networks exercise every operator with every attribute that nn honours, with
// sizes on both sides of every block of the kernels.
func networks() map[string]*stack {
	all := map[string]*stack{}
	all["gemm"] = newStack(1, 7).gemm(7, 13).add("Relu", nil).gemm(13, 6).add("Relu", nil).gemm(6, 3)
	s := newStack(2, 5)
	all["gemm without transB or bias"] = s.add("Gemm", nil, s.weight("w", false, 5, 4)).gemm(4, 2)
	all["lenet"] = features(3).gemm(256, 12).add("Relu", nil).gemm(12, 10)
	for i, a := range []graph.Attrs{
		{"pads": graph.Ints(1, 2, 0, 1)},
		{"strides": graph.Ints(2, 1)},
		{"strides": graph.Ints(2, 3), "pads": graph.Ints(2, 2, 2, 2)},
		{"dilations": graph.Ints(2, 1), "pads": graph.Ints(1, 0, 1, 0)},
		{"strides": graph.Ints(2, 2), "dilations": graph.Ints(2, 3), "pads": graph.Ints(3, 3, 3, 3)},
	} {
		// The first convolution gives the second a gradient to pass back.
		s := newStack(uint64(10+i), 2, 9, 11).conv(7, 2, 3, 3, graph.Attrs{"pads": graph.Ints(1, 1, 1, 1)}).norm(7).conv(5, 7, 3, 2, a)
		probe := reference(s.graph, toMap(s.entries), dimsOf(s.entries), make([]float64, 2*9*11), []int{2, 9, 11})
		all[fmt.Sprint("conv ", a)] = s.add("Flatten", nil).gemm(len(probe), 3)
	}
	// Poolings that run as one layer with the normalization before them, and
	// one that does not: its windows overlap.
	for i, a := range []graph.Attrs{
		{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)},
		{"kernel_shape": graph.Ints(2, 1), "strides": graph.Ints(3, 2)},
		{"kernel_shape": graph.Ints(2, 3), "strides": graph.Ints(2, 3), "pads": graph.Ints(1, 1, 0, 2)},
		{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(1, 2)},
	} {
		s := newStack(uint64(30+i), 2, 9, 11)
		if i > 0 { // the first has no gradient to pass back
			s.conv(3, 2, 1, 1, nil)
		} else {
			s = newStack(uint64(30), 3, 9, 11)
		}
		s.norm(3).add("Relu", nil).add("MaxPool", a)
		in, _ := s.graph.Inputs[0].Shape[1:].Ints()
		probe := reference(s.graph, toMap(s.entries), dimsOf(s.entries), make([]float64, product(in)), in)
		all[fmt.Sprint("norm and pool ", a)] = s.add("Flatten", nil).gemm(len(probe), 3)
	}
	for i, a := range []graph.Attrs{
		{"kernel_shape": graph.Ints(3, 2), "strides": graph.Ints(2, 2), "pads": graph.Ints(1, 1, 1, 0)},
		{"kernel_shape": graph.Ints(3, 3)},
		{"kernel_shape": graph.Ints(2, 2), "dilations": graph.Ints(2, 2), "strides": graph.Ints(1, 3)},
	} {
		s := newStack(uint64(20+i), 1, 8, 9).conv(3, 1, 2, 2, nil).add("MaxPool", a)
		probe := reference(s.graph, toMap(s.entries), dimsOf(s.entries), make([]float64, 72), []int{1, 8, 9})
		all[fmt.Sprint("pool ", a)] = s.add("Flatten", nil).gemm(len(probe), 2)
	}
	return all
}

func toMap(entries []model.Entry) map[string][]float64 {
	w := map[string][]float64{}
	for _, e := range entries {
		v, err := e.Tensor.Float32s()
		if err != nil {
			panic(err)
		}
		for _, x := range v {
			w[e.Name] = append(w[e.Name], float64(x))
		}
	}
	return w
}

func dimsOf(entries []model.Entry) map[string][]int {
	d := map[string][]int{}
	for _, e := range entries {
		d[e.Name] = e.Tensor.Shape()
	}
	return d
}
