package verify

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"lethe/graph"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
)

// Settings of the measures in this file. They are part of the definitions.
const (
	meanRuns        = 10
	neighbours      = 10
	neighbourImages = 200 // of each class
	relearnFew      = 20  // images of each class
	relearnFewShare = 0.5 // of the accuracy before the edit
	prunedShare     = 0.5 // of the weights of a tensor
	layerImages     = 200 // of each class
	layerMost       = 6   // layers that are probed, beside the last
	layerInputs     = 256 // numbers that a probe takes, at most, where a value has more channels than one
)

const earlierLayers = "linear probes of the earlier layers"

// nearestMean is the measure of the nearest of the classes' means, of so many
// images of each; 0 stands for all that the linear probe is fitted to.
func nearestMean(images int) auditMeasure {
	m := auditMeasure{
		name: "nearest_mean", isShare: true, title: "nearest class mean", unaudited: "nearest class means of the penultimate features",
		definition: fmt.Sprintf("accuracy on unseen images of the class by the nearest of the means of the classes' first %d training images, by Euclidean distance of the standardized inputs of the last layer; Wilson's interval", probeImages),
		measure:    func(a *auditor, s *observation) (Estimate, error) { return a.byMeans(s, images) },
	}
	if images > 0 {
		m.name, m.title = fmt.Sprintf("nearest_mean_%d", images), fmt.Sprintf("nearest class mean, %d a class", images)
		m.definition = fmt.Sprintf("as nearest_mean, with the means of %d training images of every class; mean of %d draws, Student's and Wilson's intervals together", images, meanRuns)
		m.lacks = func(a *auditor) string { return a.lacksImages(images) }
	}
	return m
}

func (a *auditor) byMeans(s *observation, images int) (Estimate, error) {
	d := s.featureNet.Classes()
	fitted, test := standardize(s.probed, s.inputs, d)
	labels := a.labels(a.probed)
	judge := func(x []float64, labels []int) Estimate { return a.classifier(test, meanRule(x, labels, a.k)) }
	if images == 0 {
		return judge(fitted, labels), nil
	}
	var shares, others []float64
	n := 0
	for run := range meanRuns {
		x, y := draw(rand.New(rand.NewPCG(a.seed, uint64(run))), fitted, labels, a.k, images)
		e := judge(x, y)
		shares, others, n = append(shares, e.Value), append(others, *e.Others), e.N
	}
	return withOthers(shareOfRuns(shares, n), others), nil
}

// draw returns so many of the rows of every class, or as many as there are.
func draw(rng *rand.Rand, x []float64, labels []int, classes, each int) (rows []float64, of []int) {
	d := len(x) / len(labels)
	for c := range classes {
		var have []int
		for i, l := range labels {
			if l == c {
				have = append(have, i)
			}
		}
		for _, i := range rng.Perm(len(have))[:min(each, len(have))] {
			rows, of = append(rows, x[have[i]*d:(have[i]+1)*d]...), append(of, c)
		}
	}
	return rows, of
}

// meanRule returns the linear classifier that answers with the nearest of the
// classes' means m: the largest of m.x - ||m||^2/2. A class without samples is
// never the answer.
func meanRule(x []float64, labels []int, classes int) []float64 {
	d := len(x) / len(labels)
	w, count := make([]float64, (d+1)*classes), make([]float64, classes)
	for i, l := range labels {
		count[l]++
		for j, v := range x[i*d : (i+1)*d] {
			w[j*classes+l] += v
		}
	}
	for c, n := range count {
		if n == 0 {
			w[d*classes+c] = math.Inf(-1)
			continue
		}
		for j := range d {
			m := w[j*classes+c] / n
			w[j*classes+c] = m
			w[d*classes+c] -= float64(m * m / 2)
		}
	}
	return w
}

func (a *auditor) nearest(s *observation) (Estimate, error) {
	d := s.featureNet.Classes()
	var x []float64
	var labels []int
	seen := make([]int, a.k)
	for i, l := range a.labels(a.probed) {
		if seen[l]++; seen[l] <= neighbourImages {
			x, labels = append(x, s.probed[i*d:(i+1)*d]...), append(labels, l)
		}
	}
	fitted, test := standardize(x, s.inputs, d)
	predictions := majority(fitted, test, labels, a.k, neighbours, a.q.Threads)
	e := a.accuracy(predictions, true)
	others := a.accuracy(predictions, false).Value
	e.Others = &others
	return e, nil
}

