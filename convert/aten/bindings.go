package aten

import (
	"fmt"

	"lethe/graph"
	"lethe/model"
)

// operand is a value of the ONNX graph, with its type.
type operand struct {
	name  string
	dtype model.DType
	shape graph.Shape
}

// binding is what a tensor of the program is in the ONNX graph, where nothing
// can be written in place. Tensors that share memory form a tree: the root
// owns the memory, the others are views of their parents. Whoever writes to a
// tensor gives its root another value; views read it again when they are used
// the next time.
type binding struct {
	value   *Value
	name    string // of the value in the graph, as of version
	version int    // of the root's memory
	parent  *binding
	show    func(whole operand) string              // returns the view of a parent
	write   func(whole operand, part string) string // returns the parent with the view replaced; nil if that is not supported
	doubt   func() (changed bool)                   // tells whether the memory was written to of which this may be a view
	absent  string                                  // why there is no value
}

func (x *binding) root() *binding {
	for x.parent != nil {
		x = x.parent
	}
	return x
}

// current returns the value of the tensor now.
func (x *binding) current() operand {
	if x.absent != "" {
		panic(refusal{what: x.absent})
	}
	if x.doubt != nil && x.doubt() {
		panic(refusal{what: "a tensor that may or may not share memory with one that was written in place",
			advice: "use clone() before the operator that writes in place"})
	}
	if x.parent != nil && x.version != x.root().version {
		x.name = x.show(x.parent.current())
		x.version = x.root().version
	}
	return operand{x.name, x.value.DType, x.value.Shape}
}

// assign writes to the tensor.
func (x *binding) assign(name string) {
	if x.doubt != nil {
		panic(refusal{what: "writing in place to a tensor that may or may not be a view", advice: "use clone() before the operator that writes in place"})
	}
	if x.parent == nil {
		x.name = name
		x.version++
		return
	}
	if x.write == nil {
		panic(refusal{what: fmt.Sprintf("writing in place to a view of shape %v", x.value.Shape), advice: "use clone() before the operator that writes in place"})
	}
	x.parent.assign(x.write(x.parent.current(), name))
	x.name, x.version = name, x.root().version
}
