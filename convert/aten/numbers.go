package aten

import (
	"fmt"

	"strconv"

	"lethe/graph"
	"lethe/model"
)

func itoa(n int) string { return strconv.Itoa(n) }

// arithmetic is an operator of two numbers. The program tells the type of the
// result, and ONNX wants both operands in it.
//
//go:noinline
func arithmetic(op string) row {
	return row{schema: "self, other", lower: func(c *call) {
		d := c.out(0).DType
		c.ret(c.op(op, nil, c.number("self", d).name, c.number("other", d).name))
	}}
}

// additive is add or sub, in which alpha multiplies what is added or taken away;
// rsub takes self away from other.
//
//go:noinline
func additive(op string, reversed bool) row {
	return row{schema: "self, other, alpha=1", lower: func(c *call) {
		d := c.out(0).DType
		x, y := c.number("self", d).name, c.number("other", d).name
		if reversed {
			x, y = y, x
		}
		if d == model.Bool && op == "Add" {
			c.ret(c.op("Or", nil, x, y))
			return
		}
		if alpha := c.args["alpha"]; alpha != int64(1) && alpha != 1.0 {
			y = c.op("Mul", nil, y, c.number("alpha", d).name)
		}
		c.ret(c.op(op, nil, x, y))
	}}
}

// comparison is an operator that compares in the common type of its operands.
//
//go:noinline
func comparison(op string, negated bool) row {
	return row{schema: "self, other", lower: func(c *call) {
		d := c.promoted("self", "other")
		x, y := c.number("self", d).name, c.number("other", d).name
		if d == model.Bool && op != "Equal" {
			x, y = c.cast(x, d, model.Int32), c.cast(y, d, model.Int32)
		}
		r := c.op(op, nil, x, y)
		if negated {
			r = c.op("Not", nil, r)
		}
		if out := c.out(0).DType; out != model.Bool {
			r = c.cast(r, model.Bool, out)
		}
		c.ret(r)
	}}
}

// logical is an operator of truth values.
//
//go:noinline
func logical(op string) row {
	return row{schema: "self, other", lower: func(c *call) {
		c.ret(c.op(op, nil, c.number("self", model.Bool).name, c.number("other", model.Bool).name))
	}}
}

// bitwise is an operator of bits, which for truth values is a logical one.
//
//go:noinline
func bitwise(op, bits string) row {
	return row{schema: "self, other", lower: func(c *call) {
		d := c.out(0).DType
		use := op
		if d != model.Bool {
			c.since(18, bits)
			use = bits
		}
		c.ret(c.op(use, nil, c.number("self", d).name, c.number("other", d).name))
	}}
}

