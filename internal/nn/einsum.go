package nn

import (
	"slices"
	"strings"

	"lethe/graph"
)

// expandEinsum makes one product of matrices of each pair of operands, from the
// left: axes that both have and the result too are those of the stack, axes that
// both have and nobody else are summed over.
func expandEinsum(e *expansion) (string, error) {
	left, right, arrow := strings.Cut(strings.ReplaceAll(e.String("equation", ""), " ", ""), "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(e.in) {
		return "", misfit("Einsum has %d operands, and its equation %q is for %d", len(e.in), e.String("equation", ""), len(terms))
	}
	q := &einsum{expansion: e, size: map[rune]int{}, batch: -1}
	var operands []term
	for i, text := range terms {
		t, err := q.term(i, text)
		if err != nil {
			return "", err
		}
		operands = append(operands, t)
	}
	if !arrow { // what the ellipsis is, and all letters that stand once, in alphabetical order
		if strings.Contains(left, "...") {
			right = "..."
		}
		for _, r := range slices.Sorted(slices.Values([]rune(left))) {
			if r != ',' && r != '.' && strings.Count(left, string(r)) == 1 {
				right += string(r)
			}
		}
	}
	out := q.letters(right)
	for i, r := range out {
		if _, ok := q.size[r]; !ok || slices.Contains(out[:i], r) {
			return "", misfit("Einsum %q gives %q, which no operand has or which stands twice", left, string(r))
		}
	}
	acc := operands[0]
	for i, next := range operands[1:] {
		later := slices.Clone(out)
		for _, t := range operands[2+i:] {
			later = append(later, t.letters...)
		}
		var err error
		if acc, err = q.multiply(acc, next, later); err != nil {
			return "", err
		}
	}
	acc = q.sumOver(acc, func(r rune) bool { return !slices.Contains(out, r) })
	if q.batch >= 0 && !slices.Contains(acc.letters, q.batch) && slices.ContainsFunc(e.in, func(s shape) bool { return s.batch >= 0 }) {
		return "", unsupported("Einsum %q over the batch is not supported", left)
	}
	return q.permuted(acc, out).name, nil
}

// term is a value with a letter for each axis.
type term struct {
	name    string
	letters []rune
}

type einsum struct {
	*expansion
	size  map[rune]int
	batch rune // the letter of the batch, or -1
	lead  int
	dots  int // axes that an ellipsis stands for
}

// letters replaces an ellipsis by letters that nobody writes.
func (q *einsum) letters(text string) []rune {
	var out []rune
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], "...") {
			for k := range q.dots {
				out = append(out, rune(0x10000+k))
			}
			i += 2
			continue
		}
		out = append(out, rune(text[i]))
	}
	return out
}

// term returns an operand, with the diagonal of axes of the same letter.
func (q *einsum) term(i int, text string) (term, error) {
	in := q.in[i]
	if strings.Contains(text, "...") {
		q.dots = len(in.dims) - len(text) + 3
	}
	t := term{q.input(i), q.letters(text)}
	if q.dots < 0 || len(t.letters) != len(in.dims) {
		return t, misfit("Einsum calls the axes of an operand of shape %v %q, which is another number of them", in, text)
	}
	for a, r := range t.letters {
		if d, ok := q.size[r]; ok && d != in.dims[a] {
			return t, unsupported("Einsum with %q of %d and of %d elements is not supported", string(r), d, in.dims[a])
		}
		q.size[r] = in.dims[a]
		if a == in.batch {
			if q.batch >= 0 && (q.batch != r || max(q.lead, 1) != max(in.lead, 1)) {
				return t, unsupported("Einsum would mix samples")
			}
			q.batch, q.lead = r, in.lead
		}
	}
	return q.diagonal(t, in)
}

