package verify

import (
	"math"
	"math/rand/v2"
	"slices"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/kernel"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
)

// accuracy returns the share of right ones among the predictions for the unseen
// images, of the classes or of the others.
func (a *auditor) accuracy(predictions []int, forgotten bool) Estimate {
	hits, n := 0, 0
	for i, l := range a.q.Test.Labels {
		if a.forgotten[l] == forgotten {
			n++
			if predictions[i] == int(l) {
				hits++
			}
		}
	}
	return proportion(hits, n)
}

func (a *auditor) divergence(logits []float32) Estimate {
	var all []float64
	for i, l := range a.q.Test.Labels {
		if a.forgotten[l] {
			kl := kernel.Log(float64(a.k))
			for _, lp := range logProbabilities(logits[i*a.k : (i+1)*a.k]) {
				kl += float64(kernel.Exp(lp) * lp)
			}
			all = append(all, kl)
		}
	}
	e := mean(all)
	e.Value, e.Low = max(0, e.Value), max(0, e.Low)
	return e
}

func (a *auditor) rank(s *observation) (Estimate, error) {
	var scores [2][]float64
	for i, l := range a.q.Test.Labels {
		score := math.Inf(-1)
		for c, v := range s.logits[i*a.k : (i+1)*a.k] {
			if a.forgotten[c] {
				score = math.Max(score, float64(v))
			}
		}
		side := 1
		if a.forgotten[l] {
			side = 0
		}
		scores[side] = append(scores[side], score)
	}
	return auc(scores[0], scores[1]), nil
}

// classifier returns the accuracy of a linear classifier on the inputs of the
// last layer.
func (a *auditor) classifier(x, w []float64) Estimate {
	predictions := classify(x, w, a.k, a.q.Threads)
	e := a.accuracy(predictions, true)
	others := a.accuracy(predictions, false).Value
	e.Others = &others
	return e
}

func (a *auditor) probe(s *observation) (Estimate, error) {
	d := s.featureNet.Classes()
	fitted, test := standardize(s.probed, s.inputs, d)
	r := &regression{x: fitted, labels: a.labels(a.probed), classes: a.k, penalty: probePenalty, threads: a.q.Threads}
	return a.classifier(test, r.fit()), nil
}

func (a *auditor) labels(images []int) []int {
	out := make([]int, len(images))
	for i, image := range images {
		out[i] = int(a.q.Train.Labels[image])
	}
	return out
}

// standardize returns the features of both sets less the mean and over the
// standard deviation (divisor n) of the first; a feature that does not vary is
// only centred.
func standardize(fitted, test []float64, d int) (x, y []float64) {
	x, y = slices.Clone(fitted), slices.Clone(test)
	n := float64(len(x) / d)
	for j := range d {
		m, squares := 0.0, 0.0
		for i := j; i < len(x); i += d {
			m += x[i]
		}
		m /= n
		for i := j; i < len(x); i += d {
			squares += float64((x[i] - m) * (x[i] - m))
		}
		deviation := math.Sqrt(squares / n)
		if deviation <= 1e-7*math.Abs(m) { // rounding, in features of 24 bits
			deviation = 1
		}
		for _, v := range [][]float64{x, y} {
			for i := j; i < len(v); i += d {
				v[i] = (v[i] - m) / deviation
			}
		}
	}
	return x, y
}

func (a *auditor) retune(s *observation, images int) (Estimate, error) {
	var shares, others []float64
	n := 0
	for run := range fewRuns {
		if err := a.ctx.Err(); err != nil {
			return Estimate{}, err
		}
		rng := rand.New(rand.NewPCG(a.seed, uint64(run)))
		var drawn []int
		for _, have := range a.byClass {
			for _, i := range rng.Perm(len(have))[:min(images, len(have))] {
				drawn = append(drawn, have[i])
			}
		}
		x, err := a.features(s, a.q.Train, drawn)
		if err != nil {
			return Estimate{}, err
		}
		e := a.classifier(s.inputs, retuned(x, a.labels(drawn), a.k, s.w, a.q.Threads))
		shares, others, n = append(shares, e.Value), append(others, *e.Others), e.N
	}
	return withOthers(shareOfRuns(shares, n), others), nil
}

// retuned returns the last layer w0 fitted to a few samples. Scaling the inputs,
// and the layer inversely, makes the distance between layers mean the same for
// inputs of any magnitude: an edit could make them small.
func retuned(x []float64, labels []int, classes int, w0 []float64, threads int) []float64 {
	rms := math.Sqrt(dot(x, x) / float64(len(x)))
	if rms == 0 {
		rms = 1
	}
	inputs := len(w0) - classes // weights that are not intercepts
	scaled, from := make([]float64, len(x)), slices.Clone(w0)
	for i, v := range x {
		scaled[i] = v / rms
	}
	for i := range inputs {
		from[i] *= rms
	}
	r := &regression{x: scaled, labels: labels, classes: classes, penalty: fewPenalty, w0: from, threads: threads}
	w := r.fit()
	for i := range inputs {
		w[i] /= rms
	}
	return w
}

func withOthers(e Estimate, others []float64) Estimate {
	m, _ := moments(others)
	e.Others = &m
	return e
}

// tuner returns a session of the network in which every parameter is trained,
// with the running statistics fixed, and the fitter of it.
func (a *auditor) tuner(s *observation, images []int, batch, run int) (*nn.Session, *learn.Fitter, error) {
	session, err := s.net.NewSession(max(4*tuneBatch, batch), a.q.Threads, ops.Parameters(s.net.Graph()))
	if err != nil {
		return nil, nil, err
	}
	rng := rand.New(rand.NewPCG(a.seed, uint64(run)))
	return session, learn.NewFitter(session, a.q.Train, a.q.Norm, images, batch, rng), nil
}

