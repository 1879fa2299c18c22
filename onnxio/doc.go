// Package onnxio reads, edits and writes ONNX files.
//
// [Decode] reads a model of any operators, opsets and element types as it lies
// in its file: a [File] with the weights as a state dict, read on demand. An
// edit of it ([File.With], [File.Encode]) is the file with other bytes where
// elements of weights changed. [File.Graph] is the structure, for whoever wants
// to look.
//
// [Encode] turns a graph and the state dict that it refers to into a new model,
// and [File.Network] reads such a one back: float32 networks of the operators
// Conv, BatchNormalization (inference), Relu, MaxPool, Flatten and Gemm, opsets
// 13 to 21. Anything else is a [model.UnsupportedError] that names it. Broken
// bytes are a [model.FormatError], and too many of them a [model.LimitError].
package onnxio
