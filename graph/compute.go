package graph

// Arithmetic says how to compute with the parts of a size. Div rounds down.
// Natural, if it is not nil, takes the place of Div where the dividend is
// certainly not negative, so that rounding towards zero is the same.
type Arithmetic[T any] struct {
	Int                              func(n int64) T
	Symbol                           func(name string) T
	Add, Mul, Div, Natural, Max, Min func(a, b T) T
}

// Compute evaluates the expression of a size with an arithmetic of the caller's: every
// operand is computed before its operator is called, a sum and a product from the left.
func Compute[T any](d Dim, by Arithmetic[T]) T {
	var sum T
	started := false
	add := func(x T) {
		if started {
			x = by.Add(sum, x)
		}
		sum, started = x, true
	}
	for _, t := range d.rest {
		var product T
		begun := t.coef != 1
		if begun {
			product = by.Int(t.coef)
		}
		for _, a := range t.atoms {
			x := computeAtom(a, by)
			if begun {
				x = by.Mul(product, x)
			}
			product, begun = x, true
		}
		add(product)
	}
	if d.n != 0 || !started {
		add(by.Int(d.n))
	}
	return sum
}

func computeAtom[T any](a atom, by Arithmetic[T]) T {
	if a.op == 0 {
		return by.Symbol(a.key)
	}
	x, y := Compute(*a.a, by), Compute(*a.b, by)
	switch a.op {
	case '/':
		if by.Natural != nil && a.a.notNegative() {
			return by.Natural(x, y)
		}
		return by.Div(x, y)
	case '>':
		return by.Max(x, y)
	}
	return by.Min(x, y)
}
