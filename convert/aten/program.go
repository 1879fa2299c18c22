package aten

import (
	"lethe/graph"
	"lethe/model"
)

// Program is a network as straight-line ATen: every size is a number or an
// expression in the sizes of the inputs, and nothing is left that depends on
// the values of tensors. Nodes are in the order in which they run. Operators
// may write in place (relu_, copy_), into views too.
type Program struct {
	Name    string    // of the network's class; may be empty
	Inputs  []*Value  // of the caller, in order
	Outputs []Output  // in order
	Weights []Weight  // what nodes read beside inputs and other nodes' values
	Nodes   []*Node   // in order
	Notes   []string  // what a person should know, such as an input that is not a tensor
	Unknown []Unknown // parts that no node could be made of
	Fixed   string    // why batches of another size would be wrong; empty if nothing is known against them

	Entries []string          // names of the state dict, in its order
	Tied    map[string]string // names of the state dict that are second names of a tensor, and the first
}

// Value is a tensor of a program.
type Value struct {
	Name  string
	DType model.DType
	Shape graph.Shape

	// Scattered is set if the elements may lie in memory in another order than
	// that of the axes; whether a reshape copies depends on it.
	Scattered bool
}

// Output is a tensor that the program returns, under the name that the caller
// knows it by. A value can be returned twice.
type Output struct {
	Name  string
	Value *Value
}

// Weight is a tensor that comes with the program. Several can have one name:
// then they are the same tensor.
type Weight struct {
	Value  *Value
	Name   string // in the state dict, or in the program if it is a constant
	Tensor *model.Tensor

	// Constant is set for tensors outside of the state dict: literals, tensors
	// that are attributes, buffers that are not saved.
	Constant bool
}

// Node is one application of an operator. An argument is one of
//
//	nil, bool, int64, float64, string, model.DType, graph.Dim, *Value,
//	[]bool, []int64, []float64, []string, graph.Shape,
//	[]*Value (in which nil stands for an argument that is left out).
//
// Integers may be int64 or graph.Dim, and lists of them []int64 or
// graph.Shape. Arguments with their defaults may be missing.
type Node struct {
	Op       string // with its namespace, such as "aten.conv2d"
	Overload string // such as "default" or "Tensor"; may be empty
	Args     []Arg
	Outputs  []*Value // nil for one that is undefined
	Module   string   // path of the module that it is in, such as "layer1.0.conv1"
}

// Arg is an argument of a node. Without a name it is positional.
type Arg struct {
	Name  string
	Value any
}

// Unknown is a part of a network that cannot be converted.
type Unknown struct {
	What   string // such as the name of an operator
	Module string // where it occurs
	Advice string // what a person can do
}

// Opaque is an argument whose value is not known before the program runs, such
// as a number that was read out of a tensor.
type Opaque string
