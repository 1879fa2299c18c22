package script

import (
	"math"
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/model"
)

// arithmetic computes with two numbers that are known.
func (e *evaluator) arithmetic(op string, a, b any) any {
	x, isInt := dimOf(a)
	y, isToo := dimOf(b)
	if !x.Fixed() || !y.Fixed() { // sums of many products take their time
		e.spend(10 + len(x.String())*len(y.String())/8)
	}
	if isInt && isToo && op != "div" && op != "true_divide" && op != "pow" {
		switch op {
		case "add":
			return plain(x.Add(y))
		case "sub":
			return plain(x.Sub(y))
		case "mul":
			return plain(x.Mul(y))
		case "max", "maximum":
			return plain(x.Max(y))
		case "min", "minimum":
			return plain(x.Min(y))
		}
		if y.Is(0) {
			e.bad("a division by zero")
		}
		if op == "floordiv" || op == "floor_divide" {
			return plain(x.Div(y))
		}
		return plain(x.Mod(y))
	}
	p, isReal := realOf(a)
	q, isAlso := realOf(b)
	if !isReal || !isAlso {
		if isInt && isToo {
			if op == "pow" && y.Is(2) {
				return plain(x.Mul(x))
			}
			if op != "pow" && !y.Is(0) && x.Mod(y).Is(0) { // exact, and asked for as a float
				return plain(x.Div(y))
			}
		}
		e.unsupported("give the number of samples with --batch N", "%s of %s and %s", op, describe(a), describe(b))
	}
	switch op {
	case "add":
		return p + q
	case "sub":
		return p - q
	case "mul":
		return p * q
	case "div", "true_divide":
		if q == 0 {
			e.bad("a division by zero")
		}
		return p / q
	case "floordiv", "floor_divide":
		if q == 0 {
			e.bad("a division by zero")
		}
		return math.Floor(p / q)
	case "remainder":
		if q == 0 {
			e.bad("a division by zero")
		}
		return p - q*math.Floor(p/q)
	case "fmod":
		return math.Mod(p, q)
	case "pow":
		r := math.Pow(p, q)
		if isInt && isToo && q >= 0 && math.Abs(r) < 1<<53 {
			return int64(r)
		}
		return r
	case "max", "maximum":
		return math.Max(p, q)
	case "min", "minimum":
		return math.Min(p, q)
	}
	e.bad("%s of numbers", op)
	return nil
}

// clamps are operators that bound numbers, and the names of the bounds.
var clamps = map[string][]string{"clamp": {"min", "max"}, "clip": {"min", "max"}, "clamp_min": {"min"}, "clamp_max": {"max"}}

// hostOnly reports whether nothing in the arguments is a tensor whose values are
// not known.
func hostOnly(args []any) bool {
	return !slices.ContainsFunc(args, func(v any) bool { _, is := v.(*aten.Value); return is })
}

// twoNumbers are the operators of two numbers.
var twoNumbers = map[string]bool{
	"add": true, "sub": true, "mul": true, "div": true, "true_divide": true, "floordiv": true, "floor_divide": true,
	"remainder": true, "fmod": true, "pow": true, "max": true, "min": true, "maximum": true, "minimum": true,
}

