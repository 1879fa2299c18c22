package aten

import (
	"errors"
	"fmt"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// check folds and checks the graph. A graph that this module cannot evaluate is
// right all the same; then a person is told.
func (v *converter) check(sd *model.StateDict) error {
	err := v.fold(sd)
	if err == nil {
		err = v.checkShapes(sd)
	}
	var unsupported *model.UnsupportedError
	var limit *model.LimitError
	if errors.As(err, &unsupported) || errors.As(err, &limit) {
		v.notes = append(v.notes, "the sizes inside were not checked: "+err.Error())
		return nil
	}
	return err
}

// fold computes what depends on neither an input nor a tensor of the state
// dict, such as a mask that the program fills element by element.
func (v *converter) fold(sd *model.StateDict) error {
	var real []model.Entry
	for name, t := range sd.All() {
		if t.DType().IsFloat() { // those are not folded; the others are left out, so that they are not either
			real = append(real, model.Entry{Name: name, Tensor: t})
		}
	}
	weights, err := model.NewStateDict(real...)
	if err != nil {
		return err
	}
	g, err := ops.Fold(v.g, weights)
	if err == nil {
		v.g = g
	}
	return err
}

// checkShapes compares the sizes that the program claims for its values with
// those that follow from ONNX's operators: a program that lies about a size
// would otherwise become a wrong model.
func (v *converter) checkShapes(sd *model.StateDict) error {
	facts, err := ops.Infer(v.g, sd)
	if err != nil {
		return err
	}
	v.g.Types = map[string]graph.Type{}
	for i := range v.g.Nodes {
		n := &v.g.Nodes[i]
		for _, name := range n.Outputs {
			value := v.labels[name]
			if value == nil {
				continue
			}
			t := facts.Type(name)
			if !agree(t.Shape, value.Shape) || t.DType != model.Invalid && t.DType != value.DType {
				return &model.FormatError{Format: "program", Member: n.Label(), Offset: -1,
					Reason: fmt.Sprintf("the program says that %q is %v%v, its operator makes %v%v", value.Name, value.DType, value.Shape, t.DType, t.Shape)}
			}
			v.g.Types[name] = graph.Type{DType: value.DType, Shape: value.Shape}
		}
	}
	for _, out := range v.g.Outputs {
		delete(v.g.Types, out.Name)
	}
	return nil
}

// agree reports whether two shapes are the same for batches of several sizes,
// as far as they are known.
func agree(a, b graph.Shape) bool {
	if a == nil || b == nil {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		for _, n := range []int{1, 2, 3, 7} {
			symbols := map[string]int{graph.BatchSymbol: n}
			x, ok := a[i].Eval(symbols)
			y, known := b[i].Eval(symbols)
			if ok && known && x != y {
				return false
			}
		}
	}
	return true
}
