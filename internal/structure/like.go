package structure

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/convert/layers"
	"lethe/file"
	"lethe/model"
	"lethe/ops"
)

// ReadLayers reads a file that describes layers in a row.
func ReadLayers(path string) (*layers.Net, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	net, err := layers.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return net, nil
}

// FromLayers returns the structure that a description without open choices gives
// the weights of a state dict.
func FromLayers(sd *model.StateDict, net *layers.Net, opts Options) (*Structure, error) {
	n, err := arch.Layers(sd, net)
	if err != nil {
		return nil, err
	}
	return convertProgram(n.Program, n.Family, opts)
}

// Like returns the structure of the network in another file, with the weights of
// a state dict in the place of those that it has there. Names and shapes must be
// the same, but for a prefix of all names; element types are those of the other
// file.
func Like(sd *model.StateDict, like file.File, opts Options) (*Structure, error) {
	if !like.Format().Program() {
		return nil, &model.UnsupportedError{What: "it holds weights without a graph", Advice: "give an ONNX model or a file of torch.export.save or torch.jit.save"}
	}
	edit := opts.Edit
	opts.Edit = func(p *aten.Program) error {
		x := newExchange(sd, programNames(p))
		for i := range p.Weights {
			if w := &p.Weights[i]; !w.Constant {
				w.Tensor = x.take(w.Name, w.Tensor, false)
			}
		}
		if err := x.err(); err != nil || edit == nil {
			return err
		}
		return edit(p)
	}
	s, err := Read(like, opts)
	if err != nil || like.Format() != file.ONNX {
		return s, err
	}
	needed := append(ops.Parameters(s.Graph), ops.Buffers(s.Graph)...)
	x := newExchange(sd, needed)
	var entries []model.Entry
	for name, t := range s.State.All() {
		// A number that is part of the structure, such as a bound, is in no state dict.
		entries = append(entries, model.Entry{Name: name, Tensor: x.take(name, t, !slices.Contains(needed, name))})
	}
	if err := x.err(); err != nil {
		return nil, err
	}
	state, err := model.NewStateDict(entries...)
	if err != nil {
		return nil, err
	}
	return &Structure{Result: &aten.Result{Graph: s.Graph, State: state}}, nil
}

func programNames(p *aten.Program) []string {
	var names []string
	for _, w := range p.Weights {
		if !w.Constant {
			names = append(names, w.Name)
		}
	}
	return names
}

// exchange puts the entries of a state dict in the place of others.
type exchange struct {
	sd         *model.StateDict
	cut, put   string // prefix that only the others have, and one that only sd has
	used       map[string]bool
	missing    []string
	mismatched []string
}

// newExchange finds the prefix in which the names of sd differ from those that are
// needed.
func newExchange(sd *model.StateDict, needed []string) *exchange {
	x := &exchange{sd: sd, used: map[string]bool{}}
	if len(needed) == 0 || sd.Get(needed[0]) != nil {
		return x
	}
	for _, name := range sd.Names() {
		if rest, ok := strings.CutSuffix(name, needed[0]); ok && strings.HasSuffix(rest, ".") && x.all(needed, "", rest) {
			x.put = rest
		} else if rest, ok := strings.CutSuffix(needed[0], name); ok && strings.HasSuffix(rest, ".") && x.all(needed, rest, "") {
			x.cut = rest
		}
	}
	return x
}

func (x *exchange) all(needed []string, cut, put string) bool {
	return !slices.ContainsFunc(needed, func(name string) bool {
		rest, ok := strings.CutPrefix(name, cut)
		return !ok || x.sd.Get(put+rest) == nil
	})
}

// take returns the entry of the state dict for a tensor. One that is optional may
// stay as it is.
func (x *exchange) take(name string, like *model.Tensor, optional bool) *model.Tensor {
	own := x.put + strings.TrimPrefix(name, x.cut)
	t := x.sd.Get(own)
	switch {
	case t == nil && optional:
		return like
	case t == nil:
		x.missing = append(x.missing, own)
		return like
	}
	x.used[own] = true
	if !slices.Equal(t.Shape(), like.Shape()) || t.DType().IsFloat() != like.DType().IsFloat() {
		x.mismatched = append(x.mismatched, fmt.Sprintf("%.100q is %v%v, there %v%v", own, t.DType(), t.Shape(), like.DType(), like.Shape()))
		return like
	}
	if t.DType() == like.DType() {
		return t
	}
	if !like.DType().IsFloat() {
		return like // whole numbers of another width: a counter
	}
	wide, err := t.Float32s()
	if err == nil {
		t, err = model.FromFloat32s(like.DType(), like.Shape(), wide)
	}
	if err != nil {
		x.mismatched = append(x.mismatched, fmt.Sprintf("%.100q cannot be read: %v", own, err))
		return like
	}
	return t
}

// err says what does not fit.
func (x *exchange) err() error {
	var left []string
	aliases := x.sd.Aliases()
	for _, name := range x.sd.Names() {
		if !x.used[name] && !x.used[aliases[name]] && !strings.HasSuffix(name, "num_batches_tracked") {
			left = append(left, name)
		}
	}
	var parts []string
	for _, kind := range []struct {
		what string
		list []string
	}{{"the state dict does not have", x.missing}, {"the graph does not have", left}} {
		if n := len(kind.list); n > 0 {
			parts = append(parts, fmt.Sprintf("%s %.100q", kind.what, kind.list[:min(3, n)]))
			if n > 3 {
				parts[len(parts)-1] += fmt.Sprintf(" and %d more", n-3)
			}
		}
	}
	parts = append(parts, x.mismatched[:min(3, len(x.mismatched))]...)
	if len(parts) == 0 {
		return nil
	}
	return &model.UnsupportedError{What: "names and shapes of the state dict are not those of the graph: " + strings.Join(parts, "; "),
		Advice: "give a program of the same network, of torch.export.save or torch.jit.save: an ONNX exporter folds weights and renames them"}
}
