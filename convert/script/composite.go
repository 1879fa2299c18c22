package script

import "lethe/convert/aten"

// on calls an operator with one result.
func (e *evaluator) on(op string, args ...any) *aten.Value {
	v, ok := e.operator(op, args, nil).(*aten.Value)
	if !ok {
		e.bad("%s of something else than a tensor", op)
	}
	return v
}

func ints(v ...any) *list { return &list{v} }

// meshgrid repeats vectors along the axes of a grid.
func (e *evaluator) meshgrid(args []any, named map[string]any) any {
	if len(args) == 0 {
		e.bad("meshgrid without tensors")
	}
	values, _ := elements(args[0])
	shape := ints()
	for _, v := range values {
		if len(e.shapeOf(v)) != 1 {
			e.unsupported("", "meshgrid of shape %v", e.shapeOf(v))
		}
		shape.values = append(shape.values, plain(e.shapeOf(v)[0]))
	}
	xy := named["indexing"] == "xy" && len(values) > 1
	out := &list{}
	for i, v := range values {
		one := ints()
		for j := range values {
			if i == j {
				one.values = append(one.values, int64(-1))
			} else {
				one.values = append(one.values, int64(1))
			}
		}
		grid := e.on("expand", e.on("view", v, one), shape)
		if xy {
			grid = e.on("transpose", grid, int64(0), int64(1))
		}
		out.values = append(out.values, grid)
	}
	return out
}

// signature returns arguments by their names.
func (e *evaluator) signature(args []any, named map[string]any, names ...string) map[string]any {
	out := map[string]any{}
	for i, v := range args {
		if i < len(names) {
			out[names[i]] = v
		}
	}
	for k, v := range named {
		out[k] = v
	}
	return out
}
