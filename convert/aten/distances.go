package aten

import (
	"fmt"
	"math"
	"slices"

	"lethe/graph"
)

// distanceRows are distances between points, and functions of matrices that
// parametrizations of weights use.
func distanceRows() map[string]row {
	return map[string]row{
		"aten.cdist":           {schema: "x1, x2, p=2, compute_mode=None", lower: allDistances},
		"aten._cdist_forward":  {schema: "x1, x2, p, compute_mode=None", lower: allDistances},
		"aten._euclidean_dist": {schema: "x1, x2, p=2", lower: allDistances},
		"aten.pairwise_distance": {schema: "x1, x2, p=2, eps=1e-6, keepdim=False", lower: func(c *call) {
			d := c.out(0).DType
			x := c.op("Sub", nil, c.number("x1", d).name, c.number("x2", d).name)
			x = c.op("Add", nil, x, c.scalar(d, c.float("eps")))
			c.args["dim"] = int64(-1)
			shape, _ := c.joined("x1", "x2")
			c.normOf(operand{x, d, shape}, c.float("p"))
		}},
		"aten.matrix_exp": {schema: "self", lower: matrixExponential}, "aten.linalg_matrix_exp": {schema: "self", lower: matrixExponential},
		"aten.linalg_householder_product": {schema: "input, tau", lower: householder},
	}
}

// allDistances is the distance of every row of the one to every row of the
// other.
func allDistances(c *call) {
	d := c.out(0).DType
	x, y := c.number("x1", d), c.number("x2", d)
	if len(x.shape) < 2 || len(y.shape) < 2 {
		panic(refusal{what: fmt.Sprintf("distances of shapes %v and %v", x.shape, y.shape)})
	}
	rows, columns := len(x.shape)-2, len(y.shape)-2
	diff := c.op("Sub", nil, c.unsqueeze(x.name, rows+1), c.unsqueeze(y.name, columns))
	shape := append(slices.Clone(c.out(0).Shape), x.shape[len(x.shape)-1])
	c.args["dim"] = int64(-1)
	c.normOf(operand{diff, d, shape}, c.float("p"))
}

// squarings is how often the exponential of a matrix is squared: exp(A) =
// exp(A/2^s)^(2^s). With Taylor's series up to exponentTerms this is exact to
// the precision of float32 for norms of A up to 100.
const (
	squarings     = 6
	exponentTerms = 14
)

// matrixExponential is exp(A) by scaling, Taylor's series in Horner's form, and
// squaring.
func matrixExponential(c *call) {
	x := c.in("self")
	rank := len(x.shape)
	if rank < 2 || !x.shape[rank-1].Equal(x.shape[rank-2]) {
		panic(refusal{what: fmt.Sprintf("the exponential of shape %v", x.shape)})
	}
	if c.data[x.name] {
		panic(refusal{what: "the exponential of a matrix that depends on the input, whose precision is not known"})
	}
	n := fixed(x.shape[rank-1:], "the exponential")[0]
	if n < 1 || n > 1<<11 {
		panic(refusal{what: fmt.Sprintf("the exponential of a matrix of %d rows", n)})
	}
	unit := make([]float64, n*n)
	for i := range n {
		unit[i*n+i] = 1
	}
	one := c.reals(x.dtype, []int{n, n}, unit)
	small := c.op("Mul", nil, x.name, c.scalar(x.dtype, math.Ldexp(1, -squarings)))
	y := c.op("Add", nil, one, c.op("Mul", nil, small, c.scalar(x.dtype, 1/float64(exponentTerms))))
	for k := exponentTerms - 1; k >= 1; k-- {
		step := small
		if k > 1 {
			step = c.op("Mul", nil, small, c.scalar(x.dtype, 1/float64(k)))
		}
		y = c.op("Add", nil, one, c.op("MatMul", nil, step, y))
	}
	for range squarings {
		y = c.op("MatMul", nil, y, y)
	}
	c.ret(y)
}

// reflectionsMax is how many reflections are written out.
const reflectionsMax = 256

