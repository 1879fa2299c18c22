package wiring

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/ops"
)

// Numbers of the evidence of running statistics.
const (
	statisticsImages = 4096 // whose statistics are compared
	twinsMost        = 12   // of a candidate, whose statistics are compared
	twinImages       = 512  // which is done on so many images
	nearMost         = 16   // candidates that are a change away from one, that are run on all images
	sureOdds         = 5.0  // logarithm of the odds from which on a rival may be no rival; see ruledOut
	someOdds         = 0.5  // and from which on another wiring is not taken, with that of the losses
	clearly          = 0.3  // square of the difference of two gradients in standard errors, for each parameter, from which on it speaks with full weight
	leadUnits        = 12.0 // standard errors of a lead in the losses that weigh as much as all of the gradients
	leadMost         = 0.2  // and what they weigh at most
	enough           = 0.3  // of what losses and gradients say against the most usual wiring, from which on it is not taken
	restImages       = 8    // times the images of other comparisons that gradients are taken of
	restLeast        = 8192 // images that they are taken of at least
	restProducts     = 1e12 // products, forward, that those beyond may take
)

// deviations returns how far the running statistics of each feature of batch
// normalization, which are means over the images that the network was trained on under
// its own wiring, are from those that the wiring of c computes: for the mean
//
//	(mean - running)^2 / running variance
//
// and for the variance half of the square of ln(variance / running variance). Both
// have the same expectation if a feature is normally distributed and the two were
// computed from different images. There are none if the network has no batch
// normalization or cannot be trained here. They are those of the first so many images.
func (s *search) deviations(c *candidate, images int) ([]float64, error) {
	var paths []string
	for _, name := range s.sd.Names() {
		if path, ok := strings.CutSuffix(name, "running_mean"); ok && s.sd.Get(path+"running_var") != nil {
			paths = append(paths, path)
		}
	}
	chunks := min(len(s.images), images) / nn.ChunkSamples
	if len(paths) == 0 || chunks < 2 {
		return nil, nil
	}
	net, err := Bind(s.sd, s.net.Fix(c.wiring))
	if err != nil {
		return nil, err
	}
	session, err := net.NewTrainingSession(nn.ChunkSamples, 1)
	if err != nil {
		return nil, nil // it normalizes something else than one vector of a sample
	}
	sums := map[string][]float64{}
	before, err := s.float64s(session, paths)
	if err != nil {
		return nil, err
	}
	stored := before
	read := s.set.Reader(s.opts.Norms[c.norm])
	for chunk := range chunks {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		images := s.images[chunk*nn.ChunkSamples:]
		session.Step(nn.ChunkSamples, func(i int, x []float32) { read(images[i], x) }, func(_ int, _, grad []float32) { clear(grad) })
		after, err := s.float64s(session, paths)
		if err != nil {
			return nil, err
		}
		for name, now := range after {
			if sums[name] == nil {
				sums[name] = make([]float64, len(now))
			}
			for i, x := range now {
				sums[name][i] += (x - (1-nn.Momentum)*before[name][i]) / nn.Momentum / float64(chunks)
			}
		}
		before = after
	}
	var out []float64
	for _, path := range paths {
		mean, variance := path+"running_mean", path+"running_var"
		for i, v := range stored[variance] {
			if !(v > 0) {
				continue // a feature that is always the same tells nothing
			}
			d, l := sums[mean][i]-stored[mean][i], math.Log(max(sums[variance][i]/v, 1e-6))
			out = append(out, d*d/v, l*l/2)
		}
	}
	return out, s.set.Err()
}

// float64s returns the running statistics of a session by their names.
func (s *search) float64s(session *nn.Session, paths []string) (map[string][]float64, error) {
	sd, err := session.StateDict(s.sd)
	if err != nil {
		return nil, err
	}
	out := map[string][]float64{}
	for _, path := range paths {
		for _, name := range []string{path + "running_mean", path + "running_var"} {
			v, err := sd.Get(name).Float32s()
			if err != nil {
				return nil, fmt.Errorf("%.100q: %w", name, err)
			}
			for _, x := range v {
				out[name] = append(out[name], float64(x))
			}
		}
	}
	return out, nil
}

// odds returns the logarithm of the odds for a wiring with the deviations a against
// one with the deviations b, if each of n is the square of a normally distributed
// number with a variance that is not known, and all of them are independent: the
// likelihood of their sum s is proportional to s^(-n/2), whatever the variance, so that
// the logarithm is n/2 ln(sum of b / sum of a).
func odds(a, b []float64) float64 {
	if len(a) == 0 || len(a) != len(b) {
		return 0
	}
	x, y := 1e-12, 1e-12
	for i := range a {
		x, y = x+a[i], y+b[i]
	}
	return float64(len(a)) / 2 * math.Log(y/x)
}

