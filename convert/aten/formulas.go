package aten

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// composite is an operator that is others written out, with its arguments as PyTorch
// declares them. What it makes follows from the others.
type composite struct {
	schema string
	of     func(x *expander, c *call) []*Value
}

// one is a composite with one result.
func one(schema string, of func(x *expander, c *call) *Value) composite {
	return composite{schema, func(x *expander, c *call) []*Value { return []*Value{of(x, c)} }}
}

const two = "self, other"

// composites are operators without a row of their own, by their names.
func composites() map[string]composite {
	all := map[string]composite{}
	maps.Copy(all, elementComposites())
	maps.Copy(all, matrixComposites())
	maps.Copy(all, orderComposites())
	for other, name := range map[string]string{"special_xlogy": "xlogy", "special_exp2": "exp2", "special_logit": "logit", "special_sinc": "sinc"} {
		all[other] = all[name]
	}
	return all
}

// elementComposites are functions of elements.
func elementComposites() map[string]composite {
	return map[string]composite{
		"hypot": one(two, func(x *expander, c *call) *Value {
			return x.call("sqrt", x.call("add", x.call("square", c.args["self"]), x.call("square", c.args["other"])))
		}),
		"logaddexp": one(two, func(x *expander, c *call) *Value {
			a, b := c.args["self"], c.args["other"]
			far := x.call("neg", x.call("abs", x.call("sub", a, b)))
			return x.call("add", x.call("maximum", a, b), x.call("log1p", x.call("exp", far)))
		}),
		"xlogy": one(two, func(x *expander, c *call) *Value {
			a := c.tensor("self")
			return x.call("where", x.call("eq", a, 0), 0.0, x.call("mul", a, x.call("log", c.tensor("other"))))
		}),
		"sinc": one("self", func(x *expander, c *call) *Value {
			y := x.call("mul", c.tensor("self"), math.Pi)
			return x.call("where", x.call("eq", y, 0), 1.0, x.call("div", x.call("sin", y), y))
		}),
		"logit": one("self, eps=None", func(x *expander, c *call) *Value {
			y := c.tensor("self")
			if c.has("eps") {
				y = x.call("clamp", y, c.float("eps"), 1-c.float("eps"))
			}
			return x.call("log", x.call("div", y, x.call("rsub", y, 1)))
		}),
		"nan_to_num": one("self, nan=None, posinf=None, neginf=None", numbersOnly),
		"isfinite": one("self", func(x *expander, c *call) *Value {
			return x.call("lt", x.call("abs", c.tensor("self")), math.Inf(1))
		}),
		"isclose": one("self, other, rtol=1e-5, atol=1e-8, equal_nan=False", func(x *expander, c *call) *Value {
			b := c.tensor("other")
			bound := x.call("add", x.call("mul", x.call("abs", b), c.float("rtol")), c.float("atol"))
			return x.call("le", x.call("abs", x.call("sub", c.args["self"], b)), bound)
		}),
		"bitwise_left_shift":  one(two, func(x *expander, c *call) *Value { return x.call("mul", c.tensor("self"), shift(c)) }),
		"bitwise_right_shift": one(two, func(x *expander, c *call) *Value { return x.call("floor_divide", c.tensor("self"), shift(c)) }),
		"exp2":                one("self", func(x *expander, c *call) *Value { return x.call("exp", x.call("mul", c.tensor("self"), math.Ln2)) }),
		"deg2rad":             one("self", func(x *expander, c *call) *Value { return x.call("mul", c.tensor("self"), math.Pi/180) }),
		"rad2deg":             one("self", func(x *expander, c *call) *Value { return x.call("mul", c.tensor("self"), 180/math.Pi) }),
		"signbit":             one("self", func(x *expander, c *call) *Value { return x.call("lt", c.tensor("self"), 0) }),
	}
}

