package aten

import (
	"fmt"
	"math"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// reduction is an operator that ONNX has too. The input is brought to the type
// of the output first: the sum of truth values is an integer.
//
//go:noinline
func reduction(op, schema string) row {
	return row{schema: schema, lower: func(c *call) {
		x := c.number("self", c.out(0).DType)
		c.ret(c.reduced(op, x, "dim"))
	}}
}

// reduced reduces the axes of an argument, with keepdim if there is one.
func (c *call) reduced(op string, x operand, axes string) string {
	if len(x.shape) == 0 {
		if op == "ReduceL2" || op == "ReduceL1" {
			return c.op("Abs", nil, x.name)
		}
		return x.name
	}
	keep, _ := c.args["keepdim"].(bool)
	return c.reduce(op, x.name, c.axes(axes, len(x.shape)), keep)
}

// extreme is max or min along an axis, with the index where it is.
//
//go:noinline
func extreme(op, arg string) row {
	return row{schema: "self, dim, keepdim=False", lower: func(c *call) {
		x := c.in("self")
		at := c.axis("dim", len(x.shape))
		keep := int64(0)
		if c.bool("keepdim") {
			keep = 1
		}
		c.ret(c.reduce(op, x.name, []int{at}, keep == 1), c.op(arg, attrs{"axis": num(int64(at)), "keepdims": num(keep)}, x.name))
	}}
}

//go:noinline
func argument(op string) row {
	return row{schema: "self, dim=None, keepdim=False", lower: func(c *call) {
		x := c.in("self")
		if !c.has("dim") {
			flat := c.op("Reshape", nil, x.name, c.builder.ints(-1))
			c.ret(c.op(op, attrs{"axis": num(0), "keepdims": num(0)}, flat))
			return
		}
		keep := int64(0)
		if c.bool("keepdim") {
			keep = 1
		}
		c.ret(c.op(op, attrs{"axis": num(int64(c.axis("dim", len(x.shape)))), "keepdims": num(keep)}, x.name))
	}}
}

// truth is any or all, which reduce numbers.
//
//go:noinline
func truth(op string) row {
	return row{schema: "self, dim=None, keepdim=False", lower: func(c *call) {
		x := c.in("self")
		b := c.cast(x.name, x.dtype, model.Bool)
		y := c.reduced(op, operand{c.cast(b, model.Bool, model.Int32), model.Int32, x.shape}, "dim")
		c.ret(c.cast(y, model.Int32, c.out(0).DType))
	}}
}

//go:noinline
func softmax(op string) row {
	return row{schema: "self, dim, dtype=None", lower: func(c *call) {
		x := c.number("self", c.out(0).DType)
		c.ret(c.op(op, attrs{"axis": num(int64(c.axis("dim", len(x.shape))))}, x.name))
	}}
}

//go:noinline
func spread(root bool, outputs int) row {
	return row{schema: "self, dim=None, unbiased=None, correction=None, keepdim=False", lower: func(c *call) {
		x := c.in("self")
		axes := c.axes("dim", len(x.shape))
		keep, _ := c.args["keepdim"].(bool)
		correction := 1.0
		if c.has("correction") {
			correction = c.float("correction")
		}
		if unbiased, ok := c.args["unbiased"].(bool); ok && !unbiased {
			correction = 0
		}
		n := graph.Size(1)
		for _, at := range axes {
			n = n.Mul(x.shape[at])
		}
		count, ok := n.Int()
		centered := c.op("Sub", nil, x.name, c.reduce("ReduceMean", x.name, axes, true))
		y := c.reduce("ReduceMean", c.op("Mul", nil, centered, centered), axes, keep)
		if correction != 0 && ok {
			y = c.op("Mul", nil, y, c.scalar(x.dtype, float64(count)/math.Max(float64(count)-correction, 0)))
		} else if correction != 0 {
			open := c.cast(c.squeeze(c.size(n), 0), model.Int64, x.dtype)
			left := c.op("Max", nil, c.op("Sub", nil, open, c.scalar(x.dtype, correction)), c.scalar(x.dtype, 0.0))
			y = c.op("Div", nil, c.op("Mul", nil, y, open), left)
		}
		if root {
			y = c.op("Sqrt", nil, y)
		}
		if outputs == 2 {
			c.ret(y, c.reduce("ReduceMean", x.name, axes, keep))
			return
		}
		c.ret(y)
	}}
}

func reduceRows() map[string]row {
	return map[string]row{
		"aten.mean": reduction("ReduceMean", "self, dim=[], keepdim=False, dtype=None"), "aten.sum": reduction("ReduceSum", "self, dim=[], keepdim=False, dtype=None"),
		"aten.prod": reduction("ReduceProd", "self, dim=[], keepdim=False, dtype=None"),
		"aten.amax": reduction("ReduceMax", "self, dim=[], keepdim=False"), "aten.amin": reduction("ReduceMin", "self, dim=[], keepdim=False"),
		"aten.logsumexp": reduction("ReduceLogSumExp", "self, dim, keepdim=False"),
		"aten.max":       reduction("ReduceMax", "self, dim=[]"), "aten.min": reduction("ReduceMin", "self, dim=[]"),
		"aten.max.dim": extreme("ReduceMax", "ArgMax"), "aten.min.dim": extreme("ReduceMin", "ArgMin"),
		"aten.argmax": argument("ArgMax"), "aten.argmin": argument("ArgMin"),
		"aten.any": truth("ReduceMax"), "aten.all": truth("ReduceMin"),
		"aten.softmax": softmax("Softmax"), "aten.log_softmax": softmax("LogSoftmax"), "aten.special_softmax": softmax("Softmax"),
		"aten._softmax": halfSoftmax("Softmax"), "aten._log_softmax": halfSoftmax("LogSoftmax"), "aten._safe_softmax": softmax("Softmax"),
		"aten.softmin": {schema: "self, dim, dtype=None", lower: func(c *call) {
			x := c.number("self", c.out(0).DType)
			c.ret(c.op("Softmax", attrs{"axis": num(int64(c.axis("dim", len(x.shape))))}, c.op("Neg", nil, x.name)))
		}},
		"aten.std": spread(true, 1), "aten.var": spread(false, 1), "aten.var_mean": spread(false, 2), "aten.std_mean": spread(true, 2),
		"aten.linalg_vector_norm": {schema: "self, ord=2, dim=[], keepdim=False, dtype=None", lower: func(c *call) { c.norm(c.float("ord")) }},
		"aten.frobenius_norm":     {schema: "self, dim=[], keepdim=False", lower: func(c *call) { c.norm(2) }},
		"aten.norm": {schema: "self, p=2, dim=[], keepdim=False, dtype=None", lower: func(c *call) {
			p := 2.0
			if c.has("p") {
				p = c.float("p")
			}
			c.norm(p)
		}},
		"aten.cumsum": {schema: "self, dim, dtype=None", lower: func(c *call) {
			x := c.number("self", c.out(0).DType)
			c.ret(c.op("CumSum", nil, x.name, c.index(c.axis("dim", len(x.shape)))))
		}},
	}
}

// halfSoftmax widens float16 on the way if it is told to.
//
//go:noinline
func halfSoftmax(op string) row {
	r := softmax(op)
	r.schema = "self, dim, half_to_float"
	return r
}

func (c *call) norm(p float64) { c.normOf(c.number("self", c.out(0).DType), p) }

// normOf returns norms over the axes of the argument "dim".
func (c *call) normOf(x operand, p float64) {
	switch p {
	case 2:
		c.ret(c.reduced("ReduceL2", x, "dim"))
	case 1:
		c.ret(c.reduced("ReduceL1", x, "dim"))
	case math.Inf(1), math.Inf(-1):
		op := "ReduceMax"
		if p < 0 {
			op = "ReduceMin"
		}
		x.name = c.op("Abs", nil, x.name)
		c.ret(c.reduced(op, x, "dim"))
	default:
		if p == 0 || p != p {
			panic(refusal{what: fmt.Sprintf("a norm of order %v", p)})
		}
		x.name = c.op("Pow", nil, c.op("Abs", nil, x.name), c.scalar(x.dtype, p))
		c.ret(c.op("Pow", nil, c.reduced("ReduceSum", x, "dim"), c.scalar(x.dtype, 1/p)))
	}
}

func makerRows() map[string]row {
	return map[string]row{
		"aten.zeros": filling("size, dtype=None, names=None", 0), "aten.ones": filling("size, dtype=None, names=None", 1), "aten.empty": filling("size, dtype=None, names=None", 0),
		"aten.zeros_like": filling("self, dtype=None", 0), "aten.ones_like": filling("self, dtype=None", 1), "aten.empty_like": filling("self, dtype=None", 0),
		"aten.new_zeros": filling("self, size, dtype=None", 0), "aten.new_ones": filling("self, size, dtype=None", 1), "aten.new_empty": filling("self, size, dtype=None", 0),
		"aten.full": filledRow("size, fill_value, dtype=None, names=None"), "aten.full_like": filledRow("self, fill_value, dtype=None"),
		"aten.new_full": filledRow("self, size, fill_value, dtype=None"), "aten.scalar_tensor": filledRow("s, dtype=None"),
		"aten.empty_strided": filling("size, stride, dtype=None", 0), "aten.empty_permuted": filling("size, physical_layout, dtype=None", 0),
		"aten.new_empty_strided": filling("self, size, stride, dtype=None", 0),
		"aten.arange":            {schema: "end, dtype=None", lower: func(c *call) { c.args["start"], c.args["step"] = int64(0), int64(1); arange(c) }},
		"aten.arange.start":      {schema: "start, end, dtype=None", lower: func(c *call) { c.args["step"] = int64(1); arange(c) }},
		"aten.arange.start_step": {schema: "start, end, step=1, dtype=None", lower: arange},
		"aten.linspace": {schema: "start, end, steps, dtype=None", lower: func(c *call) {
			a, b, n := c.float("start"), c.float("end"), c.int("steps")
			if n < 0 || n > elementsMax {
				panic(refusal{what: fmt.Sprintf("linspace of %d elements", n)})
			}
			v := make([]float64, n)
			for i := range v {
				v[i] = a
				if n > 1 {
					v[i] = a + (b-a)*float64(i)/float64(n-1)
				}
			}
			c.ret(c.reals(c.out(0).DType, []int{n}, v))
		}},
		"aten.eye": {schema: "n, m=None, dtype=None", lower: func(c *call) {
			shape := fixed(c.out(0).Shape, "eye")
			if len(shape) != 2 || shape[0] < 0 || shape[1] < 0 || shape[1] > 0 && shape[0] > elementsMax/shape[1] {
				panic(refusal{what: fmt.Sprintf("eye of shape %v", shape)})
			}
			v := make([]float64, shape[0]*shape[1])
			for i := range min(shape[0], shape[1]) {
				v[i*shape[1]+i] = 1
			}
			c.ret(c.reals(c.out(0).DType, shape, v))
		}},
	}
}

//go:noinline
func filling(schema string, value int64) row {
	return row{schema: schema, lower: func(c *call) {
		v := c.out(0)
		c.ret(c.expand(operand{c.scalar(v.DType, value), v.DType, graph.Shape{}}, v.Shape))
	}}
}

//go:noinline
func filledRow(schema string) row {
	return row{schema: schema, lower: func(c *call) {
		v, name := c.out(0), "fill_value"
		if c.has("s") {
			name = "s"
		}
		c.ret(c.expand(c.number(name, v.DType), v.Shape))
	}}
}

func arange(c *call) {
	d := c.out(0).DType
	start, end, step := c.number("start", d), c.number("end", d), c.number("step", d)
	shape, ok := c.out(0).Shape.Ints()
	isNumber := func(name string) (float64, bool) {
		switch v := c.args[name].(type) {
		case int64:
			return float64(v), true
		case float64:
			return v, true
		}
		return 0, false
	}
	first, isFirst := isNumber("start")
	by, isStep := isNumber("step")
	if ok && isFirst && isStep && len(shape) == 1 && shape[0] >= 0 && shape[0] <= elementsMax {
		v := make([]float64, shape[0])
		for i := range v {
			v[i] = first + float64(i)*by
		}
		c.ret(c.reals(d, shape, v))
		return
	}
	if slices.Contains([]model.DType{model.Float16, model.BFloat16}, d) {
		panic(refusal{what: fmt.Sprintf("arange of %v", d)})
	}
	c.ret(c.op("Range", nil, start.name, end.name, step.name))
}
