package safetensors

import (
	"cmp"
	"fmt"
	"slices"

	"lethe/model"
)

// Pair is one key and value of a file's metadata.
type Pair struct{ Key, Value string }

// TorchMetadata says that the names are those of PyTorch.
var TorchMetadata = Pair{Key: "format", Value: "pt"}

// File is a state dict in the safetensors format. It is immutable, and it reads
// tensor data on demand: what it was decoded from must stay open and unchanged
// for as long as the file, or a tensor of it, is in use.
type File struct {
	state    *model.StateDict // in the order of the header
	metadata []Pair
	layout   []string // names in the order of their data
}

// metadataKey is the name in the header that stands for no tensor.
const metadataKey = "__metadata__"

// New returns a file with a state dict and metadata. The header keeps the order
// of the entries; their data lies by type, largest elements first, then by
// name, as the reference implementation lays it out. It is a
// [model.UnsupportedError] if the format has no such element type or name.
func New(sd *model.StateDict, metadata ...Pair) (*File, error) {
	for name, t := range sd.All() {
		if name == metadataKey {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("a tensor is called %q, which safetensors keeps for itself", name), Advice: "rename it"}
		}
		if rank(t.DType()) < 0 {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("%q is of type %v, which safetensors does not have", name, t.DType()),
				Advice: "write a .pt, or store real and imaginary parts as tensors of their own"}
		}
	}
	layout := sd.Names()
	slices.SortFunc(layout, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(sd.Get(b).DType()), rank(sd.Get(a).DType())), cmp.Compare(a, b))
	})
	return &File{sd, slices.Clone(metadata), layout}, nil
}

// StateDict returns the tensors in the order of the header.
func (f *File) StateDict() *model.StateDict { return f.state }

// Metadata returns the strings that the file carries beside its tensors; the
// slice is the caller's.
func (f *File) Metadata() []Pair { return slices.Clone(f.metadata) }

// With returns a file with the values of sd in place of its own. The names,
// their order, shapes and dtypes must be those of f, or it is a
// [model.FormatError].
func (f *File) With(sd *model.StateDict) (*File, error) {
	bad := func(format string, args ...any) error {
		return &model.FormatError{Format: "state dict", Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	if got, want := sd.Names(), f.state.Names(); !slices.Equal(got, want) {
		return nil, bad("%d names are not the %d of the file in their order", len(got), len(want))
	}
	for name, old := range f.state.All() {
		if t := sd.Get(name); t.DType() != old.DType() || !slices.Equal(t.Shape(), old.Shape()) {
			return nil, bad("%q is %v %v, in the file %v %v", name, t.DType(), t.Shape(), old.DType(), old.Shape())
		}
	}
	return &File{sd, f.metadata, f.layout}, nil
}
