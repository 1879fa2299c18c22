package script

import (
	"fmt"
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/model"
)

// scalarTypes are the numbers of element types in TorchScript.
var scalarTypes = map[int64]model.DType{
	0: model.Uint8, 1: model.Int8, 2: model.Int16, 3: model.Int32, 4: model.Int64, 5: model.Float16, 6: model.Float32, 7: model.Float64,
	8: model.Complex32, 9: model.Complex64, 10: model.Complex128, 11: model.Bool, 15: model.BFloat16,
}

func (e *evaluator) dtype(v any) model.DType {
	d, ok := scalarTypes[e.fixed(v)]
	if !ok || d == model.Complex32 || d == model.Complex64 || d == model.Complex128 {
		e.unsupported("convert the network to a real type first", "element type %v", v)
	}
	return d
}

func typeNumber(d model.DType) int64 {
	for n, have := range scalarTypes {
		if have == d {
			return n
		}
	}
	return 6
}

// typeOf returns the element type of a tensor.
func typeOf(v any) model.DType {
	switch v := v.(type) {
	case *aten.Value:
		return v.DType
	case scalar:
		return v.dtype
	}
	return model.Invalid
}

// shapeOf returns the shape of a tensor.
func (e *evaluator) shapeOf(v any) graph.Shape {
	switch v := v.(type) {
	case *aten.Value:
		return v.Shape
	case scalar:
		return graph.Shape{}
	}
	e.bad("%s is no tensor", describe(v))
	return nil
}

// sizesOf returns a shape as a list of integers.
func sizesOf(s graph.Shape) *list {
	l := &list{}
	for _, d := range s {
		l.values = append(l.values, plain(d))
	}
	return l
}

// tensorOf makes a value of the program of a tensor that is known.
func (e *evaluator) tensorOf(x scalar) *aten.Value {
	return e.node("scalar_tensor", "default", []aten.Arg{{Name: "s", Value: x.value}, {Name: "dtype", Value: x.dtype}})[0]
}

// property reads a property of a tensor.
func (e *evaluator) property(v any, name string) any {
	switch name {
	case "dtype":
		return typeNumber(typeOf(v))
	case "device":
		return device("cpu")
	case "layout":
		return int64(0)
	case "shape":
		return sizesOf(e.shapeOf(v))
	case "ndim":
		return int64(len(e.shapeOf(v)))
	case "data":
		return v
	case "requires_grad", "is_cuda", "is_nested", "is_quantized", "is_sparse", "is_mkldnn", "is_xpu", "is_mps", "is_meta", "is_xla", "is_vulkan", "is_ipu", "is_maia", "is_sparse_csr", "is_mtia", "is_hpu":
		return false
	case "T", "mT":
		return e.operator(map[string]string{"T": "numpy_T", "mT": "mT"}[name], []any{v}, nil)
	case "grad", "names":
		return nil
	}
	e.unsupported("", "the property %.100q of a tensor", name)
	return nil
}

// prim calls an operator of TorchScript itself.
func (e *evaluator) prim(op string, args []any, named map[string]any) any {
	need := func(n int) {
		if len(args) < n {
			e.bad("prim.%s has %d arguments", op, len(args))
		}
	}
	switch op {
	case "NumToTensor":
		need(1)
		d := model.Int64
		switch args[0].(type) {
		case float64:
			d = model.Float64
		case bool:
			d = model.Bool
		}
		return scalar{d, args[0]}
	case "RaiseException":
		need(1)
		e.unsupported("give another shape with --input, if that is the cause", "the network refuses its input: %.300s", e.show(args[0]))
	case "unchecked_unwrap_optional", "unchecked_cast", "ImplicitTensorToNum", "data":
		need(1)
		return args[0]
	case "max", "min", "abs":
		need(1)
		if len(args) == 1 {
			if values, ok := elements(args[0]); ok {
				return e.extreme(op, values)
			}
		}
		return e.operator(op, args, named)
	case "rangelist":
		need(1)
		n := e.fixed(args[0])
		if n > elementsMax {
			e.limit("a list of the TorchScript code", "elements", int(n), elementsMax)
		}
		l := &list{}
		e.spend(int(max(n, 0)))
		for i := range n {
			l.values = append(l.values, i)
		}
		return l
	case "type":
		need(1)
		return string(args[0].(device))
	case "Print":
		return nil
	}
	need(1)
	return e.property(args[0], op)
}

func (e *evaluator) extreme(op string, values []any) any {
	if len(values) == 0 {
		e.bad("%s of no elements", op)
	}
	best := values[0]
	for _, v := range values[1:] {
		best = e.arithmetic(op, best, v)
	}
	return best
}

// quiet are operators without an effect on the result.
var quiet = map[string]bool{"warn": true, "print": true, "manual_seed": true, "_assert_async": true}

// never are questions of the code about its surroundings, all answered by no.
var never = map[string]bool{
	"is_grad_enabled": true, "is_autocast_enabled": true, "is_autocast_cpu_enabled": true, "_is_tracing": true, "is_tracing": true,
	"is_inference_mode_enabled": true, "has_torch_function": true, "_get_tracing_state": true, "is_complex": true, "is_inference": true,
}