// ruledOut reports whether running statistics speak against a wiring with the deviations
// b so much that it is no rival of one with the deviations a. The odds alone do not tell:
// the mean and the variance of a feature hang together, and a few features that training
// has moved can decide. So the deviations of b must also be larger feature by feature, in
// those that are not the same under both, by as many standard errors as losses must be
// image by image. Deviations have long tails, so their logarithms are compared, above a
// floor, which is the mean deviation under a.
func ruledOut(a, b []float64) bool {
	if !(odds(a, b) >= sureOdds) {
		return false
	}
	features := len(a) / 2
	floor := 0.0
	for _, d := range a {
		floor += d / float64(features)
	}
	var x, y []float64
	for i := range features {
		if own, rival := a[2*i]+a[2*i+1], b[2*i]+b[2*i+1]; math.Abs(own-rival) > 1e-9*floor {
			x, y = append(x, math.Log(own+floor)), append(y, math.Log(rival+floor))
		}
	}
	if len(x) < 4 {
		return false
	}
	margin, deviation := difference(x, y)
	return margin >= sureZ*deviation
}

// settle puts the candidate first that the running statistics of batch
// normalization speak for, of those that the losses do not tell apart.
func (s *search) settle(pool []*candidate) ([]*candidate, error) {
	least, near, err := s.remembered(pool)
	if err != nil {
		return nil, err
	}
	// The pool has few of those that the losses do not tell apart: the others are a change
	// away from the best of these.
	for range stepsMax {
		if len(least.deviations) == 0 {
			break
		}
		before := least
		if pool, err = s.widen(pool, least); err != nil {
			return nil, err
		}
		if least, near, err = s.remembered(pool); err != nil {
			return nil, err
		}
		if odds(least.deviations, before.deviations) < someOdds {
			break
		}
	}
	// One that they rule out does not win. Of those that are left, odds of e weigh as much
	// as a loss that is larger by tie; where neither speaks clearly, the more usual wins.
	kept, others := split(pool, func(c *candidate) bool { return slices.Contains(near, c) && !ruledOut(least.deviations, c.deviations) })
	n := len(s.images)
	against := func(c *candidate) float64 {
		return odds(least.deviations, c.deviations) + (c.score(n)-kept[0].score(n))/tie
	}
	limit := someOdds + against(slices.MinFunc(kept, func(a, b *candidate) int { return cmp.Compare(against(a), against(b)) }))
	front, rest := split(kept, func(c *candidate) bool { return len(c.deviations) == 0 || against(c) < limit })
	if err := s.usual(front); err != nil {
		return nil, err
	}
	return slices.Concat(front, rest, others), nil
}

// split returns the candidates that are something, and the others.
func split(list []*candidate, is func(*candidate) bool) (yes, no []*candidate) {
	for _, c := range list {
		if is(c) {
			yes = append(yes, c)
		} else {
			no = append(no, c)
		}
	}
	return yes, no
}

// remembered returns, of the candidates that the losses do not tell from the first, the one
// with the smallest deviations, and all of them.
func (s *search) remembered(pool []*candidate) (least *candidate, near []*candidate, err error) {
	for _, c := range pool {
		if s.rivals(pool[0], c) {
			near = append(near, c)
		}
	}
	problems := make([]error, len(near))
	s.parallel(len(near), s.threads(), func(i int) {
		if c := near[i]; c.deviations == nil {
			c.deviations, problems[i] = s.leastDeviations(c)
		}
	})
	if err := errors.Join(append(problems, s.ctx.Err())...); err != nil {
		return nil, nil, err
	}
	for _, c := range near {
		if least == nil || odds(least.deviations, c.deviations) < 0 {
			least = c
		}
	}
	return least, near, nil
}

// leastDeviations returns the smallest deviations of a candidate and its twins: a pooling
// before a normalization or behind an activation computes the same where both grow with
// what they take, but what the normalization remembers of the images is another thing.
func (s *search) leastDeviations(c *candidate) ([]float64, error) {
	least, err := s.deviations(c, twinImages)
	if err != nil || len(least) == 0 {
		return []float64{}, err
	}
	some := min(1024, len(s.images))
	for _, twin := range c.twins[:min(len(c.twins), twinsMost)] {
		if err := s.run(twin, some, 1); err != nil || !same(c, twin, some) { // they were compared on few images
			continue
		}
		d, err := s.deviations(twin, twinImages)
		if err != nil {
			return nil, err
		}
		if odds(d, least) > 0 {
			c, least = twin, d
		}
	}
	return s.deviations(c, statisticsImages)
}