// majority returns for every row of test the class that most of its nearest rows
// of x have, the first of equals. Of rows at the same distance the first count.
func majority(x, test []float64, labels []int, classes, nearest, threads int) []int {
	d := len(x) / len(labels)
	out := make([]int, len(test)/d)
	parallel((len(out)+block-1)/block, threads, func(b int) {
		distances, order := make([]float64, nearest), make([]int, nearest)
		for i := b * block; i < min((b+1)*block, len(out)); i++ {
			row, have := test[i*d:(i+1)*d], 0
			for r := range labels {
				sum := 0.0
				for j, v := range x[r*d : (r+1)*d] {
					sum += float64((v - row[j]) * (v - row[j]))
				}
				if have == nearest && sum >= distances[have-1] {
					continue
				}
				have = min(have+1, nearest)
				at := have - 1
				for ; at > 0 && distances[at-1] > sum; at-- {
					distances[at], order[at] = distances[at-1], order[at-1]
				}
				distances[at], order[at] = sum, r
			}
			votes := make([]float64, classes)
			for _, r := range order[:have] {
				votes[labels[r]]++
			}
			out[i] = learn.Best(votes)
		}
	})
	return out
}

// probeOutputs probes the logits of the other classes, less their mean.
func (a *auditor) probeOutputs(s *observation) (Estimate, error) {
	logits, err := a.outputs(s.net, a.q.Train, a.probed)
	if err != nil {
		return Estimate{}, err
	}
	fitted, test := standardize(a.strange(logits), a.strange(s.logits), a.k-a.forgottenClasses())
	r := &regression{x: fitted, labels: a.labels(a.probed), classes: a.k, penalty: probePenalty, threads: a.q.Threads}
	return a.classifier(test, r.fit()), nil
}

func (a *auditor) forgottenClasses() (n int) {
	for _, is := range a.forgotten {
		if is {
			n++
		}
	}
	return n
}

// strange returns, row by row, the logits of the other classes less their mean:
// what their softmax tells.
func (a *auditor) strange(logits []float32) []float64 {
	others := a.k - a.forgottenClasses()
	out := make([]float64, 0, len(logits)/a.k*others)
	for at := 0; at < len(logits); at += a.k {
		mean := 0.0
		for c, v := range logits[at : at+a.k] {
			if !a.forgotten[c] {
				mean += float64(v) / float64(others)
			}
		}
		for c, v := range logits[at : at+a.k] {
			if !a.forgotten[c] {
				out = append(out, float64(v)-mean)
			}
		}
	}
	return out
}

func (a *auditor) relearnFromFew(s *observation) (Estimate, error) {
	return a.stepsUntil(s, relearnFewShare, func(rng *rand.Rand) (images []int, batch int) {
		for _, have := range a.byClass {
			for _, i := range rng.Perm(len(have))[:min(relearnFew, len(have))] {
				images = append(images, have[i])
			}
		}
		return images, len(images)
	})
}

// pruned is a measure of the network without the smaller half of its weights.
func pruned(name string, of func(a *auditor, logits []float32) Estimate) auditMeasure {
	title := map[string]string{"accuracy": "accuracy on the class", "others": "accuracy on the others"}[name]
	return auditMeasure{
		name: "pruned_" + name, isShare: true, title: "pruned: " + title, unaudited: "effect of pruning",
		definition: fmt.Sprintf("as %s, with the share of %g of every weight of a convolution or a fully connected layer that is smallest in magnitude set to 0; Wilson's interval", name, prunedShare),
		measure: func(a *auditor, s *observation) (Estimate, error) {
			if s.pruned == nil {
				sd, err := changeWeights(s.net.Graph(), s.sd, prune)
				if err != nil {
					return Estimate{}, err
				}
				net, err := nn.Bind(s.net.Graph(), sd)
				if err != nil {
					return Estimate{}, err
				}
				if s.pruned, err = a.outputs(net, a.q.Test, a.unseen); err != nil {
					return Estimate{}, err
				}
			}
			return of(a, s.pruned), nil
		},
	}
}