// householder is the product of the reflections 1 - tau v v', whose vectors are
// the columns of a matrix below its diagonal, on which they are 1.
func householder(c *call) {
	x, tau := c.in("input"), c.in("tau")
	if len(x.shape) != 2 || len(tau.shape) != 1 {
		panic(refusal{what: fmt.Sprintf("reflections of shape %v", x.shape)})
	}
	size := fixed(x.shape, "reflections")
	m, n := size[0], size[1]
	k := fixed(tau.shape, "reflections")[0]
	if n < 1 || m < n || k > n || m > elementsMax/n || k > reflectionsMax {
		panic(refusal{what: fmt.Sprintf("%d reflections of shape %v", k, x.shape)})
	}
	unit := make([]float64, m*n)
	for i := range n {
		unit[i*n+i] = 1
	}
	one := c.reals(x.dtype, size, unit)
	vectors := operand{c.op("Add", nil, c.triangleOf(x, -1, false), one), x.dtype, x.shape}
	y := one
	for i := k - 1; i >= 0; i-- {
		v := c.slice(vectors, 1, graph.Size(i), graph.Size(i+1), 1)
		t := c.op("Gather", attrs{"axis": num(0)}, tau.name, c.index(i))
		along := c.op("MatMul", nil, c.transpose(v, []int{1, 0}), y)
		y = c.op("Sub", nil, y, c.op("MatMul", nil, c.op("Mul", nil, v, t), along))
	}
	c.ret(y)
}

func inferDistances() map[string]inferRule {
	return map[string]inferRule{
		"cdist _cdist_forward _euclidean_dist": func(c *call) []*Value {
			x, y := c.tensor("x1"), c.tensor("x2")
			if len(x.Shape) < 2 || len(y.Shape) < 2 || !x.Shape[len(x.Shape)-1].Equal(y.Shape[len(y.Shape)-1]) {
				panic(refusal{what: fmt.Sprintf("distances of shapes %v and %v", x.Shape, y.Shape)})
			}
			shape := fitting(x.Shape[:len(x.Shape)-2], y.Shape[:len(y.Shape)-2])
			return made1(c.promoted("x1", "x2"), append(shape, x.Shape[len(x.Shape)-2], y.Shape[len(y.Shape)-2]))
		},
		"pairwise_distance": func(c *call) []*Value {
			shape, _ := c.joined("x1", "x2")
			return made1(c.promoted("x1", "x2"), reducedShape(&Value{Shape: shape}, []int{len(shape) - 1}, c.bool("keepdim")))
		},
		"matrix_exp linalg_matrix_exp linalg_householder_product": likeFirst,
	}
}

// distanceBatch: the axes before the last two are those of matrices.
func distanceBatch(f *freer, n *Node) {
	all := tensors(n)
	if len(all) != 2 {
		f.fail("it has %d operands", len(all))
	}
	a, b := f.of(all[0]), f.of(all[1])
	if len(a) < 2 || len(b) < 2 || f.kind(a[len(a)-1]) == batchSize || f.kind(b[len(b)-1]) == batchSize {
		f.fail("it mixes samples")
	}
	f.set(n, append(f.broadcast(a[:len(a)-2], b[:len(b)-2]), a[len(a)-2], b[len(b)-2]))
}

// pairwiseBatch reduces the last axis.
func pairwiseBatch(f *freer, n *Node) {
	all := tensors(n)
	if len(all) != 2 {
		f.fail("it has %d operands", len(all))
	}
	shape := f.broadcast(f.of(all[0]), f.of(all[1]))
	last := len(shape) - 1
	if last < 0 || f.kind(shape[last]) == batchSize {
		f.fail("it mixes samples")
	}
	if keep, _ := f.arg(n, "keepdim").(bool); keep {
		shape[last] = extent{n: 1}
	} else {
		shape = shape[:last]
	}
	f.set(n, shape)
}

// cosineBatch compares two tensors along an axis inside the samples.
func cosineBatch(f *freer, n *Node) {
	all := tensors(n)
	if len(all) != 2 {
		f.fail("it has %d operands", len(all))
	}
	shape := f.broadcast(f.of(all[0]), f.of(all[1]))
	at := f.axisOf(n, "dim", len(shape), 1)
	if f.kind(shape[at]) == batchSize {
		f.fail("it mixes samples")
	}
	f.set(n, slices.Delete(shape, at, at+1))
}