var comparisons = map[string]bool{"eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true}

// host evaluates operators of what is known; ok is false if it is none of those.
func (e *evaluator) host(op string, args []any, named map[string]any) (v any, ok bool) {
	if v, ok := e.containers(op, args, named); ok {
		return v, true
	}
	if len(args) > 0 {
		if _, isNumber := args[0].(scalar); isNumber && !strings.HasPrefix(op, "_") {
			op = strings.TrimSuffix(op, "_") // in traced code nothing else has the number
		}
	}
	if !hostOnly(args) {
		return nil, false
	}
	if len(args) >= 2 {
		a, b := args[0], args[1]
		if op == "rsub" && len(args) == 2 {
			op, a, b = "sub", b, a
		}
		if twoNumbers[op] || comparisons[op] {
			return e.hostBinary(op, a, b, named)
		}
		switch op {
		case "__and__", "__or__", "bitwise_and", "bitwise_or":
			return e.logical(strings.Contains(op, "and"), a, b), true
		case "__xor__":
			x, isInt := a.(int64)
			if y, both := b.(int64); isInt && both {
				return x ^ y, true
			}
			return e.truth(a) != e.truth(b), true
		}
	}
	if bound := clamps[op]; bound != nil {
		given := e.signature(args, named, append([]string{"self"}, bound...)...)
		v := given["self"]
		for _, side := range []struct{ name, op string }{{"min", "max"}, {"max", "min"}} {
			if limit := given[side.name]; limit != nil {
				known := true
				if v, known = e.hostBinary(side.op, v, limit, nil); !known {
					return nil, false
				}
			}
		}
		return v, isNumber(v)
	}
	if len(args) == 0 {
		return nil, false
	}
	if x, isTensor := args[0].(scalar); isTensor && op == "to" {
		if d, ok := e.typeAsked(args[1:], named); ok {
			return e.cast(x, d), true
		}
	}
	if len(args) == 1 || len(args) == 2 && (op == "round") {
		return e.hostUnary(op, args[0])
	}
	return nil, false
}

// typeAsked returns the element type that torch.to is asked for, which stands
// behind the device if that is given; none where the type stays. ok is false if the
// arguments are other ones.
func (e *evaluator) typeAsked(args []any, named map[string]any) (d model.DType, ok bool) {
	if v, isInt := named["dtype"].(int64); isInt {
		return e.dtype(v), true
	}
	if len(args) > 0 {
		switch args[0].(type) {
		case device, nil:
			args = args[1:]
		}
	}
	if len(args) == 0 {
		return model.Invalid, true
	}
	switch v := args[0].(type) {
	case int64:
		return e.dtype(v), true
	case bool, nil:
		return model.Invalid, true
	}
	return model.Invalid, false
}

// cast gives a number another element type, or none for the one that it has.
func (e *evaluator) cast(x scalar, d model.DType) scalar {
	switch {
	case d == model.Invalid:
	case d == model.Bool:
		return scalar{d, e.truth(x.value)}
	case !d.IsFloat():
		return scalar{d, e.integer(x.value)}
	default:
		if f, ok := realOf(x.value); ok {
			return scalar{d, rounded(f, d)}
		}
		return scalar{d, x.value} // of the batch
	}
	return x
}

// rounded returns a number as float32 has it, if that is its element type.
func rounded(f float64, d model.DType) float64 {
	if d == model.Float32 {
		return float64(float32(f))
	}
	return f
}

func (e *evaluator) logical(and bool, a, b any) any {
	for _, p := range [][2]any{{a, b}, {b, a}} {
		if u, ok := p[0].(undecided); ok {
			if _, both := p[1].(undecided); !both && e.truth(p[1]) != and {
				return !and
			}
			return u
		}
	}
	if x, isInt := a.(int64); isInt {
		if y, isToo := b.(int64); isToo {
			if and {
				return x & y
			}
			return x | y
		}
	}
	if and {
		return e.truth(a) && e.truth(b)
	}
	return e.truth(a) || e.truth(b)
}

// isNumber reports whether a value is a number, or a tensor that is one.
func isNumber(v any) bool {
	switch v.(type) {
	case bool, int64, float64, graph.Dim, scalar:
		return true
	}
	return false
}

func (e *evaluator) hostBinary(op string, a, b any, named map[string]any) (any, bool) {
	if s, ok := a.(string); ok && op == "add" {
		if t, isText := b.(string); isText {
			if len(s)+len(t) > elementsMax {
				e.limit("a string of the TorchScript code", "bytes", len(s)+len(t), elementsMax)
			}
			e.spend((len(s) + len(t)) / 16)
			return s + t, true
		}
	}
	switch {
	case op == "eq":
		return e.equal(a, b), true
	case op == "ne":
		return e.not(e.equal(a, b)), true
	case !isNumber(a) || !isNumber(b):
		return nil, false
	}
	x, isTensor := a.(scalar)
	y, isToo := b.(scalar)
	if isTensor {
		a = x.value
	}
	if isToo {
		b = y.value
	}
	if anyUnknown([]any{a, b}) {
		panic(stop{err: errUnknown}) // which was listed where it was made
	}
	switch op {
	case "lt":
		return e.less(a, b, false), true
	case "le":
		return e.less(a, b, true), true
	case "gt":
		return e.less(b, a, false), true
	case "ge":
		return e.less(b, a, true), true
	}
	mode, _ := named["rounding_mode"].(string)
	r := e.arithmetic(op, a, b)
	switch {
	case op == "div" && mode == "floor":
		r = e.arithmetic("floor_divide", a, b)
	case op == "div" && mode == "trunc":
		r = e.arithmetic("floor_divide", a, b)
		if f, ok := realOf(a); !ok || f < 0 {
			return nil, false
		}
	}
	if alpha, ok := named["alpha"]; ok && alpha != int64(1) {
		return nil, false
	}
	if !isTensor && !isToo {
		return r, true
	}
	d := model.Int64
	switch f := r.(type) {
	case float64:
		d = model.Float32
		if x.dtype == model.Float64 || y.dtype == model.Float64 {
			d = model.Float64
		}
		r = rounded(f, d)
	case bool:
		d = model.Bool
	}
	return scalar{d, r}, true
}

func (e *evaluator) not(v any) any {
	if u, ok := v.(undecided); ok {
		return "not " + u
	}
	return !e.truth(v)
}

func (e *evaluator) hostUnary(op string, v any) (any, bool) {
	x, isTensor := v.(scalar)
	if isTensor {
		v = x.value
	}
	wrap := func(r any) (any, bool) {
		if isTensor {
			return scalar{x.dtype, r}, true
		}
		return r, true
	}
	switch op {
	case "__not__":
		return e.not(v), true
	case "neg":
		if d, ok := dimOf(v); ok {
			return wrap(plain(graph.Size(0).Sub(d)))
		}
		if f, ok := v.(float64); ok {
			return wrap(-f)
		}
	case "abs":
		if f, ok := v.(float64); ok {
			return wrap(math.Abs(f))
		}
		if n, ok := v.(int64); ok {
			return wrap(max(n, -n))
		}
		if d, ok := v.(graph.Dim); ok && atLeast(d, 0) {
			return wrap(d)
		}
	case "Int", "IntImplicit":
		return e.integer(v), true
	case "Float", "FloatImplicit":
		return e.float(v), true
	case "Bool":
		return e.truth(v), true
	case "item", "ScalarImplicit", "alias", "detach", "contiguous", "clone":
		if isTensor && (op == "item" || op == "ScalarImplicit") {
			return v, true
		}
		if isTensor {
			return x, true
		}
	case "ceil", "floor", "sqrt", "exp", "log", "round":
		if d, ok := v.(graph.Dim); ok && op != "sqrt" && op != "exp" && op != "log" {
			return wrap(d)
		}
		f, ok := realOf(v)
		if !ok {
			return nil, false
		}
		r := map[string]func(float64) float64{"ceil": math.Ceil, "floor": math.Floor, "sqrt": math.Sqrt, "exp": math.Exp, "log": math.Log, "round": math.RoundToEven}[op](f)
		if isTensor || op == "sqrt" || op == "exp" || op == "log" {
			return wrap(r)
		}
		return e.integer(r), true
	case "str":
		return e.show(v), true
	}
	return nil, false
}
