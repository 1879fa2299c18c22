package graph

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Dim is the size of one axis: an integer, or an expression in named symbols
// that stand for sizes which are known only when the graph runs. The zero value
// is the size 0.
//
// Expressions are kept as sums of products, so that two ways to the same sum
// are [Dim.Equal]. Symbols are taken to be positive: what is divided by N is
// not divided by zero. A result that leaves the range of int64, or a division
// by zero, gives a size larger than any limit.
type Dim struct {
	n    int64 // the constant term
	rest []term
}

// term is an integer times a product of atoms.
type term struct {
	coef  int64
	atoms []atom // sorted by key
	key   string // of all atoms
}

// atom is a symbol, or a function of expressions that cannot be made simpler.
type atom struct {
	key  string
	op   byte // 0 for a symbol, '/' for the floor of a quotient, '>' for a maximum, '<' for a minimum
	a, b *Dim
}

const tooLarge = math.MaxInt64

// longest is the length of an expression's text beyond which it becomes a
// symbol of its own: a graph can square a size as often as it has nodes.
const longest = 512

// Size returns a size that is known.
func Size(n int) Dim { return Dim{n: int64(n)} }

// Symbol returns a size that has a name only, such as the batch.
func Symbol(name string) Dim {
	return Dim{rest: []term{{1, []atom{{key: name}}, name}}}
}

// Int returns the size, if it is an integer.
func (d Dim) Int() (n int, ok bool) { return int(d.n), len(d.rest) == 0 }

// Is reports whether the size is the integer n.
func (d Dim) Is(n int) bool { return len(d.rest) == 0 && d.n == int64(n) }

// Fixed reports whether the size is an integer.
func (d Dim) Fixed() bool { return len(d.rest) == 0 }

// Equal reports whether two sizes are the same whatever the symbols stand for.
func (d Dim) Equal(e Dim) bool {
	return d.n == e.n && slices.EqualFunc(d.rest, e.rest, func(a, b term) bool { return a.coef == b.coef && a.key == b.key })
}

// Symbol returns the name, if the size is one symbol and nothing else.
func (d Dim) Symbol() (name string, ok bool) {
	if d.n == 0 && len(d.rest) == 1 && d.rest[0].coef == 1 && len(d.rest[0].atoms) == 1 && d.rest[0].atoms[0].op == 0 {
		return d.rest[0].key, true
	}
	return "", false
}

// String returns the size as an integer or an expression, such as "2*N + 1".
func (d Dim) String() string {
	var b strings.Builder
	for _, t := range d.rest {
		switch {
		case b.Len() > 0 && t.coef < 0:
			b.WriteString(" - ")
		case b.Len() > 0:
			b.WriteString(" + ")
		case t.coef < 0:
			b.WriteString("-")
		}
		if t.coef != 1 && t.coef != -1 {
			b.WriteString(strings.TrimPrefix(strconv.FormatInt(t.coef, 10), "-") + "*")
		}
		b.WriteString(t.key)
	}
	switch {
	case b.Len() == 0:
		return strconv.FormatInt(d.n, 10)
	case d.n > 0:
		b.WriteString(" + " + strconv.FormatInt(d.n, 10))
	case d.n < 0:
		b.WriteString(" - " + strings.TrimPrefix(strconv.FormatInt(d.n, 10), "-"))
	}
	return b.String()
}

// Eval returns the size where every symbol has a value; ok is false if one has
// none.
func (d Dim) Eval(symbols map[string]int) (n int, ok bool) {
	sum := d.n
	for _, t := range d.rest {
		product := t.coef
		for _, a := range t.atoms {
			v, ok := a.eval(symbols)
			if !ok {
				return 0, false
			}
			product = mul(product, v)
		}
		sum = add(sum, product)
	}
	return int(sum), true
}

func (a atom) eval(symbols map[string]int) (int64, bool) {
	if a.op == 0 {
		v, ok := symbols[a.key]
		return int64(v), ok
	}
	x, ok := a.a.Eval(symbols)
	if !ok {
		return 0, false
	}
	y, ok := a.b.Eval(symbols)
	if !ok {
		return 0, false
	}
	switch a.op {
	case '/':
		return floorDiv(int64(x), int64(y)), true
	case '>':
		return int64(max(x, y)), true
	}
	return int64(min(x, y)), true
}

