// Package pb holds protobuf messages of ONNX with which tests patch models,
// generated from lethe_onnx.proto.
package pb

//go:generate sh generate.sh
