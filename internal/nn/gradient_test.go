package nn

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// double is a test network in float64, for package ops.
type double struct {
	graph   *graph.Graph
	weights map[string][]float64
	dims    map[string][]int
}

func float64Tensor(dims []int, v []float64) *model.Tensor {
	t, err := ops.Float64s(dims, v).Model()
	if err != nil {
		panic(err)
	}
	return t
}

// widenTensor returns a tensor in float64, if it is one of real numbers.
func widenTensor(t *testing.T, x *model.Tensor) *model.Tensor {
	t.Helper()
	if !x.DType().IsFloat() {
		return x
	}
	v, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	wide := make([]float64, len(v))
	for i, f := range v {
		wide[i] = float64(f)
	}
	return float64Tensor(x.Shape(), wide)
}

// inDouble returns a network whose real numbers are float64.
func inDouble(t *testing.T, n *network) *double {
	t.Helper()
	d := &double{n.graph.Clone(), map[string][]float64{}, map[string][]int{}}
	scales := map[string]bool{} // which are float32 in every network
	for i := range d.graph.Nodes {
		node := &d.graph.Nodes[i]
		node.Attrs = maps.Clone(node.Attrs)
		for j, name := range node.Inputs {
			scales[name] = scales[name] || node.Op == "Resize" && j > 0
		}
		if node.Op == "Cast" && node.Int("to", 0) == onnxFloat {
			node.Attrs["to"] = graph.Int(onnxDouble)
		}
		if node.Op == "ConstantOfShape" {
			node.Attrs = graph.Attrs{"value": graph.Tensor(float64Tensor([]int{1}, []float64{0}))}
		}
	}
	for name, c := range d.graph.Constants {
		if !scales[name] {
			d.graph.Constants[name] = widenTensor(t, c)
		}
	}
	for i := range d.graph.Inputs {
		if d.graph.Inputs[i].DType == model.Float32 {
			d.graph.Inputs[i].DType = model.Float64
		}
	}
	for _, e := range n.entries {
		wide, _ := ops.FromModel(widenTensor(t, e.Tensor))
		d.weights[e.Name], _ = wide.Float64s()
		d.dims[e.Name] = e.Tensor.Shape()
	}
	return d
}

// loss evaluates the loss of step with package ops.
func (d *double) loss(t *testing.T, x []float32, count int) float64 {
	t.Helper()
	var entries []model.Entry
	for name, v := range d.weights {
		entries = append(entries, model.Entry{Name: name, Tensor: float64Tensor(d.dims[name], slices.Clone(v))})
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	size := len(x) / count
	inputs, at := map[string]*ops.Tensor{}, 0
	for _, in := range d.graph.Inputs {
		dims, _ := in.Shape[1:].Ints()
		own := product(dims)
		v, ints := make([]float64, 0, count*own), make([]int64, 0, count*own)
		for i := range count {
			for _, f := range x[i*size+at:][:own] {
				v, ints = append(v, float64(f)), append(ints, int64(f))
			}
		}
		at += own
		inputs[in.Name] = ops.Float64s(append([]int{count}, dims...), v)
		if in.DType == model.Int64 {
			inputs[in.Name] = ops.Int64s(append([]int{count}, dims...), ints)
		}
	}
	out, err := ops.Run(t.Context(), d.graph, sd, inputs, ops.Options{})
	if err != nil {
		t.Fatal(err)
	}
	logits, ok := out[d.graph.Outputs[0].Name].Float64s()
	if !ok {
		t.Fatalf("the logits are %v", out[d.graph.Outputs[0].Name].DType())
	}
	sum := 0.0
	for i, v := range logits {
		sum += v * float64(coefficient(i/(len(logits)/count), i%(len(logits)/count)))
	}
	return sum
}

// Along a random direction of each weight the loss, as package ops computes it in
// float64, changes as the gradient says.
func TestGraphGradients(t *testing.T) {
	if testing.Short() {
		t.Skip("evaluates every network thousands of times")
	}
	for name, n := range graphs() {
		t.Run(name, func(t *testing.T) {
			net, _ := n.bind(t)
			const count = 3
			x, params := n.draw(net, count), ops.Parameters(n.graph)
			params = slices.DeleteFunc(params, func(p string) bool { return net.weights[p] == nil })
			grad := slices.Clone(step(t, net, x, count, 2, params))
			d := inDouble(t, n)
			r := rand.New(rand.NewPCG(1, 9))
			at := 0
			for _, p := range params {
				size := len(net.weights[p])
				own := grad[at : at+size]
				at += size
				// Half along the gradient, half along anything, 1 long altogether.
				direction := make([]float64, size)
				norm, other := 0.0, 0.0
				for i, g := range own {
					direction[i] = r.NormFloat64()
					norm, other = norm+float64(g)*float64(g), other+direction[i]*direction[i]
				}
				norm = math.Sqrt(norm)
				want := 0.0
				for i, g := range own {
					direction[i] = (direction[i]/math.Sqrt(other) + float64(g)/math.Max(norm, 1e-9)) / math.Sqrt2
					want += direction[i] * float64(g)
				}
				const h = 1e-6
				before := d.weights[p]
				moved := func(by float64) float64 {
					v := slices.Clone(before)
					for i := range v {
						v[i] += by * direction[i]
					}
					d.weights[p] = v
					return d.loss(t, x, count)
				}
				got := (moved(h) - moved(-h)) / (2 * h)
				d.weights[p] = before
				if !(math.Abs(got-want) < 2e-5*norm+1e-6) {
					t.Errorf("%s: the loss changes by %v along a direction, the gradient says %v", p, got, want)
				}
			}
		})
	}
}

// There is a network for every operator that runs, so that its gradient is
// checked.
func TestEveryOperatorIsChecked(t *testing.T) {
	missing := map[string]bool{}
	for name := range operators {
		missing[name] = !internal[name]
	}
	for name := range cells {
		missing[name] = true
	}
	for name := range expansions {
		missing[name] = true
	}
	for _, name := range choosing {
		missing[name] = true
	}
	maps.DeleteFunc(missing, func(_ string, is bool) bool { return !is })
	delete(missing, "Upsample") // no opset from 10 on has it, and it is run as Resize
	delete(missing, "Scatter")  // no opset from 11 on has it, and it is ScatterElements
	drop := func(nodes []graph.Node) {
		for _, node := range nodes {
			delete(missing, node.Op)
		}
	}
	for _, n := range graphs() {
		drop(n.graph.Nodes)
	}
	if len(missing) > 0 {
		t.Errorf("no network of graphs has %v", slices.Sorted(maps.Keys(missing)))
	}
}
