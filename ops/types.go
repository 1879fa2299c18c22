package ops

import (
	"lethe/graph"
	"lethe/model"
)

// types is a set of element types.
type types uint64

func set(dtypes ...model.DType) types {
	var s types
	for _, d := range dtypes {
		s |= 1 << d
	}
	return s
}

func (s types) has(d model.DType) bool { return s>>d&1 == 1 }

// The sets that operators name. Sets are those of the newest opset: a file that
// uses a type before its time is read all the same.
var (
	floats    = set(model.Float16, model.BFloat16, model.Float32, model.Float64)
	float8s   = set(model.Float8E4M3FN, model.Float8E4M3FNUZ, model.Float8E5M2, model.Float8E5M2FNUZ, model.Float8E8M0FNU)
	tiny      = set(model.Float4E2M1FN, model.Float6E2M3FN, model.Float6E3M2FN)
	signed    = set(model.Int8, model.Int16, model.Int32, model.Int64)
	unsigned  = set(model.Uint8, model.Uint16, model.Uint32, model.Uint64)
	nibbles   = set(model.Int4, model.Uint4, model.Int2, model.Uint2)
	integers  = signed | unsigned
	numbers   = floats | integers
	bools     = set(model.Bool)
	texts     = set(model.String)
	indices   = set(model.Int32, model.Int64)
	anything  = numbers | bools | texts | float8s | tiny | nibbles
	quantized = set(model.Int8, model.Uint8, model.Int16, model.Uint16) | nibbles | float8s | tiny
)

// elementTypes are the element types by their numbers in ONNX.
var elementTypes = [...]model.DType{
	1: model.Float32, 2: model.Uint8, 3: model.Int8, 4: model.Uint16, 5: model.Int16, 6: model.Int32, 7: model.Int64,
	8: model.String, 9: model.Bool, 10: model.Float16, 11: model.Float64, 12: model.Uint32, 13: model.Uint64,
	14: model.Complex64, 15: model.Complex128, 16: model.BFloat16,
	17: model.Float8E4M3FN, 18: model.Float8E4M3FNUZ, 19: model.Float8E5M2, 20: model.Float8E5M2FNUZ,
	21: model.Uint4, 22: model.Int4, 23: model.Float4E2M1FN, 24: model.Float8E8M0FNU, 25: model.Uint2, 26: model.Int2,
	27: model.Float6E2M3FN, 28: model.Float6E3M2FN,
}

// elementType returns the element type that an attribute names by its number.
func (n *node) elementType(attr string) model.DType {
	number := n.int(attr)
	if number < 1 || number >= len(elementTypes) || elementTypes[number] == model.Invalid {
		n.fail("attribute %s is %d, which is not an element type", attr, number)
	}
	return elementTypes[number]
}

const float64Type = model.Float64

const int64Type = model.Int64

// elements is the product of two sizes; ok is false if it does not fit an int.
func elements(a, b int) (n int, ok bool) { return model.Elements([]int{a, b}) }

const intKind = graph.IntAttr
