// Package structure finds what a network computes: the graph for a file. It asks
// the file itself, the program in it, or the names and shapes of the weights.
package structure

import (
	"errors"
	"fmt"

	"lethe/convert"
	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/convert/exported"
	"lethe/convert/script"
	"lethe/file"
	"lethe/model"
	"lethe/pickle"
)

// Options say what a file cannot, and how a program becomes a graph.
type Options struct {
	Convert aten.Options
	Input   []int         // shape of one sample, for published networks and TorchScript; nil is the published one
	Inputs  [][]int       // shapes of one sample of each input, for TorchScript with several; nil is Input
	Types   []model.DType // element types of the inputs; nil, or Invalid, is what the file says
	Config  *arch.Config  // what a Hugging Face folder says of the network; may be nil

	// Sample, if not nil, returns the shape of one sample of the images that the
	// network takes, or nil if there are none. It is called for TorchScript that does
	// not say its Input, as scripted modules do not.
	Sample func() ([]int, error)

	// Edit, if not nil, may change a program before it is converted, such as the
	// names of its inputs.
	Edit func(*aten.Program) error

	module *file.Object // of a network that was saved whole
	edit   bool         // the graph must have the weights of the file
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
	if f.Format() == file.TorchScript {
		return fromScript(f, opts)
	}
	if whole, ok := f.(interface {
		Module() (*file.Object, error)
	}); ok {
		if opts.module, err = whole.Module(); err != nil {
			return nil, err
		}
	}
	sd, notes := f.State(), []string(nil)
	if !opts.edit {
		if sd, notes, err = convert.Effective(sd); err != nil {
			return nil, err
		}
	}
	s, err := FromWeights(sd, opts)
	if err == nil {
		s.Notes = append(s.Notes, notes...)
	}
	return s, err
}

// ReadForEdit is [Read] for an edit of the file: the graph calls the weights by
// their names in the file. Where the program of the file cannot be converted, the
// names and shapes of the weights stand in for it.
func ReadForEdit(f file.File, opts Options) (*Structure, error) {
	names := f.State().Names()
	opts.edit = true
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

// fromScript converts the code of a TorchScript module. Where the file does not say
// the shape of a sample, that of the caller's images counts, or else that of a
// published network with these weights.
func fromScript(f file.File, opts Options) (*Structure, error) {
	archive, ok := f.(pickle.File)
	if !ok {
		return nil, &model.UnsupportedError{What: "the file has no code that can be read"}
	}
	s, err := archive.Script()
	if err != nil {
		return nil, err
	}
	inputs := opts.Inputs
	if inputs == nil && opts.Input != nil {
		inputs = [][]int{opts.Input}
	}
	o := script.Options{Input: inputs, Types: opts.Types, Batch: opts.Convert.Batch, ForceEval: opts.Convert.ForceEval}
	program, err := script.Decode(s, o)
	var unknown *script.ShapeError
	if errors.As(err, &unknown) {
		if opts.Sample != nil && opts.Input == nil {
			shape, err := opts.Sample()
			if err != nil {
				return nil, err
			}
			if shape != nil {
				return fromScriptOf(f, shape, opts)
			}
			// The wiring is the same for images of any size that the layers fit.
			of := opts
			for _, of.Input = range likely(f.State()) {
				if s, err := fromScript(f, of); err == nil {
					return s, nil
				}
			}
			unknown.Advice = "give the images that the network takes with --data, and a class with --class, or its graph with --like"
		}
		published, no := arch.Recognize(f.State(), arch.Options{})
		if no != nil || len(published.Program.Inputs) != 1 || len(unknown.Inputs) != 1 {
			return nil, err
		}
		shape, ok := published.Program.Inputs[0].Shape[1:].Ints()
		if !ok {
			return nil, err
		}
		o.Input = [][]int{shape}
		if program, err = script.Decode(s, o); err == nil {
			program.Notes = append(program.Notes, fmt.Sprintf("the file does not say the shape of a sample: %v is what %s has", shape, published.Family))
		}
	}
	if err != nil {
		return nil, err
	}
	return convertProgram(program, "", opts)
}

// likely returns shapes that the first layer of a network takes whose file says none:
// usual images with the channels of a convolution, or a row.
func likely(sd *model.StateDict) (shapes [][]int) {
	for _, t := range sd.All() {
		switch shape := t.Shape(); len(shape) {
		case 2:
			return [][]int{{shape[1]}}
		case 4:
			for _, size := range []int{224, 32, 28, 96, 128, 256, 299} {
				shapes = append(shapes, []int{shape[1], size, size})
			}
			for size := 4; size <= 64; size++ {
				shapes = append(shapes, []int{shape[1], size, size})
			}
			return shapes
		}
	}
	return nil
}

// fromScriptOf is [fromScript] for images of a shape, or laid out otherwise: in one row,
// or with a size of 1 last or left out.
func fromScriptOf(f file.File, shape []int, opts Options) (*Structure, error) {
	opts.Input = shape
	s, err := fromScript(f, opts)
	if err == nil {
		return s, nil
	}
	row, wide := 1, []int(nil)
	for _, d := range shape {
		if row *= d; d != 1 {
			wide = append(wide, d)
		}
	}
	for _, opts.Input = range [][]int{{row}, wide, append(wide[:len(wide):len(wide)], 1)} {
		if s, err := fromScript(f, opts); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("for images of shape %v, which --resize, --crop and --channels change: %w", shape, err)
}

// sameType refuses another element type of input i than it has.
func (o *Options) sameType(i int, name string, d model.DType) error {
	if i < len(o.Types) && o.Types[i] != model.Invalid && o.Types[i] != d {
		return &model.UnsupportedError{What: fmt.Sprintf("the input %q is %v, --input says %v", name, d, o.Types[i]), Advice: "leave the type out"}
	}
	return nil
}

func convertProgram(p *aten.Program, name string, opts Options) (*Structure, error) {
	for i, in := range p.Inputs {
		if err := opts.sameType(i, in.Name, in.DType); err != nil {
			return nil, err
		}
	}
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
	if opts.module != nil {
		n, err := arch.Sequential(sd, opts.module, opts.Input)
		if err == nil {
			return convertProgram(n.Program, n.Family, opts)
		}
		if !errors.Is(err, arch.ErrNoFamily) {
			return nil, err
		}
	}
	published, unknown := arch.Recognize(sd, arch.Options{Input: opts.Input, Config: opts.Config, Module: opts.module})
	if unknown == nil {
		return convertProgram(published.Program, published.Family, opts)
	}
	g, err := convert.Recognize(sd)
	if err == nil {
		err = opts.sameType(0, g.Inputs[0].Name, g.Inputs[0].DType)
	}
	if err == nil {
		return &Structure{Result: &aten.Result{Graph: g, State: sd}, LeNet: true}, nil
	}
	if !errors.Is(unknown, arch.ErrNoFamily) {
		err = unknown
	}
	if opts.module != nil && errors.Is(err, arch.ErrNoFamily) {
		err = &model.UnsupportedError{What: fmt.Sprintf("the network is a module of class %.100q, whose forward is not in the file, and the names of its weights are those of no known family", opts.module.Class),
			Advice: "export it with torch.export.save or torch.jit.save, which record the wiring"}
	}
	if c := opts.Config; c != nil && errors.Is(err, arch.ErrNoFamily) && c.ModelType != "" {
		err = &model.UnsupportedError{What: fmt.Sprintf("config.json calls the network %.100q%s, whose wiring is not known here", c.ModelType, c.Class()),
			Advice: "export it with torch.export.save, whose file has its wiring"}
	}
	return nil, err
}
