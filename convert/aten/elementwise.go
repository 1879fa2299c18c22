package aten

import (
	"math"

	"lethe/graph"
	"lethe/model"
)

// unary is an operator of one tensor that ONNX has too. Integers become what
// the output is first: the root of an integer is a float.
//
//go:noinline
func unary(op string) row {
	return row{schema: "self", lower: func(c *call) {
		x := c.in("self")
		c.ret(c.op(op, nil, c.cast(x.name, x.dtype, c.out(0).DType)))
	}}
}

// formula is an operator of one tensor that several nodes make up. k returns a
// constant of the tensor's type.
//
//go:noinline
func formula(schema string, f func(c *call, x string, k func(float64) string) string) row {
	return row{schema: schema, lower: func(c *call) {
		d := c.out(0).DType
		x := c.number("self", d)
		c.ret(f(c, x.name, func(v float64) string { return c.scalar(d, v) }))
	}}
}

// leakyRandom is an activation whose slope is drawn in training; in evaluation it is
// the mean of the bounds.
//
//go:noinline
func leakyRandom(schema string) row {
	return formula(schema, func(c *call, x string, _ func(float64) string) string {
		if training, _ := c.args["training"].(bool); training && !c.conv.opts.ForceEval {
			panic(trainingMode("an activation with a slope that is drawn"))
		}
		return c.op("LeakyRelu", attrs{"alpha": real((c.float("lower") + c.float("upper")) / 2)}, x)
	})
}

// same is an operator that does nothing to its tensor: the output is the same
// memory.
//
//go:noinline
func same(schema string) row {
	first := parseSchema(schema)[0].name
	return row{schema: schema, lower: func(c *call) { c.alias(first) }}
}

// elementwiseRows are functions that ONNX has.
func elementwiseRows() map[string]row {
	return map[string]row{
		"aten.relu": unary("Relu"), "aten.sigmoid": unary("Sigmoid"), "aten.tanh": unary("Tanh"), "aten.exp": unary("Exp"),
		"aten.log": unary("Log"), "aten.sqrt": unary("Sqrt"), "aten.neg": unary("Neg"), "aten.abs": unary("Abs"),
		"aten.floor": unary("Floor"), "aten.ceil": unary("Ceil"), "aten.round": unary("Round"), "aten.erf": unary("Erf"),
		"aten.sin": unary("Sin"), "aten.cos": unary("Cos"), "aten.tan": unary("Tan"), "aten.asin": unary("Asin"), "aten.acos": unary("Acos"),
		"aten.atan": unary("Atan"), "aten.sinh": unary("Sinh"), "aten.cosh": unary("Cosh"), "aten.asinh": unary("Asinh"),
		"aten.acosh": unary("Acosh"), "aten.atanh": unary("Atanh"), "aten.sign": unary("Sign"), "aten.reciprocal": unary("Reciprocal"),
	}
}

// formulaRows are functions that ONNX writes as several of its operators.
func formulaRows() map[string]row {
	return map[string]row{
		"aten.rsqrt": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Reciprocal", nil, c.op("Sqrt", nil, x))
		}),
		"aten.square": formula("self", func(c *call, x string, k func(float64) string) string { return c.op("Mul", nil, x, x) }),
		"aten.log2": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Div", nil, c.op("Log", nil, x), k(math.Ln2))
		}),
		"aten.log10": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Div", nil, c.op("Log", nil, x), k(math.Ln10))
		}),
		"aten.log1p": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Log", nil, c.op("Add", nil, x, k(1)))
		}),
		"aten.expm1": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Sub", nil, c.op("Exp", nil, x), k(1))
		}),
		"aten.erfc": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Sub", nil, k(1), c.op("Erf", nil, x))
		}),
		"aten.trunc": formula("self", func(c *call, x string, k func(float64) string) string { return c.truncate(x) }),
		"aten.fix":   formula("self", func(c *call, x string, k func(float64) string) string { return c.truncate(x) }),
		"aten.frac": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Sub", nil, x, c.truncate(x))
		}),
		"aten.silu": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Mul", nil, x, c.op("Sigmoid", nil, x))
		}),
		"aten.mish": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Mul", nil, x, c.op("Tanh", nil, c.op("Softplus", nil, x)))
		}),
		"aten.log_sigmoid": formula("self", func(c *call, x string, k func(float64) string) string {
			return c.op("Neg", nil, c.op("Softplus", nil, c.op("Neg", nil, x)))
		}),
		"aten.softsign": unary("Softsign"),
	}
}

