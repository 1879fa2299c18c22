package onnxio

import (
	"encoding/binary"
	"fmt"
	"math"

	"lethe/model"
	"lethe/onnxio/internal/pb"
)

// dtypes are the element types that a state dict can hold too.
var dtypes = map[pb.Tensor_DataType]model.DType{
	pb.Tensor_BOOL:       model.Bool,
	pb.Tensor_UINT8:      model.Uint8,
	pb.Tensor_INT8:       model.Int8,
	pb.Tensor_INT16:      model.Int16,
	pb.Tensor_INT32:      model.Int32,
	pb.Tensor_INT64:      model.Int64,
	pb.Tensor_FLOAT16:    model.Float16,
	pb.Tensor_BFLOAT16:   model.BFloat16,
	pb.Tensor_FLOAT:      model.Float32,
	pb.Tensor_DOUBLE:     model.Float64,
	pb.Tensor_COMPLEX64:  model.Complex64,
	pb.Tensor_COMPLEX128: model.Complex128,
}

func decodeDType(t pb.Tensor_DataType, member string) (model.DType, error) {
	if t == pb.Tensor_UNDEFINED {
		return model.Invalid, broken(member, "it has no element type")
	}
	dtype, ok := dtypes[t]
	if !ok {
		return model.Invalid, &model.UnsupportedError{What: fmt.Sprintf("%q of onnx element type %v", member, t)}
	}
	return dtype, nil
}

// decodeTensor returns the tensor of an initializer. Its elements stay where
// protobuf put them.
func decodeTensor(t *pb.Tensor) (*model.Tensor, error) {
	member := "initializer " + t.Name
	if t.DataLocation != 0 || len(t.ExternalData) > 0 {
		return nil, &model.UnsupportedError{
			What:   fmt.Sprintf("external data of initializer %q", t.Name),
			Advice: "save the model with its weights inside (onnx.save_model with save_as_external_data=False)",
		}
	}
	if t.Segment != nil {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("initializer %q is stored in segments", t.Name)}
	}
	dtype, err := decodeDType(t.DataType, member)
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		if shape[i] = int(d); int64(shape[i]) != d {
			return nil, broken(member, "dimension %d is %d, more than an int can hold", i, d)
		}
	}
	n, ok := model.Elements(shape)
	if !ok {
		return nil, broken(member, "shape %v is negative or has more elements than an int can count", shape)
	}

	data := t.RawData
	switch {
	case len(t.FloatData) > 0 && len(t.Int64Data) > 0, t.RawData != nil && len(t.FloatData)+len(t.Int64Data) > 0:
		return nil, broken(member, "it has two sets of elements")
	case len(t.FloatData) > 0 && dtype != model.Float32, len(t.Int64Data) > 0 && dtype != model.Int64:
		return nil, broken(member, "%v elements are in the list of another type", dtype)
	case len(t.FloatData) > 0:
		data = make([]byte, 0, 4*len(t.FloatData))
		for _, x := range t.FloatData {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	case len(t.Int64Data) > 0:
		data = make([]byte, 0, 8*len(t.Int64Data))
		for _, x := range t.Int64Data {
			data = binary.LittleEndian.AppendUint64(data, uint64(x))
		}
	case t.RawData == nil && n > 0 && dtype != model.Float32 && dtype != model.Int64:
		return nil, &model.UnsupportedError{What: fmt.Sprintf("initializer %q keeps its %v elements outside raw_data", t.Name, dtype)}
	}
	if size := dtype.Size(); len(data)%size != 0 || len(data)/size != n {
		return nil, broken(member, "shape %v has %d %v elements of %d bytes, but there are %d bytes", shape, n, dtype, size, len(data))
	}
	tensor, err := model.NewTensor(dtype, shape, nil, 0, model.BytesStorage(data))
	if err != nil {
		return nil, broken(member, "%v", err)
	}
	return tensor, nil
}

// float32Bytes returns the elements of a weight as little-endian float32. Those
// of a wider type are rounded; a finite one that would become infinite is an
// error, because then another network would be written.
func float32Bytes(name string, t *model.Tensor) ([]byte, error) {
	b, err := t.Bytes()
	if err != nil || t.DType() == model.Float32 {
		return b, err
	}
	if t.DType() == model.Float64 {
		for i := 0; i < len(b); i += 8 {
			x := math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
			if math.IsInf(float64(float32(x)), 0) && !math.IsInf(x, 0) {
				return nil, &model.UnsupportedError{What: fmt.Sprintf("weight %q holds %g, which float32 cannot", name, x)}
			}
		}
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	b = make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b, nil
}