// Subst returns the size in which every symbol that has a value is replaced by
// it.
func (d Dim) Subst(symbols map[string]Dim) Dim {
	sum := Dim{n: d.n}
	for _, t := range d.rest {
		product := Dim{n: t.coef}
		for _, a := range t.atoms {
			product = product.Mul(a.subst(symbols))
		}
		sum = sum.Add(product)
	}
	return sum
}

func (a atom) subst(symbols map[string]Dim) Dim {
	switch a.op {
	case '/':
		return a.a.Subst(symbols).Div(a.b.Subst(symbols))
	case '>':
		return a.a.Subst(symbols).Max(a.b.Subst(symbols))
	case '<':
		return a.a.Subst(symbols).Min(a.b.Subst(symbols))
	}
	if v, ok := symbols[a.key]; ok {
		return v
	}
	return Symbol(a.key)
}

// Add returns d + e.
func (d Dim) Add(e Dim) Dim { return sum(d, e, 1) }

// Sub returns d - e.
func (d Dim) Sub(e Dim) Dim { return sum(d, e, -1) }

func sum(d, e Dim, sign int64) Dim {
	out := Dim{n: add(d.n, mul(sign, e.n))}
	i, j := 0, 0
	for i < len(d.rest) || j < len(e.rest) {
		switch {
		case j == len(e.rest) || i < len(d.rest) && d.rest[i].key < e.rest[j].key:
			out.rest = append(out.rest, d.rest[i])
			i++
		case i == len(d.rest) || e.rest[j].key < d.rest[i].key:
			t := e.rest[j]
			t.coef = mul(t.coef, sign)
			out.rest = append(out.rest, t)
			j++
		default:
			t := d.rest[i]
			if t.coef = add(t.coef, mul(sign, e.rest[j].coef)); t.coef != 0 {
				out.rest = append(out.rest, t)
			}
			i++
			j++
		}
	}
	return out.bounded()
}

// Mul returns d times e.
func (d Dim) Mul(e Dim) Dim {
	all := func(d Dim) []term {
		if d.n == 0 {
			return d.rest
		}
		return append([]term{{coef: d.n}}, d.rest...)
	}
	out := Dim{}
	for _, x := range all(d) {
		for _, y := range all(e) {
			atoms := slices.Concat(x.atoms, y.atoms)
			slices.SortStableFunc(atoms, func(a, b atom) int { return strings.Compare(a.key, b.key) })
			out = out.Add(monomial(mul(x.coef, y.coef), atoms))
		}
	}
	return out.bounded()
}

func monomial(coef int64, atoms []atom) Dim {
	if len(atoms) == 0 || coef == 0 {
		return Dim{n: coef}
	}
	keys := make([]string, len(atoms))
	for i, a := range atoms {
		keys[i] = a.key
	}
	return Dim{rest: []term{{coef, atoms, strings.Join(keys, "*")}}}
}

// Div returns the quotient of d and e, rounded down.
func (d Dim) Div(e Dim) Dim {
	if d.Fixed() && e.Fixed() {
		return Dim{n: floorDiv(d.n, e.n)}
	}
	if e.Is(0) {
		return Dim{n: tooLarge}
	}
	whole, rest := Dim{}, d
	for _, t := range append(slices.Clone(d.rest), term{coef: d.n}) {
		if q, ok := divTerm(t, e); ok {
			whole = whole.Add(q)
			rest = rest.Sub(monomial(t.coef, t.atoms))
		}
	}
	if rest.Fixed() && e.Fixed() {
		return whole.Add(Dim{n: floorDiv(rest.n, e.n)})
	}
	if rest.Is(0) {
		return whole
	}
	if d.Equal(e) {
		return Size(1)
	}
	return whole.Add(function('/', rest, e, fmt.Sprintf("floor(%s/%s)", group(rest), group(e))))
}

// divTerm divides a term by an expression of one term, if nothing remains.
func divTerm(t term, e Dim) (Dim, bool) {
	var by term
	switch {
	case e.Fixed():
		by.coef = e.n
	case e.n == 0 && len(e.rest) == 1:
		by = e.rest[0]
	default:
		return Dim{}, false
	}
	if by.coef == 0 || t.coef%by.coef != 0 {
		return Dim{}, false
	}
	left := slices.Clone(t.atoms)
	for _, a := range by.atoms {
		i := slices.IndexFunc(left, func(b atom) bool { return a.key == b.key })
		if i < 0 {
			return Dim{}, false
		}
		left = slices.Delete(left, i, i+1)
	}
	return monomial(t.coef/by.coef, left), true
}

