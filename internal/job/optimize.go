package job

import (
	"context"
	"errors"
	"fmt"

	"lethe/convert"
	"lethe/convert/aten"
	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// optimize folds and fuses a graph as far as the settings ask for it, and compares what
// the two compute.
func (c *converting) optimize(ctx context.Context, r *aten.Result) error {
	smaller := convert.FoldWeights
	switch {
	case c.Optimize:
		smaller = convert.Optimize
	case !c.FoldBatchNorm:
		return nil
	}
	g, sd, err := smaller(r.Graph, r.State)
	if err != nil {
		return err
	}
	said, err := sameValues(ctx, r.Graph, r.State, g, sd)
	if err != nil {
		return err
	}
	r.Notes = append(r.Notes, fmt.Sprintf("%d nodes became %d; %s", len(r.Graph.Nodes), len(g.Nodes), said))
	for name, first := range r.Tied {
		if sd.Get(first) == nil {
			delete(r.Tied, name)
		}
	}
	r.Graph, r.State = g, sd
	return nil
}

// sameValues runs two graphs on two samples and compares their outputs. It says
// what was done, or why it was not.
func sameValues(ctx context.Context, g *graph.Graph, sd *model.StateDict, h *graph.Graph, hd *model.StateDict) (said string, err error) {
	if why := notRun(g, sd); why != "" {
		return why, nil
	}
	feeds, err := sample(g, 0, 2)
	if err != nil {
		return "", err
	}
	a, err := ops.Run(ctx, g, sd, feeds, ops.Options{})
	var unsupported *model.UnsupportedError
	var limit *model.LimitError
	if errors.As(err, &unsupported) || errors.As(err, &limit) {
		return "not run: " + err.Error(), nil
	}
	if err != nil {
		return "", fmt.Errorf("running the plain graph: %w", err)
	}
	b, err := ops.Run(ctx, h, hd, feeds, ops.Options{})
	if err != nil {
		return "", fmt.Errorf("running the optimized graph: %w", err)
	}
	largest := 0.0
	for _, v := range g.Outputs {
		x, _ := a[v.Name].Float64s()
		y, _ := b[v.Name].Float64s()
		if len(x) != len(y) {
			return "", fmt.Errorf("the optimized graph has %d elements of output %q, the plain one %d", len(y), v.Name, len(x))
		}
		largest = max(largest, difference(x, y))
	}
	if !(largest <= 1e-4) {
		return "", fmt.Errorf("the optimized graph differs from the plain one by %.2g of the largest output", largest)
	}
	return fmt.Sprintf("both run on two samples: they differ by %.1g of the largest output", largest), nil
}