// activationRows are activations, likewise.
func activationRows() map[string]row {
	return map[string]row{
		"aten.gelu": formula("self, approximate=none", func(c *call, x string, k func(float64) string) string {
			kind := c.str("approximate")
			if c.opset >= 20 {
				return c.op("Gelu", attrs{"approximate": text(kind)}, x)
			}
			if kind == "tanh" {
				cube := c.op("Mul", nil, c.op("Mul", nil, c.op("Mul", nil, x, x), x), k(0.044715))
				t := c.op("Tanh", nil, c.op("Mul", nil, c.op("Add", nil, x, cube), k(math.Sqrt(2/math.Pi))))
				return c.op("Mul", nil, c.op("Mul", nil, x, k(0.5)), c.op("Add", nil, t, k(1)))
			}
			if kind != "none" {
				panic(refusal{what: "approximate=" + kind})
			}
			e := c.op("Erf", nil, c.op("Div", nil, x, k(math.Sqrt2)))
			return c.op("Mul", nil, c.op("Mul", nil, x, k(0.5)), c.op("Add", nil, e, k(1)))
		}),
		"aten.hardsigmoid": formula("self", func(c *call, x string, k func(float64) string) string { return c.hardSigmoid(x) }),
		"aten.hardswish": formula("self", func(c *call, x string, k func(float64) string) string {
			if c.opset >= 14 {
				return c.op("HardSwish", nil, x)
			}
			return c.op("Mul", nil, x, c.hardSigmoid(x))
		}),
		"aten.relu6": formula("self", func(c *call, x string, k func(float64) string) string { return c.op("Clip", nil, x, k(0), k(6)) }),
		"aten.hardtanh": formula("self, min_val=-1, max_val=1", func(c *call, x string, k func(float64) string) string {
			return c.op("Clip", nil, x, k(c.float("min_val")), k(c.float("max_val")))
		}),
		"aten.leaky_relu": formula("self, negative_slope=0.01", func(c *call, x string, k func(float64) string) string {
			return c.op("LeakyRelu", attrs{"alpha": real(c.float("negative_slope"))}, x)
		}),
		"aten.rrelu":                       leakyRandom("self, lower=0.125, upper=0.3333333333333333, training=False"),
		"aten.rrelu_with_noise":            leakyRandom("self, noise, lower=0.125, upper=0.3333333333333333, training=False"),
		"aten.rrelu_with_noise_functional": leakyRandom("self, noise, lower=0.125, upper=0.3333333333333333, training=False"),
		"aten.elu": formula("self, alpha=1, scale=1, input_scale=1", func(c *call, x string, k func(float64) string) string {
			alpha, scale, inner := c.float("alpha"), c.float("scale"), c.float("input_scale")
			if inner == 1 {
				if y := c.op("Elu", attrs{"alpha": real(alpha)}, x); scale == 1 {
					return y
				} else {
					return c.op("Mul", nil, y, k(scale))
				}
			}
			low := c.op("Mul", nil, c.op("Sub", nil, c.op("Exp", nil, c.op("Mul", nil, c.op("Min", nil, x, k(0)), k(inner))), k(1)), k(alpha*scale))
			return c.op("Add", nil, low, c.op("Mul", nil, c.op("Relu", nil, x), k(scale)))
		}),
		"aten.celu": formula("self, alpha=1", func(c *call, x string, k func(float64) string) string {
			return c.op("Celu", attrs{"alpha": real(c.float("alpha"))}, x)
		}),
		"aten.selu": formula("self", func(c *call, x string, k func(float64) string) string { return c.op("Selu", nil, x) }),
		"aten.softplus": formula("self, beta=1, threshold=20", func(c *call, x string, k func(float64) string) string {
			beta := c.float("beta")
			scaled := x
			if beta != 1 {
				scaled = c.op("Mul", nil, x, k(beta))
			}
			y := c.op("Softplus", nil, scaled)
			if beta != 1 {
				y = c.op("Div", nil, y, k(beta))
			}
			return c.op("Where", nil, c.op("Greater", nil, scaled, k(c.float("threshold"))), x, y)
		}),
		"aten.hardshrink": formula("self, lambd=0.5", func(c *call, x string, k func(float64) string) string {
			return c.op("Shrink", attrs{"lambd": real(c.float("lambd"))}, x)
		}),
		"aten.softshrink": formula("self, lambd=0.5", func(c *call, x string, k func(float64) string) string {
			return c.op("Shrink", attrs{"lambd": real(c.float("lambd")), "bias": real(c.float("lambd"))}, x)
		}),
		"aten.threshold": formula("self, threshold, value", func(c *call, x string, k func(float64) string) string {
			return c.op("Where", nil, c.op("Greater", nil, x, k(c.float("threshold"))), x, k(c.float("value")))
		}),
	}
}

