package exported

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lethe/graph"
)

// ratio is the quotient of two sizes, as they occur where an image is scaled by a
// number that is not whole: TruncToInt(Mul(Float('1.5'), ToFloat(Symbol('s0')))).
type ratio struct{ over, under graph.Dim }

// rounded applies a function that makes an integer of a real number. The real
// numbers here are not negative, so that truncation rounds down.
func (e *expression) rounded(name string) (graph.Dim, error) {
	r, err := e.ratio()
	if err == nil && !e.take(")") {
		err = fmt.Errorf("%s is not closed", name)
	}
	if err != nil {
		return graph.Dim{}, err
	}
	if name == "CeilToInt" {
		return r.over.CeilDiv(r.under), nil
	}
	return r.over.Div(r.under), nil
}

// ratio reads a real number.
func (e *expression) ratio() (ratio, error) {
	if e.depth++; e.depth > depthMax {
		return ratio{}, fmt.Errorf("it is nested too deeply")
	}
	defer func() { e.depth-- }()
	whole := graph.Size(1)
	start := e.at
	name := e.name()
	if !e.take("(") {
		e.at = start
		d, err := e.sum()
		return ratio{d, whole}, err
	}
	switch name {
	case "Float":
		return e.literal()
	case "Mul", "ToFloat", "FloatTrueDiv", "IntTrueDiv":
	default:
		e.at = start
		d, err := e.sum()
		return ratio{d, whole}, err
	}
	product := ratio{whole, whole}
	for i := 0; !e.take(")"); i++ {
		if i > 0 && !e.take(",") {
			return ratio{}, fmt.Errorf("%s is not closed", name)
		}
		r, err := e.ratio()
		if err != nil {
			return ratio{}, err
		}
		if i > 0 && name != "Mul" {
			r.over, r.under = r.under, r.over
		}
		product = ratio{product.over.Mul(r.over), product.under.Mul(r.under)}
	}
	if !product.under.Positive() {
		return ratio{}, fmt.Errorf("a divisor is %v", product.under)
	}
	return product, nil
}

// literal reads the rest of Float('1.5', precision=53). A number that is not a
// whole number of 1024ths is not read: products with it are rounded.
func (e *expression) literal() (ratio, error) {
	end := strings.IndexByte(e.text[e.at:], ')')
	if end < 0 {
		return ratio{}, fmt.Errorf("a number is not closed")
	}
	text := e.text[e.at : e.at+end]
	e.at += end + 1
	digits, _, _ := strings.Cut(text, ",")
	v, err := strconv.ParseFloat(strings.Trim(digits, "' "), 64)
	const unit = 1024
	if err != nil || !(v > 0 && v < 1<<20) || v*unit != math.Trunc(v*unit) {
		return ratio{}, fmt.Errorf("the number %.30q in a size", text)
	}
	over, under := int(v*unit), unit
	for over%2 == 0 && under > 1 {
		over, under = over/2, under/2
	}
	return ratio{graph.Size(over), graph.Size(under)}, nil
}

// realFunctions are the functions of real numbers that occur in sizes.
var realFunctions = []string{"Float", "ToFloat", "TruncToInt", "TruncToFloat", "FloorToInt", "CeilToInt", "RoundToInt", "RoundDecimal", "FloatTrueDiv", "IntTrueDiv", "FloatPow", "Rational", "OpaqueUnaryFn_sqrt", "OpaqueUnaryFn_log2"}

// opaque reads the arguments of a function of real numbers as they are: what it
// makes is a symbol of its own.
func (e *expression) opaque(name string, from int) (graph.Dim, error) {
	depth := 1
	word := from
	for e.at = from; e.at < len(e.text); e.at++ {
		switch b := e.text[e.at]; {
		case b == '(':
			if f := e.text[word:e.at]; !slices.Contains(realFunctions, f) && !slices.Contains(sizeFunctions, f) {
				return graph.Dim{}, fmt.Errorf("%.50q is not a function of sizes", f)
			}
			depth++
		case b == ')':
			depth--
		case b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z':
			continue
		case !strings.ContainsRune(", .='-+", rune(b)):
			return graph.Dim{}, fmt.Errorf("%q in a size", b)
		}
		word = e.at + 1
		if depth == 0 {
			e.at++
			return graph.Symbol(name + "(" + e.text[from:e.at]), nil
		}
	}
	return graph.Dim{}, fmt.Errorf("a call of %s is not closed", name)
}
