// Package file says what every format of files with a state dict has in common:
// the state dict, the structure that goes with it, an edit that leaves the rest
// of the file alone, and what another format would lose.
package file

import (
	"fmt"
	"io"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// Format is a format of files with a state dict.
type Format string

// The formats, as commands name them.
const (
	Checkpoint  Format = "checkpoint" // of torch.save
	TorchScript Format = "torchscript"
	Exported    Format = "pt2" // of torch.export
	Safetensors Format = "safetensors"
	ONNX        Format = "onnx"
)

// Program reports whether files of the format hold what the network computes,
// beside its weights.
func (f Format) Program() bool { return f == TorchScript || f == Exported || f == ONNX }

// File is a state dict in the file that it was read from. It is immutable, and
// it reads tensor data on demand: the file must stay open and unchanged for as
// long as it, or a tensor of it, is in use.
type File interface {
	Format() Format

	// State returns the state dict.
	State() *model.StateDict

	// Graph returns the structure of the network that the file carries, or nil
	// where the format has none, or none that can be read yet.
	Graph() (*graph.Graph, error)

	// With returns the file with the values of another state dict, which must
	// have the names, shapes and types of the file's in its order, or it is a
	// [model.FormatError]. An edit that the format cannot hold, such as other values
	// for one of two names of a tensor, is an error too.
	With(*model.StateDict) (File, error)

	// Encode writes the file in its own format: all that no edit changed is as it
	// was.
	Encode(io.Writer) error

	// External returns the other files that tensor data lies in.
	External() []External

	// Info returns what the file says about itself.
	Info() *Info
}

// External is a file beside another one that holds tensor data of that one, as ONNX's
// external data. Encode writes it, with what an edit changed.
type External struct {
	Location string // relative to the folder of the file, with slashes
	Encode   func(io.Writer) error
}

// Relocator is a [File] whose files beside it can have other names.
type Relocator interface {
	// Relocate returns the file with other names for the files beside it: names maps a
	// location, see [External], to the one that takes its place. One that leaves the
	// folder, or that two files would have, is a [model.FormatError].
	Relocate(names map[string]string) (File, error)
}

// Info is the structure of a file.
type Info struct {
	Container string   // "zip", "legacy", "torchscript", "pt2", "safetensors" or "onnx"
	Protocol  int      // of a pickle; 0 if there is none
	Path      []string // keys that lead to the state dict
	Beside    []Left   // what else the file holds
	Entries   []Entry  // of the state dict, in order
}

// Entry is one tensor of a state dict as it lies in its file.
type Entry struct {
	Name     string
	Storage  string // key of its storage; "" where there are no storages
	Sharing  int    // entries over that storage, this one included
	Location string // the device that it was saved from, or the file that its data lies in; "" if the format does not say
}

// Left is something that a file holds beside the state dict, such as the state of an
// optimizer.
type Left struct {
	What    string // such as "metadata"; "" for what has only a name
	Name    string // its key, or its index in a list, for a person
	Tensors int    // how many tensors are in it
}

// String returns the name, and how many tensors are in it.
func (l Left) String() string {
	switch l.Tensors {
	case 0:
		return strings.TrimLeft(fmt.Sprintf("%s %.100q", l.What, l.Name), " ")
	case 1:
		return fmt.Sprintf("%.100q (a tensor)", l.Name)
	}
	return fmt.Sprintf("%.100q (%d tensors)", l.Name, l.Tensors)
}

// Lost returns what the file holds and its state dict in a file of another
// format would not, for a person, a line for each. A file of its own format
// keeps everything.
func Lost(f File, to Format) []string {
	if to == f.Format() {
		return nil
	}
	var lost []string
	for _, left := range f.Info().Beside {
		lost = append(lost, left.String())
	}
	if to == Checkpoint || f.Format() == Safetensors {
		return lost // ties stay, or there are none
	}
	names := map[*model.Storage][]string{}
	for name, t := range f.State().All() {
		names[t.Storage()] = append(names[t.Storage()], name)
	}
	for name, t := range f.State().All() {
		if tied := names[t.Storage()]; len(tied) > 1 && tied[0] == name {
			lost = append(lost, fmt.Sprintf("the tie of %s: each has its own elements", quoted(tied)))
		}
	}
	return lost
}

// quoted lists names for a person, not more than fit a line.
func quoted(names []string) string {
	const most = 4
	var b strings.Builder
	for i, name := range names[:min(len(names), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", name)
	}
	if len(names) > most {
		fmt.Fprintf(&b, " and %d more", len(names)-most)
	}
	return b.String()
}