// limitRows are limits, gates and truth values.
func limitRows() map[string]row {
	return map[string]row{
		"aten.clamp":     {schema: "self, min=None, max=None", lower: func(c *call) { c.clamp() }},
		"aten.clamp_min": {schema: "self, min", lower: func(c *call) { c.clamp() }},
		"aten.clamp_max": {schema: "self, max", lower: func(c *call) { c.clamp() }},
		"aten.glu": {schema: "self, dim=-1", lower: func(c *call) {
			x := c.in("self")
			at := c.axis("dim", len(x.shape))
			half := c.out(0).Shape[at]
			a, b := c.slice(x, at, graph.Size(0), half, 1), c.slice(x, at, half, x.shape[at], 1)
			c.ret(c.op("Mul", nil, a, c.op("Sigmoid", nil, b)))
		}},
		"aten.prelu": {schema: "self, weight", lower: func(c *call) { c.prelu() }},
		"aten._prelu_kernel": {schema: "self, weight", lower: func(c *call) {
			c.ret(c.op("PRelu", nil, c.in("self").name, c.in("weight").name))
		}},
		"aten.logical_not": {schema: "self", lower: func(c *call) {
			x := c.in("self")
			c.ret(c.op("Not", nil, c.cast(x.name, x.dtype, model.Bool)))
		}},
		"aten.bitwise_not": {schema: "self", lower: func(c *call) {
			if x := c.in("self"); x.dtype == model.Bool {
				c.ret(c.op("Not", nil, x.name))
			} else {
				c.since(18, "BitwiseNot")
				c.ret(c.op("BitwiseNot", nil, x.name))
			}
		}},
		"aten.isnan": {schema: "self", lower: func(c *call) { c.ret(c.op("IsNaN", nil, c.in("self").name)) }},
		"aten.isinf": {schema: "self", lower: func(c *call) { c.ret(c.op("IsInf", nil, c.in("self").name)) }},
	}
}

// sameRows leave the elements as they are in evaluation, or convert their type.
func sameRows() map[string]row {
	return map[string]row{
		"aten.dropout": dropoutRow("input, p, train"), "aten.feature_dropout": dropoutRow("input, p, train"),
		"aten.alpha_dropout": dropoutRow("input, p, train"), "aten.feature_alpha_dropout": dropoutRow("input, p, train"),
		"aten.native_dropout": dropoutRow("input, p, train"),
		"aten.alias":          same("self"), "aten.detach": same("self"), "aten.lift_fresh_copy": copied("self"), "aten.lift": copied("self"),
		"aten.detach_": same("self"), "aten.clone": copied("self"), "aten.alias_copy": copied("self"), "aten.detach_copy": copied("self"),
		"aten.positive": same("self"), "aten.cpu": same("self"), "aten.cuda": same("self"), "aten.data": same("self"), "aten.requires_grad_": same("self"),
		"aten.contiguous": {schema: "self", lower: func(c *call) {
			if x := c.binding("self"); !x.value.Scattered {
				c.alias("self")
			} else {
				c.ret(x.current().name)
			}
		}},
		"aten.to":       convertRow("self, dtype=None"),
		"aten.to.other": convertRow("self, other"),
		"aten._to_copy": convertRow("self, dtype=None"), "aten.type_as": convertRow("self, other"),
		"aten.float": convertRow("self"), "aten.double": convertRow("self"), "aten.half": convertRow("self"), "aten.bfloat16": convertRow("self"),
		"aten.bool": convertRow("self"), "aten.long": convertRow("self"), "aten.int": convertRow("self"),

		"aten._assert_tensor_metadata": nothing, "aten._assert_scalar": nothing, "aten._assert_async": nothing,
		"aten.sym_constrain_range": nothing, "aten.sym_constrain_range_for_size": nothing,
	}
}

