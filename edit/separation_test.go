package edit

import (
	"math"
	"math/rand/v2"
	"testing"
)

// drawnRows returns rows of two numbers of three classes, of which the last, which
// comes first, lies so far from the middle of the others.
func drawnRows(away float64) (*separation, [][]float32) {
	const own, each = 200, 200
	rng := rand.New(rand.NewPCG(1, 0))
	s := &separation{own: own, k: 3, forgotten: 1}
	var rows [][]float32
	add := func(class int, x, y float64) {
		s.images, s.labels = append(s.images, len(rows)), append(s.labels, class)
		rows = append(rows, []float32{float32(x + rng.NormFloat64()), float32(y + rng.NormFloat64())})
	}
	for range own {
		add(2, 0, away)
	}
	for i := range 2 * each {
		add(i%2, float64(6*(i%2)-3), 0)
	}
	return s, rows
}

// What lies apart has a small separation, what lies among the others one above that
// of guessing between three.
func TestSeparation(t *testing.T) {
	last := 0.0
	for i, away := range []float64{12, 4, 1, 0} {
		s, rows := drawnRows(away)
		got := s.measure(rows)
		if !(got > last) {
			t.Errorf("%v away: %v, nearer than what has %v", away, got, last)
		}
		if again := s.measure(rows); again != got {
			t.Errorf("%v away: %v and then %v", away, got, again)
		}
		if low, high := []float64{0, 0.1, 0.5, 0.6}[i], []float64{0.2, 0.6, 1.2, 1.5}[i]; got < low || got > high {
			t.Errorf("%v away: %v, want %v to %v", away, got, low, high)
		}
		last = got
	}
	// Every class counts the same, however many images of it there are.
	s, _ := drawnRows(0)
	if w := s.weight(true) * float64(s.own); math.Abs(w-200) > 1e-9 || s.weight(false) != 1 {
		t.Errorf("the images of the class count %v, those of another 200", w)
	}
}

// What is steered for comes from the images or from the reference, or there are
// too few images.
func TestSeparationToSteerFor(t *testing.T) {
	net, sd, set := base(t)
	u := &unseen{run: &run{opts: unseenOptions(3, 0), net: net, set: set, k: net.Classes(), steps: steps}}
	if err := u.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	if u.separation == nil || u.separation.own == 0 || !(u.separation.aim > 0 && u.separation.aim < math.Log(10)) {
		t.Fatalf("of images: %+v", u.separation)
	}
	images := u.separation.images
	if few := u.newSeparation(images[:judgeFewest-1], images[u.separation.own:]); few != nil {
		t.Errorf("of few images: %v", few.aim)
	}
	was := u.separation.aim
	u.opts.Reference = sd
	if err := u.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	if !(u.separation.aim < was) {
		t.Errorf("of the features of a network that saw the class %v, of the images %v", u.separation.aim, was)
	}
}
