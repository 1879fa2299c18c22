// Package pickle reads and writes the checkpoints of torch.save: a zip archive
// with one pickle, which says what the tensors are called and how they lie in
// memory, and one record of raw bytes for each storage. It also reads what came
// before that format, and the weights in TorchScript and torch.export archives.
//
// [Decode] finds the one state dict of a file, [Checkpoint.With] puts edited
// tensors in its place, and [Encode] writes the file again. Everything else that
// the pickle holds is kept as it was built, with the identity of every value, so
// that wrapper dictionaries, key order, strides, ties and objects that Lethe
// does not understand survive: the bytes are those that torch.save writes for
// the same object, and an unedited checkpoint comes out as it was. [New] makes a
// checkpoint of the tensors of another format, and [Inspect] lists what a file holds.
//
// A pickle is a program, and nothing in a file is trusted. Bytes pass three
// gates before they become tensors: the container must be laid out as torch
// lays it out, with no room for a second opinion about what is in it; the
// opcodes are checked one by one against the few that torch.save emits and a
// closed list of globals, their cost in memory is added up, and they are
// translated into a program that cannot go wrong; only then does a virtual
// machine run that, and all that it can build are inert values and views inside
// their storages.
package pickle
