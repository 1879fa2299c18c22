// Package onnxio reads, edits and writes ONNX files.
//
// [Decode] reads a model of any operators, opsets and element types as it lies
// in its file: a [File] with the weights as a state dict, read on demand. An
// edit of it ([File.With], [File.Encode]) is the file with other bytes where
// elements of weights changed. [File.Graph] is the structure, for whoever wants
// to look.
//
// [Encode] turns a graph of any operators and the state dict that it refers to
// into a new model. What the operators mean is for package ops to know. Broken
// bytes are a [model.FormatError], what ONNX does not have is a
// [model.UnsupportedError], and too many bytes are a [model.LimitError].
package onnxio
