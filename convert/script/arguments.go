package script

import (
	"fmt"
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/model"
)

// listing are operators that return a list.
var listing = map[string]bool{"split": true, "split_with_sizes": true, "chunk": true, "unbind": true, "tensor_split": true}

// guessTypes settles the type of inputs of which the file does not say it: what
// a table is read at, or what is compared with an integer, is an integer.
func (e *evaluator) guessTypes(op string, args []aten.Arg) {
	for _, a := range args {
		v, ok := a.Value.(*aten.Value)
		if !ok || !e.guessed[v] {
			continue
		}
		compared := (op == "eq" || op == "ne") && slices.ContainsFunc(args, func(a aten.Arg) bool { _, isInt := a.Value.(int64); return isInt })
		if (op == "embedding" || op == "embedding_bag") && a.Name == "indices" || op == "one_hot" || op == "gather" && a.Name == "index" || compared {
			v.DType = model.Int64
			e.noteGuess(v)
		}
		if op == "bitwise_not" || op == "logical_not" {
			v.DType = model.Bool
			e.noteGuess(v)
		}
		delete(e.guessed, v)
	}
}

// noteGuess says that a type is not that of the file.
func (e *evaluator) noteGuess(v *aten.Value) {
	e.out.Notes = append(e.out.Notes, fmt.Sprintf("the file does not say the type of the input %q: %v by what it is used for", v.Name, v.DType))
}

// argument returns a value as an argument of a node.
func (e *evaluator) argument(op, param string, v any) any {
	e.spend(1)
	base := strings.TrimSuffix(op, "_")
	switch v := v.(type) {
	case nil, bool, float64, string:
		return v
	case int64:
		if param == "dtype" {
			return e.dtype(v)
		}
		return v
	case graph.Dim, *aten.Value:
		return v
	case scalar:
		if withNumbers[base] && numeric[param] || param == "s" || param == "alpha" {
			return v.value
		}
		if integers[param] {
			return e.integer(v)
		}
		return e.tensorOf(v)
	case *list:
		return e.listArgument(v.values)
	case *tuple:
		return e.listArgument(v.values)
	case device:
		return nil
	case missing:
		e.bad("a value that was never set is used")
	}
	e.unsupported("", "operator %s with %s as its argument %q", op, describe(v), param)
	return nil
}

// integers are arguments that are never tensors.
var integers = map[string]bool{"dim": true, "repeats": true, "index": false, "size": true, "start": true, "end": true, "length": true, "dim0": true, "dim1": true, "chunks": true, "groups": true}

