package script

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// settleTypes looks at the inputs of a program that were taken for floats because
// nothing says their types. Images whose elements the code makes floats and divides by
// 255 are bytes. If the code asks for types and computes something else for bytes or
// truth values, only a person can tell which they are.
func settleTypes(p *aten.Program, e *evaluator, s *file.Script, opts Options) (*aten.Program, error) {
	types := map[int]model.DType{}
	for _, i := range e.untyped {
		if in := p.Inputs[i]; in.DType.IsFloat() && isBytes(p, in) {
			types[i] = model.Uint8
		}
	}
	if len(types) > 0 {
		if bytes, _, err := decode(s, opts, types); err == nil {
			return bytes, nil
		}
	}
	if !e.asked {
		return p, nil
	}
	for _, i := range e.untyped {
		if !p.Inputs[i].DType.IsFloat() {
			continue
		}
		for _, d := range []model.DType{model.Uint8, model.Bool} {
			other, _, err := decode(s, opts, map[int]model.DType{i: d})
			if err != nil || slices.Equal(operators(p), operators(other)) {
				continue
			}
			return nil, &model.UnsupportedError{
				What:   fmt.Sprintf("what the network computes depends on whether its input %q is %v or %v, which the file does not say", p.Inputs[i].Name, d, p.Inputs[i].DType),
				Advice: fmt.Sprintf("say it with --input, such as %v:3x224x224 or %v:3x224x224", d, p.Inputs[i].DType),
			}
		}
	}
	return p, nil
}

// layouts are operators that leave the elements what they are.
const layouts = " permute transpose unsqueeze squeeze contiguous clone view reshape flatten slice select flip movedim detach alias "

// isBytes reports whether a program makes the elements of an input floats, and divides
// them by 255: then they are bytes, or numbers that are the same for it.
func isBytes(p *aten.Program, in *aten.Value) bool {
	same, real := map[any]bool{in: true}, map[any]bool{}
	scaled := false
	for _, n := range p.Nodes {
		name := strings.TrimSuffix(strings.TrimPrefix(n.Op, "aten."), "_")
		var of any
		for _, a := range n.Args {
			if v, ok := a.Value.(*aten.Value); ok && (same[v] || real[v]) {
				of = v
			}
		}
		if of == nil {
			continue
		}
		switch {
		case strings.Contains(layouts, " "+name+" "):
		case len(n.Outputs) == 1 && n.Outputs[0].DType.IsFloat() && slices.Contains([]string{"to", "_to_copy", "float", "half", "double", "type_as"}, name):
			real[n.Outputs[0]] = true
		case real[of] && len(n.Args) > 1 && (name == "div" && near(n.Args[1].Value, 255) || name == "mul" && near(n.Args[1].Value, 1./255)):
			scaled = true
		case !real[of]:
			return false // read as it is
		}
		if strings.Contains(layouts, " "+name+" ") && same[of] {
			for _, v := range n.Outputs {
				same[v] = true
			}
		} else if strings.Contains(layouts, " "+name+" ") {
			for _, v := range n.Outputs {
				real[v] = true
			}
		}
	}
	return scaled
}

// near reports whether an argument is a number, up to rounding.
func near(v any, want float64) bool {
	x, ok := v.(float64)
	if n, isInt := v.(int64); isInt {
		x, ok = float64(n), true
	}
	return ok && math.Abs(x-want) <= 1e-4*want
}

// operators lists what a program computes, but for casts.
func operators(p *aten.Program) []string {
	var out []string
	for _, n := range p.Nodes {
		switch strings.TrimSuffix(n.Op, "_") {
		case "aten.to", "aten._to_copy", "aten.float", "aten.type_as":
			continue
		}
		line := n.Op
		for _, a := range n.Args {
			switch a.Value.(type) {
			case bool, int64, float64, string, []int64, graph.Shape:
				line += fmt.Sprint(" ", a.Value)
			}
		}
		out = append(out, line)
	}
	return out
}
