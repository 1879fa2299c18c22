package onnxio

import (
	"encoding/binary"
	"fmt"
	"math"

	"lethe/graph"
	"lethe/model"
)

// asFloat32 returns sd with the weights of a graph that are of another float type
// as float32.
func asFloat32(g *graph.Graph, sd *model.StateDict) (*model.StateDict, error) {
	var entries []model.Entry
	for _, name := range g.Weights() {
		t := sd.Get(name)
		if t == nil || !t.DType().IsFloat() || t.DType() == model.Float32 {
			continue
		}
		b, err := float32Bytes(name, t)
		if err != nil {
			return nil, err
		}
		wide, err := model.NewTensor(model.Float32, t.Shape(), nil, 0, model.BytesStorage(b))
		if err != nil {
			return nil, err
		}
		entries = append(entries, model.Entry{Name: name, Tensor: wide})
	}
	return sd.WithAll(entries...), nil
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
