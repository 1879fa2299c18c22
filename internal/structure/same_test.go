package structure_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"lethe/internal/structure"
	"lethe/pickle"
)

// outline returns a graph without the names of values: the operators with their
// attributes, and where each input comes from.
func outline(s *structure.Structure) []string {
	from := map[string]string{}
	for _, in := range s.Graph.Inputs {
		from[in.Name] = fmt.Sprintf("input %v%v", in.DType, in.Shape)
	}
	for name, w := range s.State.All() {
		b, _ := w.Bytes()
		from[name] = fmt.Sprintf("%s %x", name, b)
	}
	for name, c := range s.Graph.Constants {
		b, _ := c.Bytes()
		from[name] = fmt.Sprintf("constant %v%v %x", c.DType(), c.Shape(), b)
	}
	var lines []string
	for i, n := range s.Graph.Nodes {
		line := n.Op
		for _, in := range n.Inputs {
			line += " (" + from[in] + ")"
		}
		for _, k := range slices.Sorted(maps.Keys(n.Attrs)) {
			line += fmt.Sprintf(" %s=%v", k, n.Attrs[k])
		}
		for j, out := range n.Outputs {
			from[out] = fmt.Sprintf("%d.%d", i, j)
		}
		lines = append(lines, line)
	}
	for _, out := range s.Graph.Outputs {
		lines = append(lines, from[out.Name])
	}
	return lines
}

// The exported program, the traced and the scripted module, the state dict and the
// network saved whole are the same graph up to names: a residual network, a
// densely connected one, and one of channels that are shuffled.
func TestSameGraphFromAllFiles(t *testing.T) {
	for _, network := range []string{"same-resnet", "same-densenet", "same-squeezenet"} {
		var want []string
		for _, kind := range []string{".pt2", "-traced.pt", "-scripted.pt", "-state.pt", "-whole.pt"} {
			b, err := os.ReadFile("testdata/" + network + kind)
			if err != nil {
				t.Fatal(err)
			}
			c, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{Inert: true})
			if err != nil {
				t.Fatal(err)
			}
			s, err := structure.Read(pickle.File{Checkpoint: c}, structure.Options{Input: []int{3, 64, 64}})
			if err != nil {
				t.Errorf("%s%s: %v", network, kind, err)
				continue
			}
			got := outline(s)
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				at := 0
				for at < min(len(got), len(want)) && got[at] == want[at] {
					at++
				}
				t.Errorf("%s%s has %d lines, the .pt2 %d; the first that differ:\n%.300s\n%.300s", network, kind, len(got), len(want),
					strings.Join(got[at:min(at+1, len(got))], ""), strings.Join(want[at:min(at+1, len(want))], ""))
			}
		}
	}
}
