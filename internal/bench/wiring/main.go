// Command wiring trains random networks whose layers follow one another, forgets
// everything about them but the weights, and finds the wiring out again.
//
//	go run ./internal/bench/wiring -networks 60 /usr/share/datasets/fashion-mnist
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"time"

	"lethe/convert/layers"
	"lethe/dataset"
	"lethe/internal/learn"
	"lethe/internal/wiring"
	"lethe/model"
)

func main() {
	networks := flag.Int("networks", 60, "how many networks")
	first := flag.Int("first", 0, "number of the first; the seed is the number")
	steps := flag.Int("steps", 900, "steps of training, of 64 images each")
	threads := flag.Int("threads", 0, "goroutines; 0: one for each processor")
	open := flag.Bool("pixels", false, "leave the normalization of the pixels open, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), *first, *networks, *steps, *threads, *open); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, first, networks, steps, threads int, open bool) error {
	data, err := dataset.Open(dir)
	if err != nil {
		return err
	}
	right, unwarned, warned := 0, 0, 0
	for i := first; i < first+networks; i++ {
		rng := rand.New(rand.NewPCG(uint64(i), 14))
		norm := dataset.DefaultNorm(data.Train.Shape[0])
		norms := []dataset.Norm{norm}
		if open {
			norms = wiring.Norms(data.Train)
			norm = norms[rng.IntN(len(norms))]
		}
		made := random(rng, data.Train)
		start := time.Now()
		sd, loss, err := train(ctx, made, data.Train, norm, rng, steps, threads)
		if err != nil {
			return fmt.Errorf("network %d, %s: %w", i, text(made.net), err)
		}
		trained := time.Since(start)
		start = time.Now()
		draft, err := layers.Draft(sd, data.Train.Shape)
		if err != nil {
			return fmt.Errorf("network %d, %s: %w", i, text(made.net), err)
		}
		found, err := wiring.Find(ctx, sd, draft, data.Train, wiring.Options{Norms: norms, Threads: threads})
		if err != nil {
			return fmt.Errorf("network %d, %s: %w", i, text(made.net), err)
		}
		ok, err := equal(ctx, sd, made.net, norm, found.Best, data.Train)
		if err != nil {
			return err
		}
		verdict := "right"
		switch {
		case ok:
			right++
		case len(found.Doubts) == 0:
			unwarned++
			verdict = "WRONG"
		default:
			verdict = "wrong, with a warning"
		}
		if ok && len(found.Doubts) > 0 {
			warned++
			verdict = "right, with a warning"
		}
		fmt.Printf("%d: %s; loss %.3f in training, %.4f as found; %d tried in %.0f s, trained in %.0f s\n   %s\n", i, verdict, loss, found.Best.Loss, found.Tried, time.Since(start).Seconds(), trained.Seconds(), text(made.net))
		if !ok {
			own, err := meanLoss(ctx, sd, made.net, norm, data.Train)
			if err != nil {
				return err
			}
			other, err := meanLoss(ctx, sd, found.Best.Net, found.Best.Norm, data.Train)
			if err != nil {
				return err
			}
			fmt.Printf("   found %s, loss %.4f of %.4f\n", text(found.Best.Net), other, own)
		}
		for _, d := range found.Doubts {
			fmt.Printf("   doubt: %s\n", d)
		}
		for _, r := range found.Rivals[:min(3, len(found.Rivals))] {
			fmt.Printf("   rival: %+.5f (%.5f), odds e^%.1f: %s\n", r.Margin, r.Error, r.Odds, wiring.Difference(found.Best, r))
		}
	}
	fmt.Printf("%d of %d right (%d of them with a warning), %d wrong without a warning\n", right, networks, warned, unwarned)
	return nil
}

func text(n *layers.Net) string {
	list, err := n.Fixed()
	if err != nil {
		return err.Error()
	}
	return layers.Text(list)
}

// network is one that is made up.
type network struct {
	net     *layers.Net
	entries []model.Entry
}

// equal reports whether what was found computes what the network does.
func equal(ctx context.Context, sd *model.StateDict, net *layers.Net, norm dataset.Norm, found wiring.Candidate, set *dataset.Set) (bool, error) {
	images := make([]int, min(256, set.Len()))
	for i := range images {
		images[i] = i
	}
	var outs [2][]float32
	for i, c := range []wiring.Candidate{{Net: net, Norm: norm}, found} {
		bound, err := wiring.Bind(sd, c.Net)
		if err != nil {
			return false, err
		}
		if outs[i], err = learn.Outputs(ctx, bound, set, c.Norm, images, 0); err != nil {
			return false, err
		}
	}
	largest, d := 0.0, 0.0
	for i, x := range outs[0] {
		largest = max(largest, math.Abs(float64(x)))
		d = max(d, math.Abs(float64(x)-float64(outs[1][i])))
	}
	return d <= 1e-4*largest, nil
}

// meanLoss returns the mean cross-entropy of the first 8,000 images.
func meanLoss(ctx context.Context, sd *model.StateDict, net *layers.Net, norm dataset.Norm, set *dataset.Set) (float64, error) {
	bound, err := wiring.Bind(sd, net)
	if err != nil {
		return 0, err
	}
	images := make([]int, min(8000, set.Len()))
	for i := range images {
		images[i] = i
	}
	logits, err := learn.Outputs(ctx, bound, set, norm, images, 0)
	if err != nil {
		return 0, err
	}
	k, sum := bound.Classes(), 0.0
	logp, p := make([]float64, k), make([]float64, k)
	for i := range images {
		learn.LogSoftmax(logp, p, logits[i*k:][:k])
		sum -= logp[set.Labels[i]] / float64(len(images))
	}
	return sum, nil
}

// train fits a network to images with Adam and a rate that falls to 0.
func train(ctx context.Context, made *network, set *dataset.Set, norm dataset.Norm, rng *rand.Rand, steps, threads int) (*model.StateDict, float64, error) {
	sd, err := model.NewStateDict(made.entries...)
	if err != nil {
		return nil, 0, err
	}
	net, err := wiring.Bind(sd, made.net)
	if err != nil {
		return nil, 0, err
	}
	const batch = 64
	session, err := net.NewTrainingSession(batch, threads)
	if err != nil {
		return nil, 0, err
	}
	all := make([]int, set.Len())
	for i := range all {
		all[i] = i
	}
	f := learn.NewFitter(session, set, norm, all, batch, rng)
	last := 0.0
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		loss := f.Step(2e-3 * learn.Fall(float64(step)/float64(steps)))
		last += (loss - last) / float64(min(step+1, 50))
	}
	sd, err = session.StateDict(sd)
	return sd, last, err
}