// orderComposites put elements elsewhere, or make fewer of them.
func orderComposites() map[string]composite {
	return map[string]composite{
		"fliplr":       one("self", func(x *expander, c *call) *Value { return x.call("flip", c.tensor("self"), []int{1}) }),
		"flipud":       one("self", func(x *expander, c *call) *Value { return x.call("flip", c.tensor("self"), []int{0}) }),
		"outer":        one("self, vec2", outer),
		"ger":          one("self, vec2", outer),
		"linalg_cross": one("self, other, dim=-1", cross),
		"cross":        one("self, other, dim=None", cross),
		"diff": one("self, n=1, dim=-1, prepend=None, append=None", func(x *expander, c *call) *Value {
			y := c.tensor("self")
			at := c.place("dim", y.Shape)
			if c.has("prepend") || c.has("append") || c.int("n") > 64 {
				panic(refusal{what: "differences with more elements"})
			}
			for range c.int("n") {
				y = x.call("sub", x.call("slice", y, at, 1, math.MaxInt64), x.call("slice", y, at, 0, -1))
			}
			return y
		}),
		"searchsorted": one("sorted_sequence, self, out_int32=False, right=False, side=None, sorter=None", func(x *expander, c *call) *Value {
			v, ok := c.args["self"].(*Value)
			if !ok || len(c.tensor("sorted_sequence").Shape) != 1 || c.has("sorter") {
				panic(refusal{what: "places of a number, or in one sequence for each row"})
			}
			return x.call("bucketize", v, c.tensor("sorted_sequence"), c.bool("out_int32"), c.bool("right") || c.args["side"] == "right")
		}),
		"take_along_dim": one("self, indices, dim=None", func(x *expander, c *call) *Value {
			if !c.has("dim") {
				return x.call("gather", x.call("reshape", c.tensor("self"), []int{-1}), 0, x.call("reshape", c.tensor("indices"), []int{-1}))
			}
			return x.call("gather", c.tensor("self"), c.int("dim"), c.tensor("indices"))
		}),
		"count_nonzero": one("self, dim=None", func(x *expander, c *call) *Value {
			return x.call("sum", x.call("ne", c.tensor("self"), 0), c.axes("dim", len(c.tensor("self").Shape)))
		}),
		"nansum": one("self, dim=None, keepdim=False", func(x *expander, c *call) *Value {
			y := c.tensor("self")
			y = x.call("where", x.call("isnan", y), 0.0, y)
			return x.call("sum", y, c.axes("dim", len(y.Shape)), c.bool("keepdim"))
		}),
		"aminmax": {"self, dim=None, keepdim=False", func(x *expander, c *call) []*Value {
			y := c.tensor("self")
			axes := c.axes("dim", len(y.Shape))
			return []*Value{x.call("amin", y, axes, c.bool("keepdim")), x.call("amax", y, axes, c.bool("keepdim"))}
		}},
		"mse_loss": one("self, target, reduction=1", func(x *expander, c *call) *Value {
			return x.reduced(c, x.call("square", x.call("sub", c.tensor("self"), c.tensor("target"))))
		}),
		"l1_loss": one("self, target, reduction=1", func(x *expander, c *call) *Value {
			return x.reduced(c, x.call("abs", x.call("sub", c.tensor("self"), c.tensor("target"))))
		}),
		"dist": one("self, other, p=2", func(x *expander, c *call) *Value {
			return x.call("linalg_vector_norm", x.call("sub", c.tensor("self"), c.tensor("other")), c.float("p"))
		}),
		"linalg_norm":        one("self, ord=None, dim=None, keepdim=False, dtype=None", vectorNorm),
		"linalg_matrix_norm": one("self, ord=fro, dim=last2, keepdim=False, dtype=None", vectorNorm),
		"linalg_vecdot": one("x, y, dim=-1", func(x *expander, c *call) *Value {
			return x.call("sum", x.call("mul", c.tensor("x"), c.tensor("y")), []int{c.int("dim")})
		}),
	}
}

// matrixComposites are products, and what joins tensors.
func matrixComposites() map[string]composite {
	return map[string]composite{
		"addmv": one("self, mat, vec, beta=1, alpha=1", func(x *expander, c *call) *Value {
			return x.call("add", x.call("mul", c.tensor("self"), c.args["beta"]), x.call("mul", x.call("mv", c.tensor("mat"), c.tensor("vec")), c.args["alpha"]))
		}),
		"vdot":      one(two, func(x *expander, c *call) *Value { return x.call("dot", c.tensor("self"), c.tensor("other")) }),
		"tensordot": one("self, other, dims_self, dims_other", tensordot),
		"inner": one(two, func(x *expander, c *call) *Value {
			a, b := c.tensor("self"), c.tensor("other")
			c.args["dims_self"], c.args["dims_other"] = int64(len(a.Shape)-1), int64(len(b.Shape)-1)
			return tensordot(x, c)
		}),
		"chain_matmul":     one("matrices", chain),
		"linalg_multi_dot": one("tensors", chain),
		"hstack": one("tensors", func(x *expander, c *call) *Value {
			list := c.tensors("tensors")
			return x.call("cat", list, min(len(list[0].Shape)-1, 1))
		}),
		"vstack":       one("tensors", func(x *expander, c *call) *Value { return x.stackVectors(c, 0) }),
		"column_stack": one("tensors", func(x *expander, c *call) *Value { return x.stackVectors(c, 1) }),
		"msort":        one("self", func(x *expander, c *call) *Value { return x.calls("sort", c.tensor("self"), 0)[0] }),
		"kthvalue": {"self, k, dim=-1, keepdim=False", func(x *expander, c *call) []*Value {
			at := c.place("dim", c.tensor("self").Shape)
			out := slices.Clone(x.calls("sort", c.tensor("self"), at))
			for i, v := range out {
				if out[i] = x.call("slice", v, at, c.int("k")-1, c.int("k")); !c.bool("keepdim") {
					out[i] = x.call("squeeze.dim", out[i], at)
				}
			}
			return out
		}},
	}
}

// shift returns the number that a shift by a number of bits multiplies by.
func shift(c *call) int64 {
	n, ok := c.args["other"].(int64)
	if !ok || n < 0 || n > int64(8*c.tensor("self").DType.Size()-2) {
		panic(refusal{what: "a shift by a tensor, or by many bits"})
	}
	return 1 << n
}

