// Package model is the vocabulary that every other package speaks: tensors
// over shared storages, ordered state dicts,
// and the errors that tell a person what is wrong with a file.
//
// It does no file input or output and no arithmetic. Weights live only in a
// [StateDict]; a graph of package graph refers to them by name.
package model