func (e *evaluator) listArgument(values []any) any {
	e.spend(len(values))
	ints, dims, floats, bools, tensors := []int64{}, graph.Shape{}, []float64{}, []bool{}, []*aten.Value{}
	isTensors := slices.ContainsFunc(values, func(v any) bool { _, is := v.(*aten.Value); return is })
	for _, v := range values {
		switch v := v.(type) {
		case *aten.Value:
			tensors = append(tensors, v)
		case scalar:
			if isTensors {
				tensors = append(tensors, e.tensorOf(v))
			} else if n, ok := dimOf(v.value); ok {
				dims = append(dims, n)
			}
		case nil:
			tensors = append(tensors, nil)
		case float64:
			floats = append(floats, v)
		case bool:
			bools = append(bools, v)
		case int64:
			ints, dims = append(ints, v), append(dims, graph.Size(int(v)))
		case graph.Dim:
			dims = append(dims, v)
		}
	}
	switch n := len(values); n {
	case len(ints):
		return ints
	case len(dims):
		return dims
	case len(tensors):
		return tensors
	case len(floats):
		return floats
	case len(bools):
		return bools
	case len(floats) + len(ints):
		floats = floats[:0]
		for _, v := range values {
			f, _ := realOf(v)
			floats = append(floats, f)
		}
		return floats
	}
	e.unsupported("", "a list of several kinds as an argument")
	return nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// overload picks an overload by the kinds of the arguments, where the table has
// several rows for a name. The code does not say which.
func (e *evaluator) overload(op string, args []any, named map[string]any) string {
	arg := func(i int, name string) any {
		if v, ok := named[name]; ok {
			return v
		}
		if i < len(args) {
			return args[i]
		}
		return nil
	}
	isTensor := func(v any) bool { return typeOf(v) != model.Invalid }
	switch op {
	case "max", "min":
		switch second := arg(1, "dim"); {
		case isTensor(arg(1, "other")):
			return "other"
		case second != nil:
			return "dim"
		}
	case "median":
		if arg(1, "dim") != nil {
			return "dim"
		}
	case "squeeze", "squeeze_":
		if v := arg(1, "dim"); v != nil {
			if _, several := elements(v); several {
				return "dims"
			}
			return "dim"
		}
	case "conv1d", "conv2d", "conv3d":
		if _, ok := arg(4, "padding").(string); ok {
			return "padding"
		}
	case "split":
		if _, ok := elements(arg(1, "split_size")); ok {
			return "sizes"
		}
	case "arange":
		switch len(args) {
		case 2:
			return "start"
		case 3:
			return "start_step"
		}
	case "to":
		if isTensor(arg(1, "other")) {
			return "other"
		}
	case "view":
		if _, ok := arg(1, "dtype").(int64); ok {
			return "dtype"
		}
	case "repeat_interleave":
		return "self_int"
	}
	return ""
}

// renamed gives arguments the names of the table's rows where those stand in
// another order than PyTorch's.
func (e *evaluator) renamed(op, overload string, args []any, named map[string]any) ([]any, map[string]any) {
	by := func(names ...string) ([]any, map[string]any) {
		out := map[string]any{}
		for k, v := range named {
			out[k] = v
		}
		for i, v := range args {
			if i < len(names) && names[i] != "" {
				out[names[i]] = v
			}
		}
		return nil, out
	}
	switch {
	case op == "to" && overload == "":
		e.toType(args)
		d := named["dtype"]
		for i, v := range args[1:] {
			if n, ok := v.(int64); ok && i < 2 {
				d = n
				break
			}
		}
		return args[:1], map[string]any{"dtype": d}
	case op == "to":
		return args[:2], nil
	case strings.HasPrefix(op, "upsample_") || strings.HasPrefix(op, "_upsample_"):
		names := []string{"input", "output_size"}
		if !strings.Contains(op, "nearest") {
			names = append(names, "align_corners")
		}
		if n := len(args) - len(names); n == 1 && isListOrNil(args[len(args)-1]) {
			names = append(names, "scale_factors")
		} else if n > 0 {
			names = append(names, []string{"scales_d", "scales_h", "scales_w"}[max(0, 3-n):]...)
			if strings.HasSuffix(op, "1d") {
				names[len(names)-1] = "scales"
			}
		}
		return by(names...)
	case op == "std" || op == "var" || op == "std_mean" || op == "var_mean":
		if len(args) > 1 {
			if _, ok := args[1].(bool); ok {
				return by("self", "unbiased")
			}
		}
		if _, ok := named["correction"]; ok {
			return by("self", "dim")
		}
		return by("self", "dim", "unbiased", "keepdim")
	case op == "tensor_split":
		return by("self", "sections", "dim")
	case op == "split" || op == "split_with_sizes":
		name := aten.Parameters("aten."+op, overload)[1]
		return by("self", name, "dim")
	}
	return args, named
}

func isListOrNil(v any) bool {
	_, ok := elements(v)
	return v == nil || ok
}

func (e *evaluator) toType(args []any) {
	if len(args) == 0 {
		e.bad("torch.to has no arguments")
	}
}

// makers are operators that make tensors of numbers.
var makers = map[string]bool{"zeros": true, "ones": true, "empty": true, "full": true, "arange": true, "linspace": true, "eye": true}

// anyTensor reports whether there is a tensor among the values or in a list of
// them.
func anyTensor(values []any) bool {
	return slices.ContainsFunc(values, func(v any) bool {
		if list, ok := elements(v); ok {
			return slices.ContainsFunc(list, func(v any) bool { return typeOf(v) != model.Invalid })
		}
		return typeOf(v) != model.Invalid
	})
}
