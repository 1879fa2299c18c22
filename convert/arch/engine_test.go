package arch_test

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/internal/nn"
)

// TestEngine runs the networks of TestLogits in the engine that trains: logits as
// torch has them, to 1e-4 of the largest.
func TestEngine(t *testing.T) {
	b, err := os.ReadFile("testdata/logits.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]struct {
		Weights [][3]any
		Size    int
		Gain    float64
		Logits  [][]float64
		Largest float64
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	dicts := shapes(t, "testdata/torchvision.json.gz")
	for _, name := range slices.Sorted(maps.Keys(golden)) {
		g := golden[name]
		t.Run(name, func(t *testing.T) {
			sd := dicts[name]
			if sd == nil {
				sd = dict(t, g.Weights)
			}
			n, err := arch.Recognize(fill(t, sd, g.Gain), arch.Options{Input: []int{3, g.Size, g.Size}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := aten.Convert(n.Program, aten.Options{})
			if err != nil {
				t.Fatal(err)
			}
			net, err := nn.Bind(r.Graph, r.State)
			if err != nil {
				t.Fatal(err)
			}
			logits, err := net.Logits(uniform("input", len(g.Logits)*3*g.Size*g.Size), 1)
			if err != nil {
				t.Fatal(err)
			}
			for i, row := range g.Logits {
				for c, want := range row {
					if got := float64(logits[i*net.Classes()+c]); math.Abs(got-want) > 1e-4*g.Largest {
						t.Fatalf("logit %d of sample %d is %v, torch has %v", c, i, got, want)
					}
				}
			}
		})
	}
}
