package script

import (
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
	if !ok || d == model.Complex32 {
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
	e.bad("%s is not a tensor", describe(v))
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
		e.asked = true
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
var quiet = map[string]bool{"warn": true, "print": true, "manual_seed": true, "set_grad_enabled": true, "_assert_async": true}

// never are questions of the code about its surroundings, all answered by no.
var never = map[string]bool{
	"is_grad_enabled": true, "is_autocast_enabled": true, "is_autocast_cpu_enabled": true, "_is_tracing": true, "is_tracing": true,
	"is_inference_mode_enabled": true, "has_torch_function": true, "_get_tracing_state": true, "is_inference": true,
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
			e.asked = true
			return typeOf(args[0]).IsFloat()
		}
	case "is_complex":
		if len(args) == 1 {
			return typeOf(args[0]) == model.Complex64 || typeOf(args[0]) == model.Complex128
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
	if op == "meshgrid" {
		return e.meshgrid(args, named)
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
	op = strings.TrimPrefix(aten.OperatorName("aten."+op), "aten.")
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
	if aten.ReshapesInPlace("aten." + op) {
		e.reshaped(list[0].Value, outputs[0])
	}
	if listing[strings.TrimSuffix(op, "_")] || op == "broadcast_tensors" {
		return listOf(outputs)
	}
	if len(outputs) == 1 {
		return outputs[0]
	}
	t := &tuple{}
	for _, v := range outputs {
		if v == nil {
			t.values = append(t.values, nil)
		} else {
			t.values = append(t.values, v)
		}
	}
	return t
}

// reshaped makes what the code has of a tensor mean the same tensor in the shape
// that an operator has given it in place: of its names in the code nothing is known.
func (e *evaluator) reshaped(tensor any, result *aten.Value) {
	x, ok := tensor.(*aten.Value)
	if !ok {
		return
	}
	made := false
	for _, n := range e.out.Nodes {
		made = made || slices.Contains(n.Outputs, x)
	}
	if !made {
		e.unsupported("write it without the underscore", "a weight or an input that gets another shape in place")
	}
	before := *x
	replace := func(v any) any {
		switch v := v.(type) {
		case *aten.Value:
			if v == x {
				return &before
			}
		case []*aten.Value:
			for i := range v {
				if v[i] == x {
					v[i] = &before
				}
			}
		}
		return v
	}
	e.spend(len(e.out.Nodes))
	for _, n := range e.out.Nodes {
		replace(n.Outputs)
		for i := range n.Args {
			n.Args[i].Value = replace(n.Args[i].Value)
		}
	}
	*x = *result
	for i, v := range e.out.Nodes[len(e.out.Nodes)-1].Outputs {
		if v == result {
			e.out.Nodes[len(e.out.Nodes)-1].Outputs[i] = x
		}
	}
}

func listOf(values []*aten.Value) *list {
	l := &list{}
	for _, v := range values {
		l.values = append(l.values, v)
	}
	return l
}

func valuesOf(m map[string]any) []any {
	var values []any
	for _, v := range m {
		values = append(values, v)
	}
	return values
}