func group(d Dim) string {
	if len(d.rest) == 0 || len(d.rest) == 1 && d.n == 0 && d.rest[0].coef == 1 && len(d.rest[0].atoms) == 1 {
		return d.String()
	}
	return "(" + d.String() + ")"
}

// CeilDiv returns the quotient of d and e, rounded up.
func (d Dim) CeilDiv(e Dim) Dim { return Dim{}.Sub(Dim{}.Sub(d).Div(e)) }

// Mod returns what remains of d after division by e, with the sign of e.
func (d Dim) Mod(e Dim) Dim { return d.Sub(e.Mul(d.Div(e))) }

// Max returns the larger of d and e.
func (d Dim) Max(e Dim) Dim { return d.extreme(e, '>', "max") }

// Min returns the smaller of d and e.
func (d Dim) Min(e Dim) Dim { return d.extreme(e, '<', "min") }

func (d Dim) extreme(e Dim, op byte, name string) Dim {
	if difference := d.Sub(e); difference.Fixed() {
		if (difference.n > 0) == (op == '>') {
			return d
		}
		return e
	}
	if d.String() > e.String() {
		d, e = e, d
	}
	return function(op, d, e, fmt.Sprintf("%s(%s, %s)", name, d, e))
}

func function(op byte, a, b Dim, key string) Dim {
	return Dim{rest: []term{{1, []atom{{key, op, &a, &b}}, key}}}.bounded()
}

// bounded returns d, or a symbol in its place if it has grown out of all
// bounds. The same expression always gets the same symbol.
func (d Dim) bounded() Dim {
	length := 0
	for _, t := range d.rest {
		length += len(t.key)
	}
	if length <= longest || len(d.rest) == 1 && len(d.rest[0].atoms) == 1 && d.rest[0].atoms[0].op == 0 {
		return d
	}
	return Symbol(fmt.Sprintf("size_%x", sha256.Sum256([]byte(d.String())))[:21])
}

func add(a, b int64) int64 {
	if s := a + b; (s > a) == (b > 0) {
		return s
	}
	return tooLarge
}

func mul(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > math.MaxInt64 {
		return tooLarge
	}
	if (a < 0) != (b < 0) {
		return -int64(lo)
	}
	return int64(lo)
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func floorDiv(a, b int64) int64 {
	if b == 0 || a == math.MinInt64 && b == -1 {
		return tooLarge
	}
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// Positive reports whether the size is certainly more than zero, as symbols
// are: a sum in which nothing is subtracted.
func (d Dim) Positive() bool {
	for _, t := range d.rest {
		if t.coef < 0 {
			return false
		}
		for _, a := range t.atoms {
			if a.op != 0 && !a.positive() {
				return false
			}
		}
	}
	return d.n > 0 || d.n == 0 && len(d.rest) > 0
}

// notNegative reports whether the size is certainly zero or more: what is
// subtracted is no more than the rest is at least, where each symbol is 1.
func (d Dim) notNegative() bool {
	least := d.n
	for _, t := range d.rest {
		if t.coef < 0 {
			return false
		}
		positive := true
		for _, a := range t.atoms {
			if a.op == '/' {
				if !a.a.notNegative() || !a.b.Positive() {
					return false
				}
				positive = false
			} else if a.op != 0 && !a.positive() {
				return false
			}
		}
		if positive {
			least = add(least, t.coef)
		}
	}
	return least >= 0
}

func (a atom) positive() bool {
	switch a.op {
	case '>':
		return a.a.Positive() || a.b.Positive()
	case '<':
		return a.a.Positive() && a.b.Positive()
	}
	return false // the floor of a quotient can be 0
}

// Contradicts reports whether two sizes cannot be equal whatever the symbols
// stand for: integers that differ, or different multiples of one product.
func (d Dim) Contradicts(e Dim) bool {
	if d.Fixed() && e.Fixed() {
		return d.n != e.n
	}
	return d.n == 0 && e.n == 0 && len(d.rest) == 1 && len(e.rest) == 1 && d.rest[0].key == e.rest[0].key && d.rest[0].coef != e.rest[0].coef
}
