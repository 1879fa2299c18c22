// Package ops says what each operator of ONNX means: since which opset there is
// one, what its inputs are for, its attributes with their defaults by opset, the
// shapes of its outputs, and its value on dense tensors of any element type.
// Every operator is one file and one line of the table in table.go.
//
// What is here is for correctness, not for speed: real numbers are computed in
// float64 and rounded to the element type once per operator; products of
// matrices are summed in the element type. internal/nn is what trains.
//
// [Check] says whether all of a graph is known, [Infer] finds shapes and folds
// the arithmetic of shapes with the batch left free, [Fold] replaces what is
// constant, [Inline] writes out branches and loops that are known, [Run] evaluates.
package ops
