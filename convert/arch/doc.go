// Package arch knows networks by the names and shapes of their weights. A state
// dict does not say how its tensors are wired; for the published families the
// wiring is known, and [Recognize] writes it down as a program of PyTorch's
// operators, which package aten turns into ONNX. Each family is one file.
//
// Sizes are read from the weights wherever they tell them: channels, kernels,
// groups, depth, the number of classes. What they do not tell, such as strides,
// the epsilon of a normalization or the number of attention heads, is that of
// the published network, and [Network.Notes] says so.
package arch
