package wiring

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/convert/layers"
)

// climb follows single changes for as long as one makes the score smaller: another
// activation or kind of pooling everywhere, another activation between the linear
// layers, another alternative in one place, another normalization. It returns the
// best wiring and those near it, evaluated on all images, the best first.
func (s *search) climb(pool []*candidate) ([]*candidate, error) {
	few, some, all := min(128, len(s.images)), min(1024, len(s.images)), len(s.images)
	for range stepsMax {
		best := pool[0]
		list, err := s.evaluate(s.changes(best, s.unique), few)
		if err != nil {
			return nil, err
		}
		list = distinct(list, few)
		if list, err = s.evaluate(list[:min(finalists, len(list))], some); err != nil {
			return nil, err
		}
		pool = distinct(append(pool, list...), some)
		pool = pool[:min(finalists, len(pool))]
		if pool[0] != best && best.score(some)-pool[0].score(some) > improvement {
			continue
		}
		if pool, err = s.evaluate(pool, all); err != nil {
			return nil, err
		}
		if pool = distinct(pool, all); pool[0] == best || best.score(all)-pool[0].score(all) < improvement {
			return pool, nil
		}
	}
	pool, err := s.evaluate(pool, all)
	return distinct(pool, all), err
}

// changes returns the wirings that differ from one in one place, in one that the others
// follow, or in that and in a convolution, as far as they fit and choose, which may put another candidate in the place of one, does not return nil.
func (s *search) changes(c *candidate, choose func(*candidate) *candidate) []*candidate {
	var out []*candidate
	add := func(change func(*candidate)) {
		d := &candidate{wiring: c.wiring.Clone(), norm: c.norm}
		change(d)
		if s.fits(d) {
			if d := choose(d); d != nil {
				out = append(out, d)
			}
		}
	}
	for norm := range s.opts.Norms {
		add(func(d *candidate) { d.norm = norm })
	}
	for a := range s.net.Activations {
		add(func(d *candidate) {
			for i := range d.wiring.Activation {
				d.wiring.Activation[i] = a
			}
		})
		add(func(d *candidate) {
			for i := s.linear(); i < len(s.net.Slots); i++ {
				d.wiring.Activation[i] = a
			}
		})
	}
	for p := range s.net.Poolings {
		add(func(d *candidate) {
			for i := range d.wiring.Pooling {
				d.wiring.Pooling[i] = p
			}
		})
	}
	for i, slot := range s.net.Slots {
		for a := range slot.Alternatives {
			add(func(d *candidate) { d.wiring.Alternative[i] = a })
			add(func(d *candidate) { s.follow(d.wiring.Alternative, i, a) })
			if !slices.EqualFunc(slot.Alternatives[a], slot.Alternatives[c.wiring.Alternative[i]], func(x, y layers.Layer) bool { return x.Op == y.Op }) {
				continue // what follows another order is tried with the convolutions as they are
			}
			for j, other := range s.net.Slots {
				for b, list := range other.Alternatives {
					if len(list) > 0 && list[0].Op == "conv" && b != c.wiring.Alternative[j] {
						add(func(d *candidate) {
							s.follow(d.wiring.Alternative, i, a)
							d.wiring.Alternative[j] = b
						})
					}
				}
			}
		}
	}
	return out
}

// follow sets the alternative of slot i and lets the others follow: what normalizes,
// activates and pools becomes the same everywhere, where there is such an alternative.
// Networks pool alike everywhere, and where the padding of one convolution is wrong the
// pooling of all has to be wrong for the shapes to fit.
func (s *search) follow(alternative []int, i, a int) {
	same := func(list []layers.Layer) bool {
		return slices.EqualFunc(list, s.net.Slots[i].Alternatives[a], func(x, y layers.Layer) bool {
			x.Line, y.Line = 0, 0
			if x.Op == "batch_norm" {
				x.Module, y.Module = "", ""
			}
			return x == y
		})
	}
	for j, slot := range s.net.Slots {
		if b := slices.IndexFunc(slot.Alternatives, same); b >= 0 {
			alternative[j] = b
		}
	}
}

// linear returns the first slot of linear layers.
func (s *search) linear() int {
	return max(0, slices.IndexFunc(s.net.Slots, func(slot layers.Slot) bool {
		return slices.ContainsFunc(slot.Alternatives[0], func(l layers.Layer) bool { return l.Op == "linear" })
	}))
}

// fits reports whether the shapes of a wiring fit the weights.
func (s *search) fits(c *candidate) bool {
	net := s.net.Fix(c.wiring)
	list, err := net.Fixed()
	if err != nil {
		return false
	}
	shape := net.Input
	for i := range list {
		if shape, err = list[i].After(shape, s.shapes); err != nil {
			return false
		}
	}
	return len(shape) == 1
}

