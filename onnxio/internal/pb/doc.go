// Package pb holds the protobuf messages of ONNX that Lethe reads and writes,
// generated from lethe_onnx.proto.
package pb

//go:generate sh generate.sh
