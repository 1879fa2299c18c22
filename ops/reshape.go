package ops

import "lethe/graph"

// reshapeOp gives a tensor another shape: 0 copies a size, -1 is what is left.
var reshapeOp = &Operator{
	Name: "Reshape", Since: 5,
	inputs: []input{data("data", anything), constant("shape", indices)},
	attrs:  []attr{intAttr("allowzero", 0).from(14)},
	infer:  inferReshape,
	eval: func(c *call) {
		x := c.input(0)
		target, _ := c.inInts(1)
		shape := make([]int, len(target))
		rest, known := -1, 1
		for i, d := range target {
			switch {
			case d == 0 && !c.flag("allowzero"):
				if i >= len(x.shape) {
					c.fail("the shape %v copies size %d of %v", target, i, x.shape)
				}
				d = x.shape[i]
			case d == -1 && rest < 0:
				rest, d = i, 1
			case d < 0:
				c.fail("the shape %v has a negative size", target)
			}
			shape[i] = d
		}
		if rest >= 0 {
			known = c.size(shape)
			if known == 0 || x.Len()%known != 0 {
				c.fail("shape %v cannot become shape %v", x.shape, target)
			}
			shape[rest] = x.Len() / known
		}
		c.set(0, c.reshaped(x, shape))
	},
}

func inferReshape(f *inference) {
	x := f.input(0)
	target, ok := f.inDims(1)
	if !ok {
		if s := f.input(1).shape; len(s) == 1 {
			if rank, ok := s[0].Int(); ok && rank >= 0 && rank < 64 {
				f.set(0, x.dtype, f.unknowns(0, rank))
				return
			}
		}
		f.set(0, x.dtype, nil)
		return
	}
	shape := make(graph.Shape, len(target))
	rest := -1
	for i, d := range target {
		switch {
		case d.Is(0) && !f.flag("allowzero"):
			if x.shape != nil && i >= len(x.shape) {
				f.fail("the shape %v copies size %d of %v", graph.Shape(target), i, x.shape)
			}
			if x.shape == nil {
				d = f.unknown(0, i)
			} else {
				d = x.shape[i]
			}
		case d.Is(-1) && rest < 0:
			rest, d = i, graph.Size(1)
		}
		shape[i] = d
	}
	switch {
	case rest >= 0 && x.shape != nil:
		known := shape.Elements()
		shape[rest] = x.shape.Elements().Div(known)
		if all := x.shape.Elements(); all.Fixed() && known.Fixed() && !shape[rest].Mul(known).Equal(all) {
			f.clash(x.shape, graph.Shape(target))
		}
	case rest >= 0:
		shape[rest] = f.unknown(0, rest)
	case x.shape != nil:
		if x.shape.Elements().Contradicts(shape.Elements()) {
			f.clash(x.shape, shape)
		}
	}
	f.set(0, x.dtype, shape)
}