// operator calls an operator by its name in torch.
func (e *evaluator) operator(op string, args []any, named map[string]any) any {
	switch {
	case quiet[op]:
		return nil
	case never[op]:
		return false
	case strings.Contains(op, "."): // torch.nn.functional.x does not occur in code
		e.unsupported("", "the function torch.%.100s", op)
	}
	if base, ok := strings.CutPrefix(op, "unsafe_"); ok && listing[base] {
		op = base // the same, where nobody writes in place
	}
	if v, ok := e.ofUnknown(op, args, named); ok {
		return v
	}
	switch op {
	case "is_scripting", "is_contiguous":
		return true
	case "is_floating_point":
		if len(args) == 1 {
			return typeOf(args[0]).IsFloat()
		}
	case "device":
		return device("cpu")
	case "__is__", "__isnot__":
		if len(args) == 2 {
			return e.identical(args[0], args[1]) == (op == "__is__")
		}
	}
	e.oldMeaning(op, args, named)
	if v, ok := e.host(op, args, named); ok {
		return v
	}
	if v, ok := e.composite(op, args, named); ok {
		return v
	}
	return e.call1(op, args, named)
}

// oldMeaning refuses operators that meant something else when the file was
// written.
func (e *evaluator) oldMeaning(op string, args []any, named map[string]any) {
	integers := func(values []any) bool {
		return !slices.ContainsFunc(values, func(v any) bool {
			if typeOf(v) != model.Invalid {
				return typeOf(v).IsFloat()
			}
			_, isFloat := v.(float64)
			return isFloat
		})
	}
	v := e.script.Version
	if v > 0 && (v < 4 && op == "div" && named["rounding_mode"] == nil && anyTensor(args) && integers(args) || v < 5 && op == "full" && len(args) > 1 && integers(args[1:2])) {
		e.unsupported("save the module again with a newer PyTorch", "operator %s of integers in TorchScript of version %d, which had another meaning", op, v)
	}
}

func (e *evaluator) identical(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case *aten.Value, *list, *tuple, *dict, string, bool, int64, device:
		return any(a) == b
	case scalar:
		return false
	}
	return b != nil && e.equal(a, b) == true
}

// dropped are arguments that say where and how a tensor is computed.
var dropped = map[string]bool{
	"device": true, "layout": true, "pin_memory": true, "memory_format": true, "requires_grad": true, "non_blocking": true, "generator": true, "names": true,
}

// numeric are arguments that may be numbers where PyTorch has a tensor.
var numeric = map[string]bool{"self": true, "other": true, "value": true, "exponent": true, "min": true, "max": true, "src": true, "weight": true, "end": true, "tensor1": true, "tensor2": true, "fill_value": true, "start": true, "step": true, "alpha": true}

// withNumbers are operators whose row takes numbers for those arguments.
var withNumbers = map[string]bool{}

func init() {
	for op := range strings.FieldsSeq("add sub rsub mul div true_divide multiply divide subtract floor_divide fmod remainder pow maximum minimum eq ne lt gt le ge logical_and logical_or where masked_fill fill clamp clamp_min clamp_max full full_like new_full arange max min lerp copy addcmul addcdiv scalar_tensor") {
		withNumbers[op] = true
	}
}

// call1 adds an operator of tensors to the program and returns its result.
func (e *evaluator) call1(op string, args []any, named map[string]any) any {
	overload := e.overload(op, args, named)
	args, named = e.renamed(op, overload, args, named)
	params := aten.Parameters("aten."+op, overload)
	if params == nil {
		panic(e.refuse("operator "+op, aten.Advice("aten."+op)))
	}
	if !makers[op] && !anyTensor(args) && !anyTensor(valuesOf(named)) {
		e.bad("torch.%.100s of %d values, none of which is a tensor", op, len(args)+len(named))
	}
	var list []aten.Arg
	for i, v := range args {
		if i >= len(params) {
			if v == nil {
				continue
			}
			break // how and where
		}
		list = append(list, aten.Arg{Name: params[i], Value: e.argument(op, params[i], v)})
	}
	for _, name := range sortedKeys(named) {
		if v := named[name]; !dropped[name] && (v != nil || slices.Contains(params, name)) {
			list = append(list, aten.Arg{Name: name, Value: e.argument(op, name, v)})
		}
	}
	e.guessTypes(op, list)
	outputs := e.node(op, overload, list)
	if listing[strings.TrimSuffix(op, "_")] {
		return listOf(outputs)
	}
	if len(outputs) == 1 {
		return outputs[0]
	}
	t := &tuple{}
	for _, v := range outputs {
		t.values = append(t.values, v)
	}
	return t
}

func listOf(values []*aten.Value) *list {
	l := &list{}
	for _, v := range values {
		l.values = append(l.values, v)
	}
	return l
}

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
		if op == "embedding" && a.Name == "indices" || compared {
			v.DType = model.Int64
			e.out.Notes = append(e.out.Notes, fmt.Sprintf("the file does not say the type of the input %q: int64 by what it is used for", v.Name))
		}
		delete(e.guessed, v)
	}
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
var integers = map[string]bool{"dim": true, "index": false, "size": true, "start": true, "end": true, "length": true, "dim0": true, "dim1": true, "chunks": true, "groups": true}

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

func valuesOf(m map[string]any) []any {
	var values []any
	for _, v := range m {
		values = append(values, v)
	}
	return values
}
