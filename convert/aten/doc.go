// Package aten holds networks as straight-line programs of PyTorch's operators,
// and turns them into graphs of ONNX. Whoever can write a network as a
// [Program], whether it was an exported program or TorchScript, gets the
// conversion from here: one table has a row for each operator.
package aten
