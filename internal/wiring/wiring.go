// Package wiring finds out what the weights of a network do not tell: it runs the
// wirings that a description of layers leaves open on labelled images, and compares
// their losses image by image. The wiring that the network was trained with has the
// smallest mean loss on the images that it was trained on; accuracy does not tell.
package wiring

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/convert/layers"
	"lethe/dataset"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
)

// Options say how wirings are compared.
type Options struct {
	Norms    []dataset.Norm  // of the pixels, to choose from; at least one
	Images   int             // on at most so many wirings are compared, and on eight times as many those that these leave open; 0: 8,000
	Threads  int             // 0: one for each processor. The result does not depend on it
	Progress func(tried int) // may be called on several goroutines
}

// Candidate is a wiring that was tried, and how.
type Candidate struct {
	Net    *layers.Net // without open choices
	Norm   dataset.Norm
	Loss   float64 // mean cross-entropy of the images in nats
	Margin float64 // of its loss over that of the best
	Error  float64 // standard error of Margin, from the differences image by image
	Odds   float64 // of the best against it by running statistics of batch normalization, as a natural logarithm; 0 if there are none
	Ruled  bool    // running statistics speak so much against it that it is no rival
}

// Found is what the images tell.
type Found struct {
	Best   Candidate
	Rivals []Candidate // the others that were compared on all images, the best first
	Images int         // that were compared
	Tried  int         // wirings
	More   bool        // unusual wirings that fit the shapes were not tried
	Same   []Candidate // wirings that compute the same as Best
	Doubts []string    // why the answer may be wrong, for a person; empty if nothing speaks against it
}

// Numbers of images on which wirings are compared: of the rounds before the last,
// how many of them stay in a round at least, and the share that stays.
var rounds = []struct {
	images, least int
	share         float64
}{{16, 64, 0.2}, {64, 24, 0.25}, {256, 12, 0.3}, {1024, 8, 0.5}}

const (
	batch        = 256
	wiringsMax   = 250   // that fit the shapes and are tried
	mainMax      = 7     // activations that are tried everywhere at once
	imagesMax    = 8000  // by default
	lossMax      = 30    // of one image: a wrong wiring must not win or lose by a single one
	sameLoss     = 2e-6  // difference of losses of wirings that compute the same
	irregular    = 0.003 // nats for each place in which a wiring is irregular
	improvement  = 5e-4  // that a change must make to be followed
	stepsMax     = 12    // changes in a row
	finalists    = 8
	sureMargin   = 0.004 // a rival that is closer is as good
	tie          = 0.001
	sureZ        = 3.0  // standard errors
	hopelessLoss = 0.75 // of that of guessing
)

// candidate is a wiring at work.
type candidate struct {
	wiring layers.Wiring
	norm   int
	cost   int       // how far it is from a regular one
	losses []float64 // of the first images

	deviations []float64    // of the running statistics of batch normalization; see there
	slope      *slope       // of the loss; see there
	twins      []*candidate // that compute the same, and may have been trained as something else
}

// score is the mean loss of the first n images and what irregularity costs: of
// many irregular wirings some fit a network slightly better than its own.
func (c *candidate) score(n int) float64 { return c.mean(n) + irregular*float64(c.cost) }

func (c *candidate) mean(n int) float64 {
	sum := 0.0
	for _, x := range c.losses[:n] {
		sum += x
	}
	return sum / float64(n)
}

type search struct {
	ctx      context.Context
	sd       *model.StateDict
	net      *layers.Net
	set      *dataset.Set
	opts     Options
	images   []int // on which wirings are compared
	every    []int // more, these first, on which those are that nothing else tells apart
	shapes   layers.Shapes
	seen     map[string]*candidate
	tried    atomic.Int64
	problems []error // of wirings that could not be run
}

// Find returns the wiring of net whose weights are sd that fits the labelled images
// of set best. The images should be those that the network was trained on. A state
// dict or a description that does not fit the images is an error.
func Find(ctx context.Context, sd *model.StateDict, net *layers.Net, set *dataset.Set, opts Options) (*Found, error) {
	if net.Input == nil {
		open := *net
		open.Input = set.Shape
		net = &open
	}
	if !slices.Equal(net.Input, set.Shape) && !(len(net.Input) == 1 && net.Input[0] == set.Size()) {
		return nil, fmt.Errorf("the network takes inputs of shape %v, the images have the shape %v: give the images that it was trained on", net.Input, set.Shape)
	}
	if set.Len() < 2 {
		return nil, fmt.Errorf("%d images tell nothing", set.Len())
	}
	s := &search{ctx: ctx, sd: sd, net: net, set: set, opts: opts, shapes: layers.ShapesOf(sd), seen: map[string]*candidate{}}
	if s.opts.Images <= 0 {
		s.opts.Images = imagesMax
	}
	s.every = rand.New(rand.NewPCG(0, 0)).Perm(set.Len())
	s.every = s.every[:min(set.Len(), restImages*s.opts.Images)]
	s.images = s.every[:min(set.Len(), s.opts.Images)]

	list, more, err := net.Wirings(s.shapes, wiringsMax)
	if err != nil {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("no wiring of the description fits images of shape %v: %v", net.Input, err)}
	}
	pool, err := s.halve(s.everywhere(list))
	if err != nil {
		return nil, err
	}
	if len(pool) == 0 {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("no wiring of the description can be run: %v", s.problems[0])}
	}
	if pool, err = s.climb(pool); err != nil {
		return nil, err
	}
	if pool, err = s.settle(pool); err != nil {
		return nil, err
	}
	return s.report(pool, more), nil
}

