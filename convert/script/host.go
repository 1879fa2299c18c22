package script

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/model"
)

// atLeast reports whether a size is certainly k or more. Batches have a sample.
func atLeast(d graph.Dim, k int) bool {
	n := graph.Symbol(graph.BatchSymbol)
	x := d.Subst(map[string]graph.Dim{graph.BatchSymbol: n.Add(graph.Size(1))}).Sub(graph.Size(k))
	return x.Is(0) || x.Positive()
}

// dimOf returns an integer as a size.
func dimOf(v any) (graph.Dim, bool) {
	switch v := v.(type) {
	case int64:
		return graph.Size(int(v)), true
	case bool:
		if v {
			return graph.Size(1), true
		}
		return graph.Size(0), true
	case graph.Dim:
		return v, true
	}
	return graph.Dim{}, false
}

// plain returns a size as an int64 if it is fixed.
func plain(d graph.Dim) any {
	if n, ok := d.Int(); ok {
		return int64(n)
	}
	return d
}

// integer returns a number as an integer, rounded towards zero.
func (e *evaluator) integer(v any) any {
	switch v := v.(type) {
	case int64, graph.Dim:
		return v
	case bool:
		d, _ := dimOf(v)
		return plain(d)
	case unknown:
		return v
	case float64:
		if !(math.Abs(v) < 1<<62) {
			e.bad("%v is no integer", v)
		}
		return int64(v)
	case scalar:
		return e.integer(v.value)
	case *aten.Value:
		if x, ok := e.element(v); ok {
			return e.integer(x)
		}
		e.unsupported("write the network without it", "an integer that depends on the values of a tensor")
	}
	e.bad("%s is no integer", describe(v))
	return nil
}

func (e *evaluator) float(v any) any {
	switch v := v.(type) {
	case float64:
		return v
	case unknown:
		return v
	case int64:
		return float64(v)
	case bool, graph.Dim:
		return e.float(e.fixed(v))
	case scalar:
		return e.float(v.value)
	case string:
		switch v {
		case "inf":
			return math.Inf(1)
		case "-inf":
			return math.Inf(-1)
		case "nan":
			return math.NaN()
		}
	case *aten.Value:
		if x, ok := e.element(v); ok {
			return e.float(x)
		}
		e.unsupported("write the network without it", "a number that depends on the values of a tensor")
	}
	e.bad("%s is no number", describe(v))
	return nil
}

// fixed returns an integer that does not depend on the batch.
func (e *evaluator) fixed(v any) int64 {
	switch v := e.integer(v).(type) {
	case int64:
		return v
	case graph.Dim:
		e.unsupported("give the number of samples with --batch N", "a number that depends on the size of the batch (%v) where it must be known", v)
	case unknown:
		panic(stop{err: errUnknown})
	}
	return 0
}

// show returns a value as a text.
func (e *evaluator) show(v any) string {
	s := describe(v)
	switch v := v.(type) {
	case string:
		s = v
	case bool:
		s = "False"
		if v {
			s = "True"
		}
	case *list:
		if len(v.values) < 64 {
			var parts []string
			for _, x := range v.values {
				if _, nested := elements(x); nested {
					x = describe(x)
				}
				parts = append(parts, e.show(x))
			}
			s = "[" + strings.Join(parts, ", ") + "]"
		}
	}
	e.spend(len(s) / 16)
	return s[:min(len(s), 1000)]
}

// index returns a place in n elements, counted from the first.
func (e *evaluator) index(v any, n int) int {
	i := e.fixed(v)
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i >= int64(n) {
		e.bad("element %d of %d is read", i, n)
	}
	return int(i)
}

func (e *evaluator) item(v, key any) any {
	switch v := v.(type) {
	case unknown:
		return v
	case *list:
		return v.values[e.index(key, len(v.values))]
	case *tuple:
		return v.values[e.index(key, len(v.values))]
	case *dict:
		for i, k := range v.keys {
			if e.equal(k, key) == true {
				return v.values[i]
			}
		}
		e.bad("a dictionary has no key %s", describe(key))
	case string:
		i := e.index(key, len(v))
		return v[i : i+1]
	}
	e.bad("%s has no elements", describe(v))
	return nil
}

func (e *evaluator) setItem(v, key, to any) {
	switch v := v.(type) {
	case *list:
		v.values[e.index(key, len(v.values))] = to
		return
	case *dict:
		e.spend(len(v.keys))
		for i, k := range v.keys {
			if e.equal(k, key) == true {
				v.values[i] = to
				return
			}
		}
		v.keys, v.values = append(v.keys, key), append(v.values, to)
		return
	}
	e.bad("elements of %s are set", describe(v))
}

// equal compares values; the result is true, false or undecided.
func (e *evaluator) equal(a, b any) any {
	e.spend(1)
	if x, ok := a.(scalar); ok {
		a = x.value
	}
	if x, ok := b.(scalar); ok {
		b = x.value
	}
	if x, ok := dimOf(a); ok {
		if y, isInt := dimOf(b); isInt {
			switch d := x.Sub(y); {
			case d.Is(0):
				return true
			case d.Fixed() || atLeast(d, 1) || atLeast(y.Sub(x), 1) || x.Contradicts(y):
				return false
			}
			return undecided(fmt.Sprintf("%v = %v", x, y))
		}
	}
	if x, ok := realOf(a); ok {
		if y, isReal := realOf(b); isReal {
			return x == y
		}
	}
	xs, isList := elements(a)
	ys, isOther := elements(b)
	if isList && isOther {
		if len(xs) != len(ys) {
			return false
		}
		if e.depth++; e.depth > depthMax {
			e.limit("nesting of values", "levels", e.depth, depthMax)
		}
		defer func() { e.depth-- }()
		for i := range xs {
			if same := e.equal(xs[i], ys[i]); same != true {
				return same
			}
		}
		return true
	}
	switch a.(type) {
	case nil, string, device, reference:
		return a == b
	}
	return false
}

func realOf(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// less compares numbers: a < b, or a <= b.
func (e *evaluator) less(a, b any, orEqual bool) any {
	x, isInt := dimOf(a)
	y, isToo := dimOf(b)
	if isInt && isToo {
		k := 1
		if orEqual {
			k = 0
		}
		switch d := y.Sub(x); {
		case atLeast(d, k):
			return true
		case atLeast(x.Sub(y), 1-k):
			return false
		}
		return undecided(fmt.Sprintf("%v < %v", x, y))
	}
	p, isReal := realOf(a)
	q, isAlso := realOf(b)
	if !isReal || !isAlso {
		if s, ok := a.(string); ok {
			if t, isText := b.(string); isText {
				return s < t || orEqual && s == t
			}
		}
		e.bad("%s and %s are compared", describe(a), describe(b))
	}
	return p < q || orEqual && p == q
}

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
	if len(args) == 1 || len(args) == 2 && (op == "round") {
		return e.hostUnary(op, args[0])
	}
	return nil, false
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
	switch r.(type) {
	case float64:
		d = model.Float32
		if x.dtype == model.Float64 || y.dtype == model.Float64 {
			d = model.Float64
		}
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