func (a *auditor) relearn(s *observation) (Estimate, error) {
	return a.stepsUntil(s, relearnShare, func(*rand.Rand) (images []int, batch int) { return all(a.q.Train), tuneBatch })
}

// stepsUntil returns how many steps of training bring back a share of the
// accuracy that the class had before the edit. images draws those that a run
// trains on.
func (a *auditor) stepsUntil(s *observation, share float64, images func(*rand.Rand) (images []int, batch int)) (Estimate, error) {
	class, _ := a.q.Test.Split(a.q.Classes...)
	var steps []float64
	atLeast := false
	for run := range relearnRuns {
		drawn, batch := images(rand.New(rand.NewPCG(a.seed, uint64(run))))
		session, fitter, err := a.tuner(s, drawn, batch, run)
		if err != nil {
			return Estimate{}, err
		}
		step := 0
		for ; ; step++ {
			back, err := learn.Reaches(a.ctx, session, a.q.Test, a.q.Norm, class, share*a.before)
			if err != nil {
				return Estimate{}, err
			}
			if back {
				break
			}
			if step == relearnMost {
				atLeast = true
				break
			}
			fitter.Step(tuneRate)
		}
		steps = append(steps, float64(step))
	}
	e := meanOfRuns(steps)
	e.Low, e.AtLeast = max(0, e.Low), atLeast
	return e, nil
}

func (a *auditor) fineTune(s *observation) (Estimate, error) {
	class, rest := a.q.Test.Split(a.q.Classes...)
	_, others := a.q.Train.Split(a.q.Classes...)
	var shares, remain []float64
	for run := range fineTuneRuns {
		session, fitter, err := a.tuner(s, others, tuneBatch, run)
		if err != nil {
			return Estimate{}, err
		}
		for range fineTuneSteps {
			if err := a.ctx.Err(); err != nil {
				return Estimate{}, err
			}
			fitter.Step(tuneRate)
		}
		for _, side := range []struct {
			images     []int
			accuracies *[]float64
		}{{class, &shares}, {rest, &remain}} {
			accuracy, err := learn.Accuracy(a.ctx, session, a.q.Test, a.q.Norm, side.images)
			if err != nil {
				return Estimate{}, err
			}
			*side.accuracies = append(*side.accuracies, accuracy)
		}
	}
	return withOthers(shareOfRuns(shares, len(class)), remain), nil
}

// memberPairs returns training and test images of the classes, as many of each
// class on both sides, in the order of the sets.
func (a *auditor) memberPairs() (pairs [2][]int) {
	for c, seen := range a.byClass {
		if a.forgotten[c] {
			test, _ := a.q.Test.Split(c)
			n := min(len(seen), len(test))
			pairs[0], pairs[1] = append(pairs[0], seen[:n]...), append(pairs[1], test[:n]...)
		}
	}
	return pairs
}

func (a *auditor) members(s *observation) (Estimate, error) {
	pairs := a.memberPairs()
	var losses [2][]float64
	for side, set := range []*dataset.Set{a.q.Train, a.q.Test} {
		logits, err := a.outputs(s.net, set, pairs[side])
		if err != nil {
			return Estimate{}, err
		}
		for i, image := range pairs[side] {
			losses[side] = append(losses[side], -logProbabilities(logits[i*a.k : (i+1)*a.k])[set.Labels[image]])
		}
	}
	return membership(losses[0], losses[1]), nil
}

// membership returns how well a logistic regression tells members from as many
// others by one number of each, in stratified folds of neighbours.
func membership(members, others []float64) Estimate {
	n, hits := len(members), 0
	fold := func(i int) int { return i * folds / n }
	for f := range folds {
		r := &regression{classes: 2, penalty: memberPenalty, threads: 1}
		for side, all := range [][]float64{others, members} {
			for i, v := range all {
				if fold(i) != f {
					r.x, r.labels = append(r.x, v), append(r.labels, side)
				}
			}
		}
		w := r.fit()
		for side, all := range [][]float64{others, members} {
			for i, v := range all {
				if fold(i) == f && classify([]float64{v}, w, 2, 1)[0] == side {
					hits++
				}
			}
		}
	}
	return proportion(hits, 2*n)
}

// changeWeights returns sd with the weights of convolutions and fully connected
// layers as change, which is given one tensor at a time, leaves them.
func changeWeights(g *graph.Graph, sd *model.StateDict, change func(v []float32)) (*model.StateDict, error) {
	var changed []model.Entry
	for _, name := range ops.Parameters(g) {
		old := sd.Get(name)
		if len(old.Shape()) < 2 { // a bias or a scale
			continue
		}
		v, err := old.Float32s()
		if err != nil {
			return nil, err
		}
		change(v)
		changed = append(changed, model.Entry{Name: name, Tensor: model.Float32Tensor(old.Shape(), v)})
	}
	return sd.WithAll(changed...), nil
}

// roundInt8 rounds weights to the nearest of 255 levels of a scale for all of
// them, ties to even.
func roundInt8(v []float32) {
	top := 0.0
	for _, x := range v {
		top = math.Max(top, math.Abs(float64(x)))
	}
	if step := top / intLevels; step > 0 {
		for i, x := range v {
			v[i] = float32(math.RoundToEven(float64(x)/step) * step)
		}
	}
}