// pick returns one of a list.
func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// random makes a network up: like LeNet or like VGG, with first weights as those
// of PyTorch.
func random(rng *rand.Rand, set *dataset.Set) *network {
	for {
		m := &maker{rng: rng, shape: set.Shape, n: &network{net: &layers.Net{Input: set.Shape}}, style: rng.IntN(3)}
		activations := layers.Activations()[:7]
		m.activation, m.pool = pick(rng, activations...), pick(rng, "max_pool", "max_pool", "avg_pool")
		m.norm, m.order = rng.IntN(2) == 0, pick(rng, "nap", "nap", "nap", "npa", "anp", "apn")
		if rng.IntN(2) == 0 {
			m.lenet()
		} else {
			m.vgg()
		}
		if m.shape != nil && m.classifier(set.Classes) {
			return m.n
		}
	}
}

// maker writes a network down layer by layer.
type maker struct {
	rng        *rand.Rand
	n          *network
	shape      []int // after the layers so far; nil if they do not fit
	style      int   // of the names: conv1 and fc1, one Sequential, features and classifier
	activation layers.Layer
	pool       string
	norm       bool
	order      string
	count      int // layers of the Sequential
	kinds      map[string]int
}

// name returns the path of the next module with weights.
func (m *maker) name(kind string) string {
	if m.kinds == nil {
		m.kinds = map[string]int{}
	}
	m.kinds[kind]++
	switch {
	case m.style == 0:
		return fmt.Sprintf("%s%d", kind, m.kinds[kind])
	case m.style == 2 && kind == "fc":
		return fmt.Sprintf("classifier.%d", m.count)
	case m.style == 2:
		return fmt.Sprintf("features.%d", m.count)
	}
	return fmt.Sprintf("net.%d", m.count)
}

