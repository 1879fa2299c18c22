package ops

import (
	"slices"
	"strings"

	"lethe/graph"
)

// einsumOp sums products of elements with equal indices, as an equation says.
var einsumOp = &Operator{
	Name: "Einsum", Since: 12,
	inputs: []input{data("Inputs", numbers).many()},
	attrs:  []attr{noDefault("equation", graph.StringAttr).must()},
	infer: func(f *inference) {
		dtype := f.input(0).dtype
		shapes := make([]graph.Shape, len(f.in))
		for i, x := range f.in {
			if x.shape == nil {
				f.set(0, dtype, nil)
				return
			}
			shapes[i] = x.shape
		}
		ranks := make([]int, len(shapes))
		for i, s := range shapes {
			ranks[i] = len(s)
		}
		terms, result := f.equation(ranks)
		sizes := map[rune]graph.Dim{}
		for i, term := range terms {
			for j, letter := range term {
				d := shapes[i][j]
				old, seen := sizes[letter]
				switch {
				case !seen || old.Is(1) || !old.Fixed() && d.Fixed() && !d.Is(1):
					sizes[letter] = d
				case old.Fixed() && d.Fixed() && !d.Is(1) && !old.Equal(d):
					f.clash(shapes[0], shapes[i])
				}
			}
		}
		shape := graph.Shape{}
		for _, letter := range result {
			shape = append(shape, sizes[letter])
		}
		f.set(0, dtype, shape)
	},
	eval: evalEinsum,
}

// equation reads the equation for operands of some ranks. The axes that an
// ellipsis stands for get letters of their own, negative numbers.
func (n *node) equation(ranks []int) (terms [][]rune, result []rune) {
	text := strings.ReplaceAll(n.text("equation"), " ", "")
	left, right, explicit := strings.Cut(text, "->")
	parts := strings.Split(left, ",")
	if len(parts) != len(ranks) {
		n.fail("equation %q for %d operands", text, len(ranks))
	}
	dots := 0 // axes of the longest ellipsis
	for i, p := range parts {
		if strings.Contains(p, "...") {
			dots = max(dots, ranks[i]-len(strings.Replace(p, "...", "", 1)))
		}
	}
	spell := func(p string, rank int) []rune {
		before, after, has := strings.Cut(p, "...")
		var term []rune
		term = append(term, []rune(before)...)
		if has {
			here := rank - len(before) - len(after)
			if rank < 0 {
				here = dots
			}
			for k := max(0, dots-here); k < dots; k++ {
				term = append(term, rune(-1-k))
			}
		}
		return append(term, []rune(after)...)
	}
	count := map[rune]int{}
	for i, p := range parts {
		term := spell(p, ranks[i])
		if len(term) != ranks[i] {
			n.fail("equation %q for an operand of %d axes", text, ranks[i])
		}
		for _, letter := range term {
			count[letter]++
			if letter > 0 && !(letter >= 'a' && letter <= 'z' || letter >= 'A' && letter <= 'Z') {
				n.fail("equation %q has the index %q", text, letter)
			}
		}
		terms = append(terms, term)
	}
	if explicit {
		result = spell(right, -1)
	} else { // the ellipsis, then letters that occur once, in order
		for k := range dots {
			result = append(result, rune(-1-k))
		}
		var once []rune
		for letter, times := range count {
			if times == 1 && letter > 0 {
				once = append(once, letter)
			}
		}
		slices.Sort(once)
		result = append(result, once...)
	}
	for i, letter := range result {
		if count[letter] == 0 || slices.Contains(result[:i], letter) {
			n.fail("equation %q has an index in its result that no operand has, or twice", text)
		}
	}
	return terms, result
}

// evalEinsum multiplies the operands one after the other, and sums over an index
// as soon as nobody needs it any more.
func evalEinsum(c *call) {
	ranks := make([]int, len(c.in))
	for i, t := range c.in {
		if ranks[i] = len(t.shape); t.dtype != c.in[0].dtype {
			c.fail("the operands are %v and %v; they must be of one type", c.in[0].dtype, t.dtype)
		}
	}
	terms, result := c.equation(ranks)
	var have []rune
	var sum *Tensor
	for i, t := range c.in {
		x, letters := c.diagonal(t, terms[i])
		needed := slices.Clone(result)
		for _, later := range terms[i+1:] {
			needed = append(needed, later...)
		}
		if sum == nil {
			sum, have = c.sumOut(x, letters, needed)
			continue
		}
		sum, have = c.contract(sum, have, x, letters, needed)
	}
	order := make([]int, len(result))
	for i, letter := range result {
		order[i] = slices.Index(have, letter)
	}
	c.set(0, c.transpose(sum, order).round(rounding{}))
}

