// Package safetensors reads and writes the safetensors format: the length of a
// header, the header as JSON, which says of each tensor its type, its shape and
// where its bytes are, and the bytes.
//
// The format has no views and no ties, and its tensors are in C order. Nothing
// in a file is trusted: [Decode] holds it to every rule of the format, and to
// having one reading only.
package safetensors
