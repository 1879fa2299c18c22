package ops

import (
	"math"

	"lethe/graph"
	"lethe/model"
)

// labelencoderOp replaces labels by others.
var labelencoderOp = &Operator{
	Name: "LabelEncoder", Domain: "ai.onnx.ml", Since: 2,
	inputs: []input{data("X", numbers|texts)},
	attrs: []attr{
		noDefault("keys_strings", graph.StringsAttr), noDefault("keys_int64s", graph.IntsAttr), noDefault("keys_floats", graph.FloatsAttr), noDefault("keys_tensor", graph.TensorAttr),
		noDefault("values_strings", graph.StringsAttr), noDefault("values_int64s", graph.IntsAttr), noDefault("values_floats", graph.FloatsAttr), noDefault("values_tensor", graph.TensorAttr),
		{name: "default_string", kind: graph.StringAttr, def: graph.String("_Unused")}, intAttr("default_int64", -1), floatAttr("default_float", 0), noDefault("default_tensor", graph.TensorAttr),
	},
	infer: func(f *inference) { f.set(0, f.labelType(), f.input(0).shape) },
	eval: func(c *call) {
		x := c.input(0)
		keys, values := c.labels("keys"), c.labels("values")
		if keys == nil || values == nil || keys.Len() != values.Len() {
			c.fail("keys and values are not as many as each other")
		}
		index := map[any]int{}
		for i, k := range c.elementsOf(keys) {
			if _, twice := index[k]; !twice {
				index[k] = i
			}
		}
		missing := c.labelDefault(values)
		out := c.like(values, x.shape)
		for i, k := range c.elementsOf(x) {
			if at, ok := index[k]; ok {
				out.data.copyFrom(i, values.data, at, 1)
			} else {
				out.data.copyFrom(i, missing.data, 0, 1)
			}
		}
		c.set(0, out)
	},
}

func (n *node) labelType() model.DType {
	switch {
	case n.has("values_strings"):
		return model.String
	case n.has("values_int64s"):
		return model.Int64
	case n.has("values_floats"):
		return model.Float32
	case n.has("values_tensor"):
		return n.attr("values_tensor").Tensor().DType()
	}
	return model.Invalid
}

// labels returns the keys or values, or nil.
func (c *call) labels(which string) *Tensor {
	for _, kind := range []string{"_strings", "_int64s", "_floats", "_tensor"} {
		if a := c.attr(which + kind); a.Kind() != graph.NoAttr {
			return c.constant(a)
		}
	}
	return nil
}

func (c *call) labelDefault(values *Tensor) *Tensor {
	if a := c.attr("default_tensor"); a.Kind() != graph.NoAttr {
		if t := c.constant(a); t.dtype == values.dtype && t.Len() > 0 {
			return t
		}
	}
	switch values.dtype {
	case model.String:
		return Strings(nil, []string{c.text("default_string")})
	case model.Int64:
		return Int64s(nil, []int64{int64(c.int("default_int64"))})
	}
	return c.from(values.dtype, nil, []float64{c.float("default_float")})
}

// elementsOf returns elements as keys of a map: strings, or numbers, among which
// NaN equals itself.
func (c *call) elementsOf(t *Tensor) []any {
	out := make([]any, t.Len())
	if s, ok := t.Texts(); ok {
		for i, x := range s {
			out[i] = x
		}
		return out
	}
	for i, x := range c.floats(t) {
		if out[i] = x; x != x {
			out[i] = math.MaxUint32
		}
	}
	return out
}
