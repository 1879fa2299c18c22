// Package structure finds what a network computes: the graph for a file. It asks
// the file itself, the program in it, or the names and shapes of the weights.
package structure

import (
	"errors"

	"lethe/convert"
	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/convert/exported"
	"lethe/file"
	"lethe/model"
	"lethe/pickle"
)

// Options say what a file cannot, and how a program becomes a graph.
type Options struct {
	Convert aten.Options
	Input   []int        // shape of one sample, for published networks; nil is the published one
	Config  *arch.Config // what a Hugging Face folder says of the network; may be nil

	// Edit, if not nil, may change a program before it is converted, such as the
	// names of its inputs.
	Edit func(*aten.Program) error
}

// Structure is the graph of a network, the weights that it reads and what a
// person should know of both.
type Structure struct {
	*aten.Result

	// LeNet is true of the one network whose graph is not made from a program:
	// package onnxio writes it in its own way, with all weights as float32.
	LeNet bool
}

// Read returns the structure of the network in a file: the graph that the file
// carries, or its program as a graph, or what [FromWeights] finds. What a program
// has that cannot be converted is an [aten.UnsupportedError].
func Read(f file.File, opts Options) (*Structure, error) {
	g, err := f.Graph()
	if err != nil {
		return nil, err
	}
	if g != nil {
		return &Structure{Result: &aten.Result{Graph: g, State: f.State()}}, nil
	}
	if f.Format() == file.Exported {
		return fromProgram(f, opts)
	}
	return FromWeights(f.State(), opts)
}

// ReadForEdit is [Read] for an edit of the file: the graph calls the weights by
// their names in the file. Where the program of the file cannot be converted, the
// names and shapes of the weights stand in for it.
func ReadForEdit(f file.File, opts Options) (*Structure, error) {
	names := f.State().Names()
	opts.Edit = func(p *aten.Program) error {
		useNames(p, names)
		return nil
	}
	s, err := Read(f, opts)
	if err == nil || !f.Format().Program() {
		return s, err
	}
	if s, unknown := FromWeights(f.State(), opts); unknown == nil {
		return s, nil
	}
	return nil, err
}

// useNames gives the entries of a program's state dict other names, in order.
func useNames(p *aten.Program, names []string) {
	if len(p.Entries) != len(names) {
		return // the program does not list its state dict: it has those names
	}
	to := map[string]string{}
	for i, name := range p.Entries {
		to[name] = names[i]
	}
	for i := range p.Weights {
		w := &p.Weights[i]
		if name, ok := to[w.Name]; ok && !w.Constant {
			w.Name = name
		}
	}
	tied := map[string]string{}
	for name, first := range p.Tied {
		tied[to[name]] = to[first]
	}
	p.Entries, p.Tied = names, tied
}

// fromProgram converts the program in a .pt2 archive.
func fromProgram(f file.File, opts Options) (*Structure, error) {
	archive, ok := f.(pickle.File)
	if !ok {
		return nil, &model.UnsupportedError{What: "the file has no program that can be read"}
	}
	p, err := archive.Program()
	if err != nil {
		return nil, err
	}
	program, err := exported.Decode(exported.Source{Member: p.Member, Graph: p.Graph, State: p.State, Constants: p.Constants, Unpack: p.Unpack})
	if err != nil {
		return nil, err
	}
	return convertProgram(program, "", opts)
}

func convertProgram(p *aten.Program, name string, opts Options) (*Structure, error) {
	if opts.Edit != nil {
		if err := opts.Edit(p); err != nil {
			return nil, err
		}
	}
	r, err := aten.Convert(p, opts.Convert)
	if err != nil {
		return nil, err
	}
	if name != "" {
		r.Graph.Name = name
	}
	return &Structure{Result: r}, nil
}

// FromWeights returns the structure that the names and shapes of a state dict tell:
// that of a published network, or of the LeNet. Others are a
// [model.UnsupportedError] that says what the closest network has otherwise.
func FromWeights(sd *model.StateDict, opts Options) (*Structure, error) {
	published, unknown := arch.Recognize(sd, arch.Options{Input: opts.Input, Config: opts.Config})
	if unknown == nil {
		return convertProgram(published.Program, published.Family, opts)
	}
	g, err := convert.Recognize(sd)
	if err == nil {
		return &Structure{Result: &aten.Result{Graph: g, State: sd}, LeNet: true}, nil
	}
	if !errors.Is(unknown, arch.ErrNoFamily) {
		err = unknown
	}
	return nil, err
}
