package edit

import (
	"math"
	"testing"
)

// What a network that never saw a class says of it lies between what the base says
// behind the mask and what the pixels tell.
func TestAimDivergence(t *testing.T) {
	net, sd, set := base(t)
	u := &unseen{run: &run{opts: unseenOptions(3, 0), net: net, set: set, k: net.Classes(), steps: steps}}
	if err := u.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	forget, others := set.Split(3)
	masked := 0.0
	for _, i := range forget {
		masked += u.divergence(u.masked[i], 1) / float64(len(forget))
	}
	pixels, ok := u.pixelDivergence(forget, others)
	u.aimKL = masked
	u.aimDivergence(forget, others)
	if !ok || !(pixels > 0 && pixels < math.Log(10)) || math.Abs((math.Log(10)-u.aimKL)*(math.Log(10)-u.aimKL)-(math.Log(10)-masked)*(math.Log(10)-pixels)) > 1e-9 {
		t.Errorf("steered for %v, behind the mask %v, of the pixels %v, %v", u.aimKL, masked, pixels, ok)
	}
	u.separation = nil // as where the pixels tell little
	u.aimKL = masked
	if u.aimDivergence(forget, others); !(u.aimKL > masked && u.aimKL < masked+surer*math.Log(10)) {
		t.Errorf("without pixels %v, behind the mask %v", u.aimKL, masked)
	}
}

func TestDivergence(t *testing.T) {
	u := &unseen{run: &run{k: 4}}
	for _, test := range []struct {
		probabilities []float32
		power, want   float64
	}{
		{[]float32{0.25, 0.25, 0.25, 0.25}, 3, 0},
		{[]float32{0, 1, 0, 0}, 1, math.Log(4)},
		{[]float32{0.5, 0.5, 0, 0}, 7, math.Log(2)},
		{[]float32{0.5, 0.25, 0.125, 0.125}, 1, math.Log(4) - 1.75*math.Log(2)},
		{[]float32{0.5, 0.25, 0.125, 0.125}, 1e-9, 0},
	} {
		if got := u.divergence(test.probabilities, test.power); math.Abs(got-test.want) > 1e-6 {
			t.Errorf("%v to the power %v: %v, want %v", test.probabilities, test.power, got, test.want)
		}
	}
}
