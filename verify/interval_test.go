package verify

import (
	"math"
	"slices"
	"testing"
)

func TestAUCByHand(t *testing.T) {
	for _, c := range []struct {
		positive, negative []float64
		want               float64
	}{
		{[]float64{3, 1}, []float64{2, 0}, 0.75}, // 3 > 2, 3 > 0, 1 > 0
		{[]float64{1}, []float64{1}, 0.5},
		{[]float64{2, 1}, []float64{1}, 0.75},
		{[]float64{1, 2}, []float64{0, -1}, 1},
		{[]float64{0}, []float64{5, 7}, 0},
	} {
		got := auc(c.positive, c.negative)
		if got.Value != c.want || got.Low < 0 || got.High > 1 || got.Low > got.Value || got.High < got.Value {
			t.Errorf("%v over %v: got %+v, want %v", c.positive, c.negative, got, c.want)
		}
	}
}

func TestMidranks(t *testing.T) {
	if got, want := midranks([]float64{5, 1, 5, 3, 5, 1}), []float64{5, 1.5, 5, 3, 5, 1.5}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Three of four, twice, are as sure as 30 of 40 images and no surer.
func TestShareOfRuns(t *testing.T) {
	same, images := shareOfRuns([]float64{0.75, 0.75, 0.75}, 40), proportion(30, 40)
	if !near(same.Low, images.Low) || !near(same.High, images.High) || same.Value != 0.75 || same.N != 3 {
		t.Errorf("equal runs: got %+v, want the interval of %+v", same, images)
	}
	apart := shareOfRuns([]float64{0.7, 0.75, 0.8}, 40)
	student := meanOfRuns([]float64{0.7, 0.75, 0.8})
	if want := 0.75 - math.Hypot(0.75-student.Low, 0.75-images.Low); !near(apart.Low, want) {
		t.Errorf("low %v, want %v", apart.Low, want)
	}
	if all := shareOfRuns([]float64{1, 1, 1}, 5); all.High != 1 || !(all.Low > 0 && all.Low < 0.7) {
		t.Errorf("nothing but hits: %+v", all)
	}
}

func TestTogether(t *testing.T) {
	half := 0.5
	a, b, c := proportion(30, 40), proportion(34, 40), proportion(38, 40)
	a.Others, b.Others, c.AtLeast = &half, &half, true
	if got := combineNetworks([]Estimate{a}, true); got != a {
		t.Errorf("one network: %+v, want %+v", got, a)
	}
	got, student := combineNetworks([]Estimate{a, b, c}, true), meanOfRuns([]float64{0.75, 0.85, 0.95})
	own := (0.75 - a.Low + 0.85 - b.Low + 0.95 - c.Low) / 3
	if want := 0.85 - math.Hypot(0.85-student.Low, own); !near(got.Value, 0.85) || !near(got.Low, want) || got.High != 1 || !got.AtLeast || *got.Others != 0.5 || got.N != 40 {
		t.Errorf("got %+v, want from %v", got, want)
	}
	if steps := combineNetworks([]Estimate{{Value: 3, Low: 3, High: 3}, {Value: 5, Low: 5, High: 5}}, false); steps.Value != 4 || steps.Low != 0 || !(steps.High > 16) {
		t.Errorf("steps: %+v", steps)
	}
}

func TestOverlap(t *testing.T) {
	a := &Estimate{Low: 1, High: 2}
	for _, c := range []struct {
		low, high float64
		want      bool
	}{{0, 0.5, false}, {0, 1, true}, {1.5, 1.6, true}, {0, 3, true}, {2, 3, true}, {2.1, 3, false}} {
		b := &Estimate{Low: c.low, High: c.high}
		if a.overlap(b) != c.want || b.overlap(a) != c.want {
			t.Errorf("%v and %v: want %v", a, b, c.want)
		}
	}
}