// numbersOnly puts numbers into the place of what is none.
func numbersOnly(x *expander, c *call) *Value {
	y := c.tensor("self")
	if !y.DType.IsFloat() {
		return x.call("clone", y)
	}
	most := math.MaxFloat32
	switch y.DType {
	case model.Float64:
		most = math.MaxFloat64
	case model.Float16:
		most = 65504
	case model.BFloat16:
		most = 0x1.FEp127
	}
	or := func(name string, usual float64) float64 {
		if c.has(name) {
			return c.float(name)
		}
		return usual
	}
	z := x.call("where", x.call("isnan", y), or("nan", 0), y)
	z = x.call("where", x.call("eq", y, math.Inf(1)), or("posinf", most), z)
	return x.call("where", x.call("eq", y, math.Inf(-1)), or("neginf", -most), z)
}

func outer(x *expander, c *call) *Value {
	return x.call("mul", x.call("unsqueeze", c.tensor("self"), 1), c.tensor("vec2"))
}

// cross is the product of vectors of three elements: element i is a[i+1] b[i+2] - a[i+2] b[i+1].
func cross(x *expander, c *call) *Value {
	a, b := c.tensor("self"), c.tensor("other")
	at := slices.IndexFunc(a.Shape, func(d graph.Dim) bool { return d.Is(3) })
	if c.has("dim") {
		at = c.place("dim", a.Shape)
	}
	if at < 0 || !a.Shape[at].Is(3) || !b.Shape.Equal(a.Shape) {
		panic(refusal{what: fmt.Sprintf("vectors of shapes %v and %v", a.Shape, b.Shape)})
	}
	turned := func(v *Value, by int) *Value { return x.call("roll", v, []int{by}, []int{at}) }
	return x.call("sub", x.call("mul", turned(a, -1), turned(b, -2)), x.call("mul", turned(a, -2), turned(b, -1)))
}

// reduced is a loss: all of its elements, their mean or their sum.
func (x *expander) reduced(c *call, v *Value) *Value {
	switch c.int("reduction") {
	case 0:
		return v
	case 1:
		return x.call("mean", v)
	}
	return x.call("sum", v)
}

// vectorNorm is a norm of vectors, or that of Frobenius of matrices.
func vectorNorm(x *expander, c *call) *Value {
	v := c.tensor("self")
	axes := upTo(len(v.Shape))
	if c.args["dim"] == "last2" {
		axes = axes[max(len(axes)-2, 0):]
	} else if c.has("dim") {
		axes = c.axes("dim", len(v.Shape))
	}
	order := 2.0
	if text, isText := c.args["ord"].(string); isText && text != "fro" || c.has("ord") && !isText && len(axes) != 1 {
		panic(refusal{what: "a norm of matrices other than that of Frobenius"})
	} else if c.has("ord") && !isText {
		order = c.float("ord")
	}
	return x.call("linalg_vector_norm", v, order, axes, c.bool("keepdim"))
}

// tensordot sums products over pairs of axes.
func tensordot(x *expander, c *call) *Value {
	a, b := c.tensor("self"), c.tensor("other")
	over, with := c.axes("dims_self", len(a.Shape)), c.axes("dims_other", len(b.Shape))
	if len(over) != len(with) || len(a.Shape)+len(b.Shape) > 24 {
		panic(refusal{what: fmt.Sprintf("products over axes %v and %v", over, with)})
	}
	letter := func(i int) string { return string(rune('a' + i)) }
	var left, right, out strings.Builder
	for i := range a.Shape {
		left.WriteString(letter(i))
		if !slices.Contains(over, i) {
			out.WriteString(letter(i))
		}
	}
	for i := range b.Shape {
		if j := slices.Index(with, i); j >= 0 {
			right.WriteString(letter(over[j]))
			continue
		}
		right.WriteString(letter(len(a.Shape) + i))
		out.WriteString(letter(len(a.Shape) + i))
	}
	return x.call("einsum", left.String()+","+right.String()+"->"+out.String(), []*Value{a, b})
}

func chain(x *expander, c *call) *Value {
	list := c.tensors(c.rowParams()[0])
	y := list[0]
	for _, v := range list[1:] {
		y = x.call("matmul", y, v)
	}
	return y
}

// inferComposite finds what a composite makes by writing it out.
func inferComposite(of func(x *expander, c *call) []*Value) inferRule {
	return func(c *call) []*Value {
		x := &expander{program: &Program{}, node: c.node, parts: map[*Value]pair{}, masked: map[*Value]atMask{}, known: map[string]*Value{}}
		var out []*Value
		for _, v := range of(x, c) {
			out = append(out, &Value{DType: v.DType, Shape: slices.Clone(v.Shape)})
		}
		return out
	}
}

// stackVectors joins tensors along an axis, 0 or 1, which vectors get first.
func (x *expander) stackVectors(c *call, axis int) *Value {
	var list []*Value
	for _, v := range c.tensors("tensors") {
		if len(v.Shape) == 1 {
			v = x.call("unsqueeze", v, axis)
		}
		list = append(list, v)
	}
	return x.call("cat", list, axis)
}
