// Package onnxio reads and writes ONNX files: [Encode] turns a graph and the
// state dict that it refers to into the bytes of a model, [Decode] the other
// way round.
//
// It handles what [graph.Graph] can say, which is less than ONNX can: float32
// networks of the operators Conv, BatchNormalization (inference), Relu,
// MaxPool, Flatten and Gemm, opsets 13 to 21, weights inside the file. Anything
// else is a [model.UnsupportedError] that names it; nothing that changes what a
// model computes is dropped silently. Broken bytes are a [model.FormatError],
// and too many of them a [model.LimitError].
package onnxio
