package safetensors

import "lethe/model"

// dtype is an element type of the format. The order of the table is that of
// the alignment that the types ask for; the data of a new file is laid out from
// its end to its start, so that every tensor is aligned.
type dtype struct {
	name  string
	bits  uint64
	model model.DType // Invalid where model has none: elements of less than a byte
}

var dtypes = []dtype{
	{"BOOL", 8, model.Bool},
	{"F4", 4, model.Invalid},
	{"F6_E2M3", 6, model.Invalid},
	{"F6_E3M2", 6, model.Invalid},
	{"U8", 8, model.Uint8},
	{"I8", 8, model.Int8},
	{"F8_E5M2", 8, model.Float8E5M2},
	{"F8_E4M3", 8, model.Float8E4M3FN},
	{"F8_E8M0", 8, model.Float8E8M0FNU},
	{"F8_E4M3FNUZ", 8, model.Float8E4M3FNUZ},
	{"F8_E5M2FNUZ", 8, model.Float8E5M2FNUZ},
	{"I16", 16, model.Int16},
	{"U16", 16, model.Uint16},
	{"F16", 16, model.Float16},
	{"BF16", 16, model.BFloat16},
	{"I32", 32, model.Int32},
	{"U32", 32, model.Uint32},
	{"F32", 32, model.Float32},
	{"C64", 64, model.Complex64},
	{"F64", 64, model.Float64},
	{"I64", 64, model.Int64},
	{"U64", 64, model.Uint64},
}

// rank returns the index in dtypes of a type of model, or -1.
func rank(d model.DType) int {
	for i, t := range dtypes {
		if t.model == d {
			return i
		}
	}
	return -1
}