// diagonal returns a tensor in which an index that occurs twice occurs once.
func (c *call) diagonal(t *Tensor, letters []rune) (*Tensor, []rune) {
	var v view
	var have []rune
	for i, s := range strides(t.shape) {
		if j := slices.Index(have, letters[i]); j >= 0 {
			if v.shape[j] != t.shape[i] {
				c.fail("an index stands for axes of size %d and of size %d", v.shape[j], t.shape[i])
			}
			v.strides[j] += s
			continue
		}
		have = append(have, letters[i])
		v.shape, v.strides = append(v.shape, t.shape[i]), append(v.strides, s)
	}
	out := c.like(t, v.shape)
	t.data.read(out.data, v)
	return out, have
}

// sumOut sums over the axes whose index nobody needs.
func (c *call) sumOut(t *Tensor, letters, needed []rune) (*Tensor, []rune) {
	var axes []int
	var left []rune
	for i, letter := range letters {
		if slices.Contains(needed, letter) {
			left = append(left, letter)
		} else {
			axes = append(axes, i)
		}
	}
	if len(axes) == 0 {
		return t, left
	}
	out := c.like(t, without(t.shape, axes, false, 0))
	rows := c.axesLast(t, axes)
	n := rows.Len() / max(out.Len(), 1)
	for i := range n { // the sum of n slices, each of every n-th element
		part := c.like(t, out.shape)
		rows.data.read(part.data, view{[]int{out.Len()}, []int{n}, i})
		out = addOf.apply(c, out, part)
	}
	return out, left
}

// contract returns the product of two tensors, summed over the indices that both
// have and nobody needs.
func (c *call) contract(a *Tensor, la []rune, b *Tensor, lb, needed []rune) (*Tensor, []rune) {
	both := func(letter rune) bool { return slices.Contains(la, letter) && slices.Contains(lb, letter) }
	a, la = c.sumOut(a, la, append(slices.Clone(needed), lb...))
	b, lb = c.sumOut(b, lb, append(slices.Clone(needed), la...))
	var batch, inner, left, right []rune
	for _, letter := range la {
		switch {
		case both(letter) && slices.Contains(needed, letter):
			batch = append(batch, letter)
		case both(letter):
			inner = append(inner, letter)
		default:
			left = append(left, letter)
		}
	}
	for _, letter := range lb {
		if !both(letter) {
			right = append(right, letter)
		}
	}
	sizes := map[rune]int{}
	for _, side := range []struct {
		t       *Tensor
		letters []rune
	}{{a, la}, {b, lb}} {
		for i, letter := range side.letters {
			old, seen := sizes[letter]
			switch d := side.t.shape[i]; {
			case !seen || old == 1:
				sizes[letter] = d
			case d != 1 && d != old:
				c.fail("an index stands for axes of size %d and of size %d", old, d)
			}
		}
	}
	count := func(letters []rune) int {
		n := 1
		for _, letter := range letters {
			n *= sizes[letter]
		}
		return n
	}
	x := c.arrange(a, la, slices.Concat(batch, left, inner), sizes)
	y := c.arrange(b, lb, slices.Concat(batch, inner, right), sizes)
	m, k, n := count(left), count(inner), count(right)
	letters := slices.Concat(batch, left, right)
	shape := make([]int, len(letters))
	for i, letter := range letters {
		shape[i] = sizes[letter]
	}
	out := c.like(a, shape)
	for i := range count(batch) {
		c.multiply(out.data.slice(i*m*n, (i+1)*m*n), x.data.slice(i*m*k, (i+1)*m*k), y.data.slice(i*k*n, (i+1)*k*n), m, n, k)
	}
	return out, letters
}

// arrange returns a tensor with its axes in the order of some indices, each as
// long as the index is.
func (c *call) arrange(t *Tensor, letters, order []rune, sizes map[rune]int) *Tensor {
	axes, shape := make([]int, len(order)), make([]int, len(order))
	for i, letter := range order {
		axes[i], shape[i] = slices.Index(letters, letter), sizes[letter]
	}
	return c.expand(c.transpose(t, axes), shape)
}
