// Package graph holds the structure of a network in the vocabulary of ONNX:
// nodes with typed attributes, values with element types and symbolic sizes,
// subgraphs and functions. What an operator means is not known here, and no
// weights are held: they are entries of a [model.StateDict], which a graph
// refers to by name.
package graph