func (m *maker) add(l layers.Layer, tensors ...model.Entry) {
	m.n.net.Slots = append(m.n.net.Slots, layers.Slot{Alternatives: [][]layers.Layer{{l}}})
	m.n.entries = append(m.n.entries, tensors...)
	m.count++
	if m.shape == nil {
		return
	}
	m.shape, _ = l.After(m.shape, func(name string) []int {
		for _, e := range m.n.entries {
			if e.Name == name {
				return e.Tensor.Shape()
			}
		}
		return nil
	})
}

// drawn returns a weight and a bias, uniform within 1/sqrt(inputs).
func (m *maker) drawn(path string, shape ...int) []model.Entry {
	n, _ := model.Elements(shape)
	bound := 1 / math.Sqrt(float64(n/shape[0]))
	draw := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(bound * float64(2*m.rng.Float64()-1))
		}
		return v
	}
	return []model.Entry{{Name: path + ".weight", Tensor: model.Float32Tensor(shape, draw(n))},
		{Name: path + ".bias", Tensor: model.Float32Tensor(shape[:1], draw(shape[0]))}}
}

// conv adds a convolution and what follows it.
func (m *maker) conv(channels, kernel, padding int, pool *[2]int) {
	if m.shape == nil {
		return
	}
	l := layers.Of("conv", m.name("conv"))
	l.Padding = [2]int{padding, padding}
	m.add(l, m.drawn(l.Module, channels, m.shape[0], kernel, kernel)...)
	for _, what := range m.order {
		switch {
		case what == 'a':
			m.add(m.activation)
		case what == 'n' && m.norm:
			n := layers.Of("batch_norm", m.name("bn"))
			vector := func(suffix string, x float32) model.Entry {
				return model.Entry{Name: n.Module + suffix, Tensor: model.Float32Tensor([]int{channels}, slices.Repeat([]float32{x}, channels))}
			}
			m.add(n, vector(".weight", 1), vector(".bias", 0), vector(".running_mean", 0), vector(".running_var", 1))
		case what == 'p' && pool != nil:
			p := layers.Of(m.pool, "")
			p.Size, p.Stride = [2]int{pool[0], pool[0]}, [2]int{pool[1], pool[1]}
			m.add(p)
		}
	}
}

func (m *maker) lenet() {
	kernel := pick(m.rng, 5, 5, 3)
	first, other := pick(m.rng, 0, kernel/2), pick(m.rng, 0, 0, kernel/2)
	size := pick(m.rng, [2]int{2, 2}, [2]int{2, 2}, [2]int{3, 2})
	m.conv(pick(m.rng, 6, 8, 10, 16, 20), kernel, first, &size)
	m.conv(pick(m.rng, 16, 24, 32), kernel, other, &size)
}

func (m *maker) vgg() {
	width := pick(m.rng, 8, 12, 16)
	padding := pick(m.rng, 1, 1, 1, 0)
	size := [2]int{2, 2}
	for stage := range pick(m.rng, 2, 3) {
		for i, convs := 0, pick(m.rng, 1, 2); i < convs; i++ {
			pool := &size
			if i < convs-1 {
				pool = nil
			}
			m.conv(width<<stage, 3, padding, pool)
		}
	}
}

// classifier adds the linear layers. It reports whether the network fits.
func (m *maker) classifier(classes int) bool {
	m.add(layers.Of("flatten", ""))
	if m.style == 2 {
		m.count = 0
	}
	widths := pick(m.rng, []int{}, []int{64}, []int{120, 84}, []int{128})
	for _, w := range append(widths, classes) {
		if m.shape == nil || m.shape[0] > 4000 {
			return false
		}
		l := layers.Of("linear", m.name("fc"))
		m.add(l, m.drawn(l.Module, w, m.shape[0])...)
		if w != classes {
			m.add(m.activation)
		}
	}
	return m.shape != nil
}
