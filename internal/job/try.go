package job

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// workMax is how many products a network may need for the trial: the evaluator
// of ops is there to be right, not to be fast.
const workMax = 50_000_000

// tryModel runs a model on two samples together and one by one, and compares:
// samples must not depend on each other, whatever the size of the batch. It says
// what was done, or why it was not.
func tryModel(ctx context.Context, g *graph.Graph, sd *model.StateDict) (said string, err error) {
	open := openSizes(g)
	if len(open) == 0 {
		return trySamples(ctx, g, sd)
	}
	for _, size := range trialSizes {
		sizes := map[string]int{}
		for _, name := range open {
			sizes[name] = size
		}
		said, err = trySamples(ctx, g.WithSizes(sizes), sd)
		if errors.As(err, new(*model.FormatError)) { // a network may allow other sizes only
			return fmt.Sprintf("not run: with %s of %d: %v", strings.Join(open, ", "), size, err), nil
		}
		if err != nil || said != theSame {
			return said, err
		}
	}
	return fmt.Sprintf("%s, with %s of %d and of %d", theSame, strings.Join(open, ", "), trialSizes[0], trialSizes[1]), nil
}

// trialSizes are the sizes that a model is run with where they are open.
var trialSizes = [...]int{7, 12}

// theSame is said of a model whose samples do not depend on each other.
const theSame = "run on one and two samples: the same"

// openSizes returns the names of the sizes of inputs that are open beside the batch.
func openSizes(g *graph.Graph) []string {
	var names []string
	for _, v := range g.Inputs {
		for _, d := range v.Shape {
			if name, is := d.Symbol(); is && name != graph.BatchSymbol && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// trySamples is [tryModel] for a model of which only the batch is open.
func trySamples(ctx context.Context, g *graph.Graph, sd *model.StateDict) (said string, err error) {
	if why := notRun(g, sd); why != "" {
		return why, nil
	}
	var results []map[string]*ops.Tensor
	for _, of := range [][2]int{{0, 1}, {1, 2}, {0, 2}} {
		s, err := sample(g, of[0], of[1])
		var out map[string]*ops.Tensor
		if err == nil {
			out, err = ops.Run(ctx, g, sd, s, ops.Options{})
		}
		var unsupported *model.UnsupportedError
		var limit *model.LimitError
		if errors.As(err, &unsupported) || errors.As(err, &limit) {
			return "not run: " + err.Error(), nil
		}
		if err != nil {
			return "", fmt.Errorf("running the model: %w", err)
		}
		results = append(results, out)
	}
	var largest float64
	for _, v := range g.Outputs {
		both, _ := results[2][v.Name].Float64s()
		for i := range 2 {
			one, _ := results[i][v.Name].Float64s()
			if len(both) != 2*len(one) {
				return "", fmt.Errorf("running the model: output %q has %d elements for two samples and %d for one", v.Name, len(both), len(one))
			}
			largest = max(largest, difference(one, both[i*len(one):][:len(one)]))
		}
	}
	if !(largest <= 1e-4) {
		return "", fmt.Errorf("running the model: two samples together differ from one by one by %.2g of the largest output", largest)
	}
	return theSame, nil
}

// notRun returns why a model cannot be run as it is, or "".
func notRun(g *graph.Graph, sd *model.StateDict) string {
	for _, v := range append(g.Inputs[:len(g.Inputs):len(g.Inputs)], g.Outputs...) {
		if len(v.Shape) == 0 || !v.Shape[0].Equal(graph.Symbol(graph.BatchSymbol)) {
			return "not run: an input or output does not begin with the batch"
		}
		if _, ok := v.Shape[1:].Ints(); !ok {
			return "not run: a size beside the batch is open"
		}
	}
	if n := ops.Products(g, sd); n > workMax {
		return fmt.Sprintf("not run: a sample takes %.0f million products", n/1e6)
	}
	return ""
}

// difference returns the largest difference of two lists, relative to the
// largest element.
func difference(a, b []float64) float64 {
	var most, d float64
	for i, x := range a {
		if x == b[i] || x != x && b[i] != b[i] {
			continue
		}
		most = max(most, math.Abs(x), math.Abs(b[i]))
		d = max(d, math.Abs(x-b[i]))
	}
	if d == 0 {
		return 0
	}
	return d / most
}

// sample returns inputs for the samples from one number to another. Integers
// are 0 and 1, which every table has.
func sample(g *graph.Graph, from, to int) (map[string]*ops.Tensor, error) {
	feeds := map[string]*ops.Tensor{}
	for _, v := range g.Inputs {
		rest, _ := v.Shape[1:].Ints()
		shape := append([]int{to - from}, rest...)
		each, _ := model.Elements(rest)
		f := make([]float32, 0, each*(to-from))
		for i := from * each; i < to*each; i++ {
			f = append(f, float32(math.Sin(float64(i)*12.9898)))
			if !v.DType.IsFloat() {
				f[len(f)-1] = float32((i*7 + i/3 + 1) % 2)
			}
		}
		t, err := tensorOf(v.DType, shape, f)
		if err != nil {
			return nil, err
		}
		feeds[v.Name] = t
	}
	return feeds, nil
}

// tensorOf returns a tensor of an element type.
func tensorOf(dtype model.DType, shape []int, f []float32) (*ops.Tensor, error) {
	switch dtype {
	case model.Int64:
		list := make([]int64, len(f))
		for i, x := range f {
			list[i] = int64(x)
		}
		return ops.Int64s(shape, list), nil
	case model.Bool:
		list := make([]bool, len(f))
		for i, x := range f {
			list[i] = x != 0
		}
		return ops.Bools(shape, list), nil
	}
	t, err := model.FromFloat32s(dtype, shape, f)
	if err != nil {
		return nil, err
	}
	return ops.FromModel(t)
}
