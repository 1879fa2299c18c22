package script

import (
	"fmt"
	"slices"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// weight is a tensor that comes with the module.
type weight struct {
	name     string
	tensor   *model.Tensor
	constant bool
	value    *aten.Value // once something reads it
}

// view says which elements of which storage a tensor is.
type view struct {
	storage *model.Storage
	as      string
}

func viewKey(t *model.Tensor) view {
	return view{t.Storage(), fmt.Sprint(t.DType(), t.Shape(), t.Strides(), t.Offset())}
}

// listState names the tensors of the module as its state dict does: by the path
// of attributes, the tensors of a module in front of those of its children.
// Whatever the class lists as neither parameter nor buffer is a constant.
func (e *evaluator) listState(root *file.Object) {
	e.out.Tied = map[string]string{}
	e.visit(root, "", nil)
	frozen := len(e.weightOrder) == 0
	for i, c := range e.script.Constants {
		t, ok := c.(*model.Tensor)
		if !ok || e.weights[viewKey(t)] != nil {
			continue
		}
		w := &weight{name: fmt.Sprintf("CONSTANTS.c%d", i), tensor: t, constant: true}
		if frozen && t.DType().IsFloat() && len(t.Shape()) > 0 { // the names are gone
			w.constant = false
			e.out.Entries = append(e.out.Entries, w.name)
		} else {
			w.name = fmt.Sprintf("c%d", i)
		}
		e.weights[viewKey(t)] = w
		e.weightOrder = append(e.weightOrder, w)
	}
	if frozen && len(e.out.Entries) > 0 {
		e.out.Notes = append(e.out.Notes, "the module is frozen: its weights have lost their names, and are called CONSTANTS.c0 and so on")
	}
}

func (e *evaluator) visit(o *file.Object, path string, way []*file.Object) {
	if slices.Contains(way, o) {
		e.broken("data.pkl", 0, "the module %q holds itself", path)
	}
	e.spend(1 + len(o.Names) + len(way))
	way = append(way, o)
	if _, known := e.paths[o]; !known {
		e.paths[o] = path
	}
	listed := e.stateNames(o)
	prefix := path
	if prefix != "" {
		prefix += "."
	}
	for _, name := range o.Names {
		t, ok := o.Attrs[name].(*model.Tensor)
		if !ok {
			continue
		}
		constant := listed != nil && !listed[name]
		if !constant {
			e.out.Entries = append(e.out.Entries, prefix+name)
		}
		if first := e.weights[viewKey(t)]; first != nil && t.Len() > 0 {
			if !constant && !first.constant {
				e.out.Tied[prefix+name] = first.name
			} else if !constant {
				first.name, first.constant = prefix+name, false
			}
			continue
		}
		w := &weight{name: prefix + name, tensor: t, constant: constant}
		e.weights[viewKey(t)] = w
		e.weightOrder = append(e.weightOrder, w)
	}
	for _, name := range o.Names {
		if child, ok := o.Attrs[name].(*file.Object); ok && len(way) < depthMax {
			e.visit(child, prefix+name, way)
		}
	}
}

// stateNames returns the names that the class of a module lists as parameters
// and buffers, or nil if its code is missing.
func (e *evaluator) stateNames(o *file.Object) map[string]bool {
	c := e.lookClass(o.Class)
	if c == nil {
		return nil
	}
	names := map[string]bool{}
	for _, key := range []string{"__parameters__", "__buffers__"} {
		list, _ := c.lists[key].(*sequence)
		if list == nil {
			continue
		}
		for _, x := range list.elements {
			if l, ok := x.(*literal); ok {
				if s, ok := l.value.(string); ok {
					names[s] = true
				}
			}
		}
	}
	return names
}

// weightValue returns a tensor of the module as a value of the program. A
// constant without axes is a number that is known.
func (e *evaluator) weightValue(t *model.Tensor) any {
	w := e.weights[viewKey(t)]
	if w == nil { // of a list or a dictionary of the module
		w = &weight{name: fmt.Sprintf("attribute_%d", len(e.weightOrder)), tensor: t, constant: true}
		e.weights[viewKey(t)] = w
		e.weightOrder = append(e.weightOrder, w)
	}
	if w.constant && len(t.Shape()) == 0 {
		if v, ok := readNumber(t); ok {
			return scalar{t.DType(), v}
		}
	}
	if w.value == nil {
		w.value = &aten.Value{Name: w.name, DType: t.DType(), Shape: graph.Sizes(t.Shape()...), Scattered: !t.Contiguous()}
		e.out.Weights = append(e.out.Weights, aten.Weight{Value: w.value, Name: w.name, Tensor: t, Constant: w.constant})
		e.known[w.value] = t
	}
	return w.value
}

// readNumber returns the one element of a tensor.
func readNumber(t *model.Tensor) (any, bool) {
	b, err := t.Bytes()
	if err != nil {
		return nil, false
	}
	switch d := t.DType(); {
	case d == model.Bool && len(b) == 1:
		return b[0] != 0, true
	case d.IsFloat() && d != model.Float64:
		f, err := t.Float32s()
		if err != nil || len(f) != 1 {
			return nil, false
		}
		return float64(f[0]), true
	case d == model.Float64 && len(b) == 8:
		return float64Of(b), true
	case d == model.Int64 || d == model.Int32 || d == model.Int16 || d == model.Int8 || d == model.Uint8:
		return integerOf(d, b), true
	}
	return nil, false
}
