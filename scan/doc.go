// Package scan says what loading a file of a model would do, without loading
// it. It is the gate of a registry: [File] reads a file as every loader of
// Python would, and reports whatever is more than tensors and plain containers.
//
// # The promise
//
// The verdict "clean" means: every byte of the file belongs to something that
// was read, and none of these loaders runs code of the file's choice, changes
// the process, or sees other contents than the others do: torch.load (zip, tar
// and legacy files, with and without weights_only), torch.jit.load,
// torch.export.load (archives of every generation), pickle.load as often as
// there are pickles, tarfile, zipfile, safetensors, numpy.load, and the
// unpacking of gzip, zlib and bzip2 around any of them. Where loaders differ,
// the scan is as generous as the most generous one: names without regard to
// case, numbers as Python's int() reads them, the last end record of a zip
// archive, whatever stands before it. Where two of them would see different
// contents, that is a finding.
//
// What could not be read to its end is a gap, and a file with a gap is never
// clean: cut files, unknown formats, compressions that are not read, archives
// within archives beyond a depth of two, and files that ask for more work than
// their size allows.
//
// # What it does not promise
//
// The scan trusts nothing in the file, and does not look beyond it: a class of
// the level [Unknown] may do anything; a class of the level [Notice] is harmless
// in the versions of Python, numpy and torch that its list was made from. Flaws
// in the loaders themselves (memory errors in a decoder), models that are
// malicious in what they compute, TorchScript and ONNX operators, and code that
// is meant to be run beside the file are not what it looks for.
//
// Time and memory are linear in the size of the file.
package scan
