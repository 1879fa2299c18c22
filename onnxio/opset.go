package onnxio

// minOpset is the oldest operator set that is written.
const minOpset = 13

// irVersions says which version of the file format came with each opset, after
// the table in https://onnx.ai/onnx/repo-docs/Versioning.html. A runtime that
// knows the opset therefore knows the format. Later opsets need nothing of the
// later formats but their element types.
var irVersions = [...]int64{13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}

// The IR versions that are read. Version 3 is the first to have initializers
// and opsets as they are now; 14 is the latest at the time of writing. A later
// one may say things that this package does not see.
const (
	minIR = 3
	maxIR = 14
)
