// Package script turns TorchScript, which torch.jit.save writes, into an
// [aten.Program], without PyTorch. The code of an archive is parsed by a fixed
// grammar, which is the part of Python that TorchScript serializes, and
// interpreted by a partial evaluator: modules, numbers, lists and sizes are
// known, tensors are not. Every call of an operator on a tensor becomes a node;
// what must be known and is not is listed with its place. Nothing in the code
// can reach anything outside of it, and steps, depth and lists are limited.
package script
