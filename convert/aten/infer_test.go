package aten

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// Every operator of the table tells what it makes, or is refused: there is a rule
// for it, unless another package must say the sizes.
func TestInferRules(t *testing.T) {
	without := map[string]bool{}
	for name := range strings.FieldsSeq("mkldnn_rnn_layer _prelu_kernel _native_batch_norm_legit_functional " +
		"_batch_norm_no_update _batch_norm_with_update _batch_norm_with_update_functional _fused_rms_norm empty_strided empty_permuted new_empty_strided") {
		without["aten."+name] = true
	}
	for name, r := range known().rows {
		base := name
		if s, ok := synonyms[name]; ok {
			base = s
		}
		bare, _, _ := strings.Cut(strings.TrimPrefix(base, "aten."), ".")
		has := r.lower == nil || known().infer[base] != nil || known().infer["aten."+bare] != nil
		if internal := strings.HasPrefix(bare, "_scaled_dot_product"); !has && !internal && !without[base] {
			t.Errorf("nothing says what %s makes", name)
		} else if has && without[base] {
			t.Errorf("%s has a rule, and is listed as one without", name)
		}
	}
	for name := range known().infer {
		if known().rows[name] == nil {
			bare, _, _ := strings.Cut(strings.TrimPrefix(name, "aten."), ".")
			if known().rows["aten."+bare] == nil {
				t.Errorf("%s has a rule for its sizes and no row", name)
			}
		}
	}
}

// No arguments make a rule or a row fail in another way than by refusing.
func TestAnyArguments(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := slices.Sorted(maps.Keys(known().rows))
	size := func() graph.Dim {
		return []graph.Dim{graph.Size(0), graph.Size(1), graph.Size(2), graph.Size(4), graph.Symbol("N")}[r.IntN(5)]
	}
	tries := 60
	if testing.Short() {
		tries = 10
	}
	for _, name := range names {
		for range tries {
			p := &Program{Name: name}
			value := func() *Value {
				v := &Value{Name: "x", DType: []model.DType{model.Float32, model.Int64, model.Bool}[r.IntN(8)%3], Shape: graph.Shape{}}
				for range r.IntN(5) {
					v.Shape = append(v.Shape, size())
				}
				p.Inputs = append(p.Inputs, v)
				return v
			}
			number := func() int64 { return []int64{-3, -2, -1, 0, 1, 2, 3, 7, 1 << 40}[r.IntN(9)] }
			argument := func() any {
				switch r.IntN(11) {
				case 0, 1:
					return value()
				case 2, 3:
					return number()
				case 4:
					return []int64{number(), number()}[:1+r.IntN(2)]
				case 5:
					return graph.Shape{size(), size()}
				case 6:
					return []*Value{value(), value()}
				case 7:
					return r.IntN(2) == 0
				case 8:
					return []any{0.5, "same", []float64{2, 2}, model.Float32, size(), []int64{}}[r.IntN(6)]
				}
				return nil
			}
			op, overload, _ := strings.Cut(strings.TrimPrefix(name, "aten."), ".")
			n := &Node{Op: "aten." + op, Overload: overload}
			for i, param := range known().rows[name].params {
				if i == 0 && r.IntN(8) > 0 {
					n.Args = append(n.Args, Arg{param.name, value()})
				} else if param.required || r.IntN(3) == 0 {
					n.Args = append(n.Args, Arg{param.name, argument()})
				}
			}
			if err := Infer(n); err != nil {
				continue
			}
			p.Nodes = []*Node{n}
			for i, v := range n.Outputs {
				v.Name = "y"
				if i == 0 {
					p.Outputs = []Output{{"y", v}}
				}
			}
			_, _ = Convert(p, Options{Opset: 21})
		}
	}
}