func numberRows() map[string]row {
	return map[string]row{
		"aten.add": additive("Add", false), "aten.sub": additive("Sub", false), "aten.rsub": additive("Sub", true),
		"aten.mul": {schema: "self, other", lower: func(c *call) {
			d, op := c.out(0).DType, "Mul"
			if d == model.Bool {
				op = "And"
			}
			c.ret(c.op(op, nil, c.number("self", d).name, c.number("other", d).name))
		}},
		"aten.div":          {schema: "self, other, rounding_mode=None", lower: func(c *call) { c.divide() }},
		"aten.floor_divide": {schema: "self, other", lower: func(c *call) { c.args["rounding_mode"] = "floor"; c.divide() }},
		"aten.maximum":      arithmetic("Max"), "aten.minimum": arithmetic("Min"),
		"aten.max.other": arithmetic("Max"), "aten.min.other": arithmetic("Min"),
		"aten.fmod": {schema: "self, other", lower: func(c *call) {
			d := c.out(0).DType
			c.ret(c.op("Mod", attrs{"fmod": num(1)}, c.number("self", d).name, c.number("other", d).name))
		}},
		"aten.remainder": {schema: "self, other", lower: func(c *call) {
			d := c.out(0).DType
			x, y := c.number("self", d).name, c.number("other", d).name
			if !d.IsFloat() {
				c.ret(c.op("Mod", nil, x, y))
				return
			}
			c.ret(c.op("Sub", nil, x, c.op("Mul", nil, y, c.op("Floor", nil, c.op("Div", nil, x, y)))))
		}},
		"aten.pow": {schema: "self, exponent", lower: func(c *call) {
			d := c.out(0).DType
			x := c.number("self", d).name
			switch c.args["exponent"] {
			case int64(2), 2.0:
				c.ret(c.op("Mul", nil, x, x))
				return
			case 0.5:
				c.ret(c.op("Sqrt", nil, x))
				return
			}
			c.ret(c.op("Pow", nil, x, c.number("exponent", d).name))
		}},
		"aten.eq": comparison("Equal", false), "aten.ne": comparison("Equal", true), "aten.not_equal": comparison("Equal", true),
		"aten.lt": comparison("Less", false), "aten.gt": comparison("Greater", false),
		"aten.le": comparison("LessOrEqual", false), "aten.ge": comparison("GreaterOrEqual", false),
		"aten.logical_and": logical("And"), "aten.logical_or": logical("Or"), "aten.logical_xor": logical("Xor"),
		"aten.bitwise_and": bitwise("And", "BitwiseAnd"), "aten.bitwise_or": bitwise("Or", "BitwiseOr"), "aten.bitwise_xor": bitwise("Xor", "BitwiseXor"),

		"aten.addcmul": {schema: "self, tensor1, tensor2, value=1", lower: func(c *call) { c.scaled("Mul") }},
		"aten.addcdiv": {schema: "self, tensor1, tensor2, value=1", lower: func(c *call) { c.scaled("Div") }},
		"aten.lerp": {schema: "self, end, weight", lower: func(c *call) {
			d := c.out(0).DType
			x := c.number("self", d).name
			c.ret(c.op("Add", nil, x, c.op("Mul", nil, c.op("Sub", nil, c.number("end", d).name, x), c.number("weight", d).name)))
		}},
		"aten.where": {schema: "condition, self, other", lower: func(c *call) {
			d := c.out(0).DType
			c.ret(c.op("Where", nil, c.number("condition", model.Bool).name, c.number("self", d).name, c.number("other", d).name))
		}},
		"aten.masked_fill": {schema: "self, mask, value", lower: func(c *call) {
			d := c.out(0).DType
			if m := c.in("mask").dtype; m != model.Bool && m != model.Uint8 {
				// PyTorch up to 1.13 takes the first byte of every element, later ones refuse it.
				panic(refusal{what: fmt.Sprintf("a mask of %v", m), advice: "compare it with 0, or give truth values"})
			}
			c.ret(c.op("Where", nil, c.number("mask", model.Bool).name, c.number("value", d).name, c.number("self", d).name))
		}},
		"aten.fill": {schema: "self, value", lower: func(c *call) {
			x := c.binding("self").value
			c.ret(c.expand(c.number("value", x.DType), x.Shape))
		}},
		"aten.zero": {schema: "self", lower: func(c *call) {
			x := c.binding("self").value
			c.ret(c.expand(operand{c.scalar(x.DType, int64(0)), x.DType, graph.Shape{}}, x.Shape))
		}},
		"aten.copy": {schema: "self, src", lower: func(c *call) {
			x := c.binding("self").value
			c.ret(c.expand(c.number("src", x.DType), x.Shape))
		}},
	}
}

// divide divides. Integers give floats unless the quotient is rounded.
func (c *call) divide() {
	d := c.out(0).DType
	x, y := c.number("self", d).name, c.number("other", d).name
	mode, _ := c.args["rounding_mode"].(string)
	switch {
	case mode == "":
		c.ret(c.op("Div", nil, x, y))
	case mode == "floor" && d.IsFloat():
		c.ret(c.op("Floor", nil, c.op("Div", nil, x, y)))
	case mode == "floor": // what Mod leaves divides without a rest
		c.ret(c.op("Div", nil, c.op("Sub", nil, x, c.op("Mod", nil, x, y)), y))
	case mode == "trunc" && d.IsFloat():
		c.ret(c.truncate(c.op("Div", nil, x, y)))
	case mode == "trunc":
		c.ret(c.op("Div", nil, x, y))
	default:
		panic(refusal{what: "rounding_mode=" + mode})
	}
}

// scaled adds the product or quotient of two tensors, times a number.
func (c *call) scaled(op string) {
	d := c.out(0).DType
	y := c.op(op, nil, c.number("tensor1", d).name, c.number("tensor2", d).name)
	if v := c.args["value"]; v != int64(1) && v != 1.0 {
		y = c.op("Mul", nil, y, c.number("value", d).name)
	}
	c.ret(c.op("Add", nil, c.number("self", d).name, y))
}
