package model

// DType is the element type of a tensor. The zero value is not a type at all.
type DType uint8

// The element types, named as PyTorch names them.
const (
	Invalid DType = iota
	Bool
	Uint8
	Int8
	Int16
	Int32
	Int64
	Uint16
	Uint32
	Uint64
	Float8E4M3FN
	Float8E4M3FNUZ
	Float8E5M2
	Float8E5M2FNUZ
	Float8E8M0FNU
	Float16
	BFloat16
	Float32
	Float64
	Complex32
	Complex64
	Complex128

	// Types of less than a byte. An element in memory is the low bits of a
	// byte, of integers with the sign repeated above them; a file may pack them.
	Uint2
	Int2
	Uint4
	Int4
	Float4E2M1FN
	Float6E2M3FN
	Float6E3M2FN

	// String is the type of ONNX's strings, which no tensor of a state dict has.
	String
)

var dtypes = [...]struct {
	name string
	size int
}{
	Invalid:        {"invalid", 0},
	Bool:           {"bool", 1},
	Uint8:          {"uint8", 1},
	Int8:           {"int8", 1},
	Int16:          {"int16", 2},
	Int32:          {"int32", 4},
	Int64:          {"int64", 8},
	Uint16:         {"uint16", 2},
	Uint32:         {"uint32", 4},
	Uint64:         {"uint64", 8},
	Float8E4M3FN:   {"float8_e4m3fn", 1},
	Float8E4M3FNUZ: {"float8_e4m3fnuz", 1},
	Float8E5M2:     {"float8_e5m2", 1},
	Float8E5M2FNUZ: {"float8_e5m2fnuz", 1},
	Float8E8M0FNU:  {"float8_e8m0fnu", 1},
	Float16:        {"float16", 2},
	BFloat16:       {"bfloat16", 2},
	Float32:        {"float32", 4},
	Float64:        {"float64", 8},
	Complex32:      {"complex32", 4},
	Complex64:      {"complex64", 8},
	Complex128:     {"complex128", 16},
	Uint2:          {"uint2", 1},
	Int2:           {"int2", 1},
	Uint4:          {"uint4", 1},
	Int4:           {"int4", 1},
	Float4E2M1FN:   {"float4_e2m1fn", 1},
	Float6E2M3FN:   {"float6_e2m3fn", 1},
	Float6E3M2FN:   {"float6_e3m2fn", 1},
	String:         {"string", 0},
}

// String returns PyTorch's name of the type, such as "float32".
func (d DType) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return dtypes[Invalid].name
}

// Size returns the bytes that one element has in memory; 0 for [Invalid] and [String].
func (d DType) Size() int {
	if int(d) < len(dtypes) {
		return dtypes[d].size
	}
	return 0
}

// IsFloat reports whether the type is a real floating-point type that has the
// values of float32 or is rounded to them; the types of 8 bits are not.
func (d DType) IsFloat() bool {
	return d == Float16 || d == BFloat16 || d == Float32 || d == Float64
}