// nothing is a row of operators that only check. What they check is not read.
var nothing = row{}

// copied is an operator that copies its tensor: other memory, the same value.
//
//go:noinline
func copied(schema string) row {
	return row{schema: schema, lower: func(c *call) { c.ret(c.in("self").name) }}
}

// convertRow is a row of operators that change the type, which the output tells.
//
//go:noinline
func convertRow(schema string) row {
	return row{schema: schema, lower: func(c *call) {
		x := c.in("self")
		if x.dtype == c.out(0).DType && c.node.Op != "aten._to_copy" {
			c.alias("self")
			return
		}
		c.ret(c.cast(x.name, x.dtype, c.out(0).DType))
	}}
}

//go:noinline
func dropoutRow(schema string) row {
	return row{schema: schema, lower: func(c *call) {
		if on, _ := c.args["train"].(bool); on && c.float("p") > 0 && !c.conv.opts.ForceEval {
			panic(trainingMode("dropout"))
		}
		if c.node.Op == "aten.native_dropout" {
			c.ret(c.in("input").name)
			return
		}
		c.alias("input")
	}}
}

func trainingMode(what string) refusal {
	return refusal{what: what + " in training mode: the network was exported or saved without model.eval()", advice: "call model.eval() before torch.export.export or torch.jit.save, or take what evaluation does with pt2onnx --force-eval"}
}

// since refuses opsets that do not have an operator yet, or takes that which has.
func (c *call) since(opset int, op string) {
	if c.opset < opset {
		if c.conv.free {
			panic(later(opset))
		}
		panic(refusal{what: op + ", which ONNX has since opset " + itoa(opset), advice: "take a later --opset"})
	}
}

func (c *call) truncate(x string) string {
	return c.op("Mul", nil, c.op("Sign", nil, x), c.op("Floor", nil, c.op("Abs", nil, x)))
}

func (c *call) hardSigmoid(x string) string {
	return c.op("HardSigmoid", attrs{"alpha": real(1.0 / 6), "beta": real(0.5)}, x)
}

func (c *call) clamp() {
	d := c.out(0).DType
	x := c.number("self", d)
	bound := func(name string) operand {
		if c.args[name] == nil {
			return operand{}
		}
		return c.number(name, d)
	}
	low, high := bound("min"), bound("max")
	if len(low.shape) == 0 && len(high.shape) == 0 {
		c.ret(c.op("Clip", nil, x.name, low.name, high.name))
		return
	}
	y := x.name
	if low.name != "" {
		y = c.op("Max", nil, y, low.name)
	}
	if high.name != "" {
		y = c.op("Min", nil, y, high.name)
	}
	c.ret(y)
}

// prelu has one slope per channel, which is axis 1; ONNX aligns the slope with
// the last axes.
func (c *call) prelu() {
	x, w := c.in("self"), c.in("weight")
	slope := w.name
	if len(x.shape) > 2 && !w.shape.Elements().Is(1) {
		shape := graph.Shape{w.shape.Elements()}
		for range len(x.shape) - 2 {
			shape = append(shape, graph.Size(1))
		}
		slope = c.reshape(w, shape)
	}
	c.ret(c.op("PRelu", nil, x.name, slope))
}