// prune sets the smaller part of weights to 0; of equals the first go.
func prune(v []float32) {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Compare(math.Abs(float64(v[i])), math.Abs(float64(v[j])))
	})
	for _, i := range order[:int(math.RoundToEven(prunedShare*float64(len(v))))] {
		v[i] = 0
	}
}

// layerProbes returns a measure for the input of every layer with weights but
// the first and the last, or of some, evenly spread, where there are many.
func layerProbes(g *graph.Graph, sd *model.StateDict) []auditMeasure {
	values := nn.InputsOfLayers(g, sd)
	n := min(len(values), layerMost)
	var list []auditMeasure
	for i := range n {
		at := i
		if n > 1 {
			at = i * (len(values) - 1) / (n - 1)
		}
		list = append(list, auditMeasure{
			name: fmt.Sprintf("layer_probe_%d", at+2), isShare: true, title: fmt.Sprintf("linear probe, input of layer %d", at+2),
			definition: fmt.Sprintf("as linear_probe, of the input of layer %d of those with weights, fitted to the first %d training images of every class; a value with positions is averaged over cells, at most %d numbers in all", at+2, layerImages, layerInputs),
			measure:    func(a *auditor, s *observation) (Estimate, error) { return a.probeLayer(s, values[at]) },
		})
	}
	return list
}

func (a *auditor) probeLayer(s *observation, value string) (Estimate, error) {
	part, shape, err := nn.BindTo(s.net, s.sd, value)
	if err != nil {
		return Estimate{}, err
	}
	p := newPooling(shape, layerInputs)
	var images []int
	seen := make([]int, a.k)
	for i, l := range a.labels(a.probed) {
		if seen[l]++; seen[l] <= layerImages {
			images = append(images, a.probed[i])
		}
	}
	var x [2][]float64
	for side, of := range [2][]int{images, a.unseen} {
		set := a.q.Train
		if side == 1 {
			set = a.q.Test
		}
		session, err := part.NewSession(min(learn.Batch, len(of)), a.q.Threads, nil)
		if err != nil {
			return Estimate{}, err
		}
		x[side] = make([]float64, len(of)*p.size())
		if err := learn.Evaluate(a.ctx, session, set, a.q.Norm, of, func(i int, v []float32) {
			p.pool(x[side][i*p.size():(i+1)*p.size()], v)
		}); err != nil {
			return Estimate{}, err
		}
	}
	fitted, test := standardize(x[0], x[1], p.size())
	r := &regression{x: fitted, labels: a.labels(images), classes: a.k, penalty: probePenalty, threads: a.q.Threads}
	return a.classifier(test, r.fit()), nil
}

// pooling averages a value of channels, height and width over cells, as
// adaptive_avg_pool2d of PyTorch does. What has fewer or more dimensions stays
// as it is.
type pooling struct {
	channels, height, width, rows, columns int
}

// newPooling returns the pooling into as many cells as leave at most so many
// numbers, 4 by 4 at the most and one at the least.
func newPooling(shape []int, most int) pooling {
	if len(shape) != 3 {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return pooling{n, 1, 1, 1, 1}
	}
	cells := 4
	for cells > 1 && shape[0]*cells*cells > most {
		cells--
	}
	return pooling{shape[0], shape[1], shape[2], min(cells, shape[1]), min(cells, shape[2])}
}

func (p pooling) size() int { return p.channels * p.rows * p.columns }

func (p pooling) pool(dst []float64, x []float32) {
	span := func(cell, cells, size int) (lo, hi int) {
		return cell * size / cells, ((cell+1)*size + cells - 1) / cells
	}
	for c := range p.channels {
		for r := range p.rows {
			top, bottom := span(r, p.rows, p.height)
			for k := range p.columns {
				left, right := span(k, p.columns, p.width)
				sum := 0.0
				for y := top; y < bottom; y++ {
					for _, v := range x[(c*p.height+y)*p.width+left : (c*p.height+y)*p.width+right] {
						sum += float64(v)
					}
				}
				dst[(c*p.rows+r)*p.columns+k] = sum / float64((bottom-top)*(right-left))
			}
		}
	}
}
