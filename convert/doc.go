// Package convert finds the structure of a network that is known only by its
// weights: a state dict has names and shapes but no wiring, so [Recognize]
// compares it with the architectures that Lethe knows, one per file.
//
// [FoldBatchNorm] rewrites a graph and its weights into fewer operations that
// compute the same.
package convert
