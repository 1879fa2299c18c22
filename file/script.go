package file

import "lethe/model"

// Script is what a TorchScript archive holds: a tree of objects, the text of
// their code, and no behaviour. Values are nil, bool, int64, float64, string,
// *[model.Tensor], Tuple, *List, *Dict and *Object; the same pointer is the same
// object of Python.
type Script struct {
	Root      any     // the module that was saved
	Constants []any   // CONSTANTS.c0 and so on
	Inputs    []Input // that the module was traced with; nil if the archive does not say
	Version   int     // of the operators that the code means

	// Code returns the text of a file of the folder code, such as
	// "__torch__/torch/nn/modules/conv.py". It is empty if there is no such file.
	Code func(name string) (string, error)
}

// Input is an example of an argument of the forward method. DType is
// [model.Invalid] if the argument is not a tensor.
type Input struct {
	DType model.DType
	Shape []int
}

type (
	// Tuple is a tuple of Python.
	Tuple []any

	// List is a list of Python.
	List struct{ Values []any }

	// Dict is a dictionary of Python, in its order.
	Dict struct{ Keys, Values []any }

	// Object is an instance of a class that the code declares, or of another one
	// whose meaning is not known.
	Object struct {
		Class string   // with its module, such as "__torch__.zoo.LeNet"
		Names []string // of the attributes, in order
		Attrs map[string]any
	}
)