// diagonal leaves one of several axes of the same letter.
func (q *einsum) diagonal(t term, in shape) (term, error) {
	for a, r := range t.letters {
		first := slices.Index(t.letters, r)
		if first == a {
			continue
		}
		if a == in.batch || first == in.batch {
			return t, unsupported("Einsum of the diagonal of the batch is not supported")
		}
		steps := cSteps(in.dims)
		dims, strides := slices.Delete(slices.Clone(in.dims), a, a+1), slices.Clone(steps)
		strides[first] += strides[a]
		out := in.as(dims)
		if out.batch > a {
			out.batch--
		}
		next := term{q.moved(t.name, strided(dims, slices.Delete(strides, a, a+1), 0), out), slices.Delete(slices.Clone(t.letters), a, a+1)}
		return q.diagonal(next, out)
	}
	return t, nil
}

// sumOver adds up over the axes whose letter is one to drop.
func (q *einsum) sumOver(t term, drop func(r rune) bool) term {
	var axes []int
	var left []rune
	for a, r := range t.letters {
		if drop(r) {
			axes = append(axes, a)
		} else {
			left = append(left, r)
		}
	}
	if len(axes) == 0 {
		return t
	}
	return term{q.op("ReduceSum", graph.Attrs{"keepdims": graph.Int(0)}, t.name, q.ints(axes...)), left}
}

func (q *einsum) permuted(t term, order []rune) term {
	var perm []int
	for _, r := range order {
		perm = append(perm, slices.Index(t.letters, r))
	}
	if slices.Equal(perm, indices(len(perm))) {
		return term{q.op("Identity", nil, t.name), order}
	}
	return term{q.transpose(t.name, perm...), order}
}

func (q *einsum) product(letters []rune) int {
	p := 1
	for _, r := range letters {
		p *= q.size[r]
	}
	return p
}

// multiply multiplies two terms; later are the letters that are still needed.
func (q *einsum) multiply(a, b term, later []rune) (term, error) {
	in := func(list []rune) func(r rune) bool { return func(r rune) bool { return slices.Contains(list, r) } }
	a = q.sumOver(a, func(r rune) bool { return !in(later)(r) && !in(b.letters)(r) })
	b = q.sumOver(b, func(r rune) bool { return !in(later)(r) && !in(a.letters)(r) })
	var stack, inner, rows, columns []rune
	for _, r := range a.letters {
		switch {
		case !in(b.letters)(r) && r == q.batch:
			stack = append(stack, r)
		case !in(b.letters)(r):
			rows = append(rows, r)
		case in(later)(r):
			stack = append(stack, r)
		default:
			inner = append(inner, r)
		}
	}
	for _, r := range b.letters {
		if !in(a.letters)(r) && r == q.batch {
			stack = append(stack, r)
		} else if !in(a.letters)(r) {
			columns = append(columns, r)
		}
	}
	if in(inner)(q.batch) {
		return a, unsupported("Einsum over the batch is not supported")
	}
	x := q.matrix(a, stack, rows, inner)
	y := q.matrix(b, stack, inner, columns)
	dims := q.sizes(stack)
	z := q.op("MatMul", nil, x, y)
	order := slices.Concat(stack, rows, columns)
	return term{q.view(z, slices.Index(order, q.batch), append(append(dims, q.sizes(rows)...), q.sizes(columns)...)...), order}, nil
}

// matrix returns a term as a stack of matrices. Axes of the stack that it lacks
// have one element.
func (q *einsum) matrix(t term, stack, rows, columns []rune) string {
	order := slices.DeleteFunc(slices.Concat(stack, rows, columns), func(r rune) bool { return !slices.Contains(t.letters, r) })
	t = q.permuted(t, order)
	var dims []int
	for _, r := range stack {
		if slices.Contains(t.letters, r) {
			dims = append(dims, q.size[r])
		} else {
			dims = append(dims, 1)
		}
	}
	batch := slices.Index(stack, q.batch)
	if !slices.Contains(t.letters, q.batch) {
		batch = -1
	}
	return q.view(t.name, batch, append(dims, q.product(rows), q.product(columns))...)
}

func (q *einsum) sizes(letters []rune) []int {
	out := []int{}
	for _, r := range letters {
		out = append(out, q.size[r])
	}
	return out
}
