// Package pickle reads and writes the checkpoints of torch.save: a zip archive
// with one pickle, which says what the tensors are called and how they lie in
// memory, and one record of raw bytes for each storage.
//
// [Decode] finds the one state dict of a file, [Checkpoint.With] puts edited
// tensors in its place, and [Encode] writes the file again. An edit never
// touches the pickle: every record is copied as it is, except the storages of
// the tensors that changed. So wrapper dictionaries, key order, strides, ties
// and everything that Lethe does not understand survive, and an unedited
// checkpoint comes out byte for byte as torch wrote it.
//
// A pickle is a program, and nothing in a file is trusted. Bytes pass three
// gates before they become tensors: the container must be laid out as torch
// lays it out, with no room for a second opinion about what is in it; the
// opcodes are checked one by one against the few that torch.save emits and a
// closed list of globals; only then does a virtual machine run them, and all
// that it can build are inert values and views inside their storages.
package pickle