// widen adds to a pool the candidates that are a change away from one, as far as the losses
// do not tell them from the first of the pool.
func (s *search) widen(pool []*candidate, c *candidate) ([]*candidate, error) {
	few, some, all := min(128, len(s.images)), min(1024, len(s.images)), len(s.images)
	isNew := func(d *candidate) *candidate {
		if d = s.known(d); d == nil || slices.ContainsFunc(pool, func(o *candidate) bool { return o == d || slices.Contains(o.twins, d) }) {
			return nil
		}
		return d
	}
	list, err := s.evaluate(s.changes(c, isNew), few)
	if err != nil {
		return nil, err
	}
	for _, n := range []int{some, all} {
		list = distinct(list, min(few, n))
		if list, err = s.evaluate(list[:min(len(list), nearMost)], n); err != nil {
			return nil, err
		}
		few = n
	}
	list = slices.DeleteFunc(list, func(d *candidate) bool { return !s.rivals(pool[0], d) })
	return distinct(append(slices.Clone(pool), list...), all), nil
}

// rest returns how much the gradients speak for a, as a share: 1 if where training has
// ended is a place of rest of a, 0 if it is one of b, and what lies between. Training
// leaves a gradient of which only chance is known, in each element in proportion to its
// standard error; under a the mean gradient is that, and under b it has the difference of
// the two on top of it. So with elements in units of their standard errors
//
//	share = -<gradient under b, difference> / |difference|^2
//
// is 0 or 1 on average. Where the difference is small beside chance, the share says
// little and is made smaller. The mean lead of the losses of a over those of b comes with
// it, in its standard errors. Both are 0 if the networks cannot be trained here.
func (s *search) rest(a, b *candidate) (share, lead float64, err error) {
	for _, c := range []*candidate{a, b} {
		if c.slope == nil {
			if c.slope, err = s.gradient(c); err != nil {
				return 0, 0, err
			}
		}
	}
	if len(a.slope.means) != len(b.slope.means) || len(a.slope.losses) != len(b.slope.losses) {
		return 0, 0, nil
	}
	along, length := 0.0, 0.0
	for i, m := range a.slope.means {
		if v := (a.slope.variances[i] + b.slope.variances[i]) / 2; v > 0 {
			d := m - b.slope.means[i]
			along -= float64(b.slope.means[i]*d) / v
			length += float64(d*d) / v
		}
	}
	if length == 0 {
		return 0, 0, nil
	}
	mean, deviation := difference(a.slope.losses, b.slope.losses)
	clear := min(length/float64(len(a.slope.means))/clearly, 1)
	return clear * min(max(along/length, 0), 1), mean / max(deviation, 1e-12), nil
}

// slope is how the loss falls where training has ended: over chunks of images, the mean
// of the gradient of each parameter and the square of its standard error, and the loss of
// each image. It is empty if the network cannot be trained here.
type slope struct{ means, variances, losses []float64 }

func (s *search) gradient(c *candidate) (*slope, error) {
	none := new(slope)
	net, err := Bind(s.sd, s.net.Fix(c.wiring))
	if err != nil {
		return nil, err
	}
	images := s.every[:min(len(s.every), max(restLeast, int(restProducts/ops.Products(net.Graph(), s.sd))))]
	chunks := len(images) / nn.ChunkSamples
	if chunks < 2 {
		return none, nil
	}
	session, err := net.NewTrainingSession(nn.ChunkSamples, 1)
	if err != nil {
		return none, nil
	}
	size := len(session.Grad())
	g := &slope{make([]float64, size), make([]float64, size), make([]float64, chunks*nn.ChunkSamples)}
	read := s.set.Reader(s.opts.Norms[c.norm])
	for chunk := range chunks {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		from := chunk * nn.ChunkSamples
		session.Step(nn.ChunkSamples, func(i int, x []float32) { read(images[from+i], x) }, func(i int, logits, grad []float32) {
			logp, p := make([]float64, len(logits)), make([]float64, len(logits))
			learn.LogSoftmax(logp, p, logits)
			label := s.set.Labels[images[from+i]]
			g.losses[from+i] = -logp[label]
			p[label]--
			for k := range grad {
				grad[k] = float32(p[k])
			}
		})
		for i, x := range session.Grad() {
			g.means[i] += float64(x)
			g.variances[i] += float64(x) * float64(x)
		}
	}
	n := float64(chunks)
	for i := range g.means {
		g.means[i] /= n
		g.variances[i] = (g.variances[i]/n - float64(g.means[i]*g.means[i])) / (n - 1)
	}
	return g, s.set.Err()
}
