package onnxio

import (
	"fmt"

	"lethe/model"
)

// The opsets that are read and written. A [graph.Graph] has the semantics of
// [graph.DefaultOpset]; no node needs rewriting on the way to or from the others,
// because of all that changed in this range
//
//   - Conv 11, MaxPool 12 and Gemm 13 did not change;
//   - Relu 14 and Flatten 21 only admit more element types;
//   - BatchNormalization 14 replaces version 9: training is announced by the
//     attribute training_mode instead of by additional outputs, and 15 admits
//     more element types. Inference, the only mode here, is spelled alike: one
//     output, and no training_mode, which version 9 would not know.
const (
	minOpset = 13
	maxOpset = 21
)

// irVersions says which version of the file format came with each opset, after
// the table in https://onnx.ai/onnx/repo-docs/Versioning.html. A runtime that
// knows the opset therefore knows the format.
var irVersions = [maxOpset + 1]int64{13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}

// The IR versions that are read. Version 3 is the first to have initializers
// and opsets as they are now; 14 is the latest at the time of writing. A later
// one may say things that this package does not see.
const (
	minIR = 3
	maxIR = 14
)

func checkOpset(opset int64) error {
	if opset < minOpset || opset > maxOpset {
		return &model.UnsupportedError{
			What:   fmt.Sprintf("onnx opset %d", opset),
			Advice: fmt.Sprintf("opsets %d to %d are supported", minOpset, maxOpset),
		}
	}
	return nil
}