// everywhere returns the wirings with one activation, one kind of pooling and one
// normalization of pixels everywhere.
func (s *search) everywhere(list []layers.Wiring) []*candidate {
	var out []*candidate
	count := func(n int) int { return max(n, 1) }
	for _, w := range list {
		for norm := range s.opts.Norms {
			for a := range min(count(len(s.net.Activations)), mainMax) {
				for p := range count(len(s.net.Poolings)) {
					c := &candidate{wiring: w.Clone(), norm: norm}
					for i := range s.net.Slots {
						c.wiring.Activation[i], c.wiring.Pooling[i] = a, p
					}
					if c := s.unique(c); c != nil {
						out = append(out, c)
					}
				}
			}
		}
	}
	return out
}

// unique returns c, or nil if there was a candidate with these layers before.
func (s *search) unique(c *candidate) *candidate {
	if known := s.known(c); known != c {
		return nil
	}
	return c
}

// known returns the candidate with the layers of c: c itself if there was none before, nil
// if these are no layers.
func (s *search) known(c *candidate) *candidate {
	key := fmt.Sprint(c.norm)
	fixed, err := s.net.Fix(c.wiring).Fixed()
	if err != nil {
		return nil
	}
	for _, l := range fixed {
		key += " " + l.String()
	}
	if before := s.seen[key]; before != nil {
		return before
	}
	s.seen[key] = c
	c.cost = s.net.Unusual(c.wiring, s.shapes)
	if i := slices.IndexFunc(c.wiring.Activation, func(a int) bool { return a >= mainMax }); i >= 0 {
		c.cost++
	}
	return c
}

// halve runs candidates on more and more images and leaves those with the smallest
// loss.
func (s *search) halve(list []*candidate) ([]*candidate, error) {
	for _, r := range rounds {
		n := min(r.images, len(s.images))
		var err error
		if list, err = s.evaluate(list, n); err != nil {
			return nil, err
		}
		keep := max(r.least, int(r.share*float64(len(list))))
		list = distinct(list, n)
		list = list[:min(keep, len(list))]
	}
	return list, nil
}

// distinct sorts candidates by loss and leaves one of each that compute the same, which
// has the others as its twins.
func distinct(list []*candidate, n int) []*candidate {
	slices.SortStableFunc(list, func(a, b *candidate) int {
		if d := a.mean(n) - b.mean(n); math.Abs(d) <= sameLoss {
			return a.cost - b.cost
		}
		return cmp.Compare(a.score(n), b.score(n))
	})
	var out []*candidate
	for _, c := range list {
		last := out[max(0, len(out)-4):]
		i := slices.IndexFunc(last, func(o *candidate) bool { return same(o, c, n) })
		if i < 0 {
			out = append(out, c)
			continue
		}
		last[i].twins = slices.Concat(last[i].twins, []*candidate{c}, c.twins)
	}
	return out
}

// same reports whether two candidates have the same losses on every image.
func same(a, b *candidate, n int) bool {
	for i := range n {
		if math.Abs(a.losses[i]-b.losses[i]) > 1e-4*(1+a.losses[i]) {
			return false
		}
	}
	return true
}

// threads returns how many goroutines there may be.
func (s *search) threads() int {
	if s.opts.Threads > 0 {
		return s.opts.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// parallel calls f with 0 to n-1 on several goroutines, until the context ends.
func (s *search) parallel(n, threads int, f func(i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range threads {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && s.ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wait.Wait()
}

// evaluate fills in the losses of the first n images and leaves out what cannot
// be run.
func (s *search) evaluate(list []*candidate, n int) ([]*candidate, error) {
	threads := s.threads()
	// Several at a time, each on one goroutine, unless there are too few.
	each := 1
	if len(list) < threads {
		threads, each = len(list), max(1, threads/max(1, len(list)))
	}
	problems := make([]error, len(list))
	s.parallel(len(list), threads, func(i int) { problems[i] = s.run(list[i], n, each) })
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	var out []*candidate
	for i, c := range list {
		if problems[i] != nil {
			s.problems = append(s.problems, problems[i])
			continue
		}
		out = append(out, c)
	}
	return out, nil
}

// Bind makes the network that a description and its weights are ready to run.
func Bind(sd *model.StateDict, net *layers.Net) (*nn.Net, error) {
	network, err := arch.Layers(sd, net)
	if err != nil {
		return nil, err
	}
	r, err := aten.Convert(network.Program, aten.Options{})
	if err != nil {
		return nil, err
	}
	return nn.Bind(r.Graph, r.State)
}

// run computes the losses of a candidate up to image n.
func (s *search) run(c *candidate, n, threads int) error {
	from := len(c.losses)
	if from >= n {
		return nil
	}
	if from == 0 {
		if tried := s.tried.Add(1); s.opts.Progress != nil {
			s.opts.Progress(int(tried))
		}
	}
	net, err := Bind(s.sd, s.net.Fix(c.wiring))
	if err != nil {
		return err
	}
	for _, l := range s.set.Labels {
		if l >= net.Classes() {
			return fmt.Errorf("the data has label %d, the network has classes 0 to %d: give the data that it was trained on", l, net.Classes()-1)
		}
	}
	session, err := net.NewSession(min(batch, n-from), threads, nil)
	if err != nil {
		return err
	}
	losses := make([]float64, n-from)
	err = learn.Evaluate(s.ctx, session, s.set, s.opts.Norms[c.norm], s.images[from:n], func(i int, logits []float32) {
		logp, p := make([]float64, len(logits)), make([]float64, len(logits))
		learn.LogSoftmax(logp, p, logits)
		losses[i] = lossMax
		if loss := -logp[s.set.Labels[s.images[from+i]]]; loss < lossMax { // not if it is not a number
			losses[i] = loss
		}
	})
	c.losses = append(c.losses, losses...)
	return err
}