// usual puts the candidate first that has the most usual activations among those at
// the head of the pool that nothing tells apart: ReLU and its leaky kind of slope
// 0.01 are nearly the same function. The best of the others that are as regular is taken
// of which what the gradients say and its lead, which may be below 0, are enough.
func (s *search) usual(pool []*candidate) error {
	n, first := len(s.images), pool[0]
	var alike []*candidate
	for _, c := range pool {
		if c.score(n)-first.score(n) < tie && c.norm == first.norm &&
			slices.Equal(c.wiring.Alternative, first.wiring.Alternative) && slices.Equal(c.wiring.Pooling, first.wiring.Pooling) {
			alike = append(alike, c)
		}
	}
	most := slices.MinFunc(alike, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), slices.Compare(a.wiring.Activation, b.wiring.Activation))
	})
	best := most
	for _, c := range alike {
		if c == most || c.cost > most.cost {
			continue
		}
		share, lead, err := s.rest(c, most)
		if err != nil {
			return err
		}
		if share+min(max(lead/leadUnits, -leadMost), leadMost) > enough {
			best = c
			break
		}
	}
	at := slices.Index(pool, best)
	copy(pool[1:at+1], pool[:at])
	pool[0] = best
	return nil
}

// rivals reports whether the losses do not tell a candidate from the best.
func (s *search) rivals(best, c *candidate) bool {
	n := len(s.images)
	margin, deviation := difference(best.losses, c.losses)
	lead := c.score(n) - best.score(n)
	return lead < sureMargin || margin < sureZ*deviation && lead < 10*sureMargin
}

// report compares the best with the others.
func (s *search) report(pool []*candidate, more bool) *Found {
	n := len(s.images)
	best := pool[0]
	show := func(c *candidate) Candidate {
		margin, deviation := difference(best.losses, c.losses)
		return Candidate{s.net.Fix(c.wiring), s.opts.Norms[c.norm], c.mean(n), margin, deviation, odds(best.deviations, c.deviations), ruledOut(best.deviations, c.deviations)}
	}
	f := &Found{Best: show(best), Images: n, Tried: int(s.tried.Load()), More: more}
	doubt := func(format string, args ...any) { f.Doubts = append(f.Doubts, fmt.Sprintf(format, args...)) }
	for _, c := range pool[1:min(len(pool), finalists)] {
		r := show(c)
		f.Rivals = append(f.Rivals, r)
		if s.rivals(best, c) && !r.Ruled {
			doubt("nearly as good, with a loss that is %+.2g (standard error %.1g), is %s", r.Margin, r.Error, Difference(f.Best, r))
		}
	}
	if guess := math.Log(float64(max(2, s.classes()))); f.Best.Loss > hopelessLoss*guess {
		doubt("the loss is %.3f nats, that of guessing is %.3f: the network was not trained on such images, or its wiring is none of those that were tried", f.Best.Loss, guess)
	}
	return f
}

func (s *search) classes() int {
	seen := map[int]bool{}
	for _, l := range s.set.Labels {
		seen[l] = true
	}
	return len(seen)
}

// difference returns the mean of b - a and its standard error.
func difference(a, b []float64) (mean, deviation float64) {
	n := float64(len(a))
	for i := range a {
		mean += (b[i] - a[i]) / n
	}
	for i := range a {
		d := b[i] - a[i] - mean
		deviation += d * d
	}
	return mean, math.Sqrt(deviation / (n - 1) / n)
}

// Difference says in what a candidate differs from another.
func Difference(from, to Candidate) string {
	a, _ := from.Net.Fixed()
	b, _ := to.Net.Fixed()
	// What both have at the beginning and at the end is left out.
	for len(a) > 0 && len(b) > 0 && a[0].String() == b[0].String() {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1].String() == b[len(b)-1].String() {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	var parts []string
	add := func(text string) {
		if !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	if len(a) == len(b) {
		for i := range a {
			if x, y := a[i].String(), b[i].String(); x != y {
				add(y + " instead of " + x)
			}
		}
	} else {
		add(layers.Text(b) + " instead of " + layers.Text(a))
	}
	if Describe(from.Norm) != Describe(to.Norm) {
		add("pixels with " + Describe(to.Norm))
	}
	return strings.Join(parts, ", ")
}

// Notes says what was found, for a person, a line for each.
func (f *Found) Notes() []string {
	notes := []string{fmt.Sprintf("found with %d images among %d wirings: mean loss %.4f, pixels with %s", f.Images, f.Tried, f.Best.Loss, Describe(f.Best.Norm))}
	if len(f.Rivals) > 0 {
		r := slices.MinFunc(f.Rivals, func(a, b Candidate) int { return cmp.Compare(a.Margin, b.Margin) })
		notes = append(notes, fmt.Sprintf("the next wiring has a loss that is %+.2g, %.3g standard errors: %s", r.Margin, r.Margin/max(r.Error, 1e-12), Difference(f.Best, r)))
		if r.Ruled {
			notes = append(notes, fmt.Sprintf("what batch normalization remembers of the images speaks against that one, with odds of %.2g to 1 if its features were independent", math.Exp(min(r.Odds, 100))))
		}
	}
	if f.More {
		notes = append(notes, "more wirings fit the shapes; the most irregular ones were not tried")
	}
	for _, d := range f.Doubts {
		notes = append(notes, "WARNING: "+d)
	}
	return notes
}
