package edit

import (
	"math"
	"testing"

	"lethe/dataset"
	"lethe/internal/learn"
)

// What stands in for labels is a distribution over the classes that stay: half of
// the smoothed label, half of the network's own at twice the temperature.
func TestSoften(t *testing.T) {
	net, _, set := base(t)
	s, err := net.NewSession(64, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{opts: Options{Classes: []int{3, 4}, Norm: dataset.FashionNorm}, net: net, set: set, session: s, k: 10}
	_, others := set.Split(3, 4)
	others = others[:100]
	soft := r.soften(others)
	r.evaluate(set, others, func(i int, logits []float32) {
		logp, p := make([]float64, 10), make([]float64, 10)
		learn.LogSoftmax(logp, p, logits)
		sum := 0.0
		for c, x := range p {
			if c != 3 && c != 4 {
				sum += math.Sqrt(x)
			}
		}
		at := others[i]
		for c, x := range p {
			want := 0.0
			if c != 3 && c != 4 {
				want = (smoothing/8 + math.Sqrt(x)/sum) / 2
			}
			if c == set.Labels[at] {
				want += (1 - smoothing) / 2
			}
			if got := float64(soft[at][c]); math.Abs(got-want) > 1e-6 {
				t.Errorf("image %d, class %d: %v, want %v", at, c, got, want)
			}
		}
	})
	if forget, _ := set.Split(3, 4); soft[forget[0]] != nil {
		t.Error("an image of a forgotten class has probabilities")
	}
}
