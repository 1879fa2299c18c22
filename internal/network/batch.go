package network

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
	"lethe/verify"
)

// anyBatch returns a network for a graph that takes one fixed batch, as exporters
// write them where nobody tells them that it is dynamic; nil if the graph is not
// such a one, or computes otherwise for other batches. Where a constant tells an
// operator the size of the batch, it becomes the rest of the elements. That this is
// the same network is not believed but computed, by the operators' reference on
// the graph as it is.
func anyBatch(ctx context.Context, g *graph.Graph, sd *model.StateDict) *verify.Network {
	if len(g.Inputs) != 1 || len(g.Outputs) != 1 || len(g.Inputs[0].Shape) < 2 {
		return nil
	}
	size, fixed := g.Inputs[0].Shape[0].Int()
	if !fixed || size < 1 || size > maxFixedBatch {
		return nil
	}
	free := g.Clone()
	if folded, err := ops.Fold(free, sd); err == nil {
		free = folded
	}
	free.Types = nil
	for _, values := range [][]graph.Value{free.Inputs, free.Outputs} {
		for i, v := range values {
			if len(v.Shape) > 0 && v.Shape[0].Is(size) {
				values[i].Shape = append(graph.Shape{graph.Symbol(graph.BatchSymbol)}, v.Shape[1:]...)
			}
		}
	}
	for name, t := range free.Constants {
		if other := freeConstant(t, size); other != nil {
			free.Constants[name] = other
		}
	}
	net := verify.NewNetwork(free, sd)
	if net.Check() != nil || !sameLogits(ctx, g, net, size) {
		return nil
	}
	return net
}

// maxFixedBatch bounds what comparing costs.
const maxFixedBatch = 64

// freeConstant returns a list of sizes that starts with the batch, without it; nil
// for any other tensor.
func freeConstant(t *model.Tensor, size int) *model.Tensor {
	if t.DType() != model.Int64 || len(t.Shape()) != 1 || t.Len() == 0 || t.Len() > 8 {
		return nil
	}
	b, err := t.Bytes()
	if err != nil || int64(binary.LittleEndian.Uint64(b)) != int64(size) {
		return nil
	}
	first := int64(-1)
	for i := 8; i < len(b); i += 8 {
		if int64(binary.LittleEndian.Uint64(b[i:])) == -1 {
			first = 0 // the size of the input's axis
		}
	}
	b = slices.Clone(b)
	binary.LittleEndian.PutUint64(b, uint64(first))
	freed, err := model.NewTensor(model.Int64, t.Shape(), nil, 0, model.BytesStorage(b))
	if err != nil {
		return nil
	}
	return freed
}

// sameLogits reports whether a network gives for two batches at once what the
// graph gives for each.
func sameLogits(ctx context.Context, g *graph.Graph, net *verify.Network, size int) bool {
	shape := append([]int{size}, net.InputShape()...)
	n, _ := model.Elements(shape)
	r := rand.New(rand.NewPCG(1, 0))
	x := make([]float32, 2*n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	got, err := net.Logits(x, 1)
	if err != nil {
		return false
	}
	g = ops.Logits(g)
	var want []float32
	for _, batch := range [][]float32{x[:n], x[n:]} {
		out, err := ops.Run(ctx, g, net.State(), map[string]*ops.Tensor{g.Inputs[0].Name: ops.Float32s(shape, batch)}, ops.Options{})
		if err != nil {
			return false
		}
		t, err := out[g.Outputs[0].Name].Model()
		if err != nil {
			return false
		}
		v, err := t.Float32s()
		if err != nil {
			return false
		}
		want = append(want, v...)
	}
	if len(got) != len(want) {
		return false
	}
	var diff, largest float64
	for i, x := range want {
		diff = max(diff, math.Abs(float64(got[i]-x))) // max keeps NaN
		largest = max(largest, math.Abs(float64(x)))
	}
	return diff <= 1e-4*largest
}
