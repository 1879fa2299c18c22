package script

import (
	"fmt"
	"math"
	"strings"

	"lethe/convert/aten"
	"lethe/graph"
)

// atLeast reports whether a size is certainly k or more. Batches have a sample.
func atLeast(d graph.Dim, k int) bool {
	if k <= 1 && d.Positive() {
		return true
	}
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
			e.bad("%v is not an integer", v)
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
	e.bad("%s is not an integer", describe(v))
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
	e.bad("%s is not a number", describe(v))
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
