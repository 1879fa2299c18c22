package edit

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"sync"

	"lethe/dataset"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
)

// Where only the last layers of a network may move, what comes before them says
// the same of an image in every step. It is computed once for each image, and the
// steps begin behind it.

const (
	fileFeatures = 32 << 30 // bytes of a file; with more everything is computed in every step
	worth        = 4        // times the first part must take what the rest takes, at least
	featureBatch = 32       // images whose features are computed at once
)

// featuresInMemory is how many bytes of them stay in memory; more than that go to a
// temporary file. A test makes it small.
var featuresInMemory int64 = 512 << 20

// divided is a network in two parts: what no parameter that moves has a part in,
// and the rest.
type divided struct {
	before, behind *nn.Net
	products       float64 // of the rest for an image, see [ops.Products]
}

// divide returns a network in two parts, or nil if the first is not worth it.
func divide(net *nn.Net, sd *model.StateDict, move []string) *divided {
	parts, ok := ops.Divide(net.Graph(), sd, move)
	if !ok || worth*parts.ProductsBefore < parts.ProductsBehind {
		return nil
	}
	d := divided{products: parts.ProductsBehind}
	var err error
	if d.before, err = nn.Bind(parts.Before, sd); err != nil {
		return nil
	}
	if d.behind, err = nn.Bind(parts.Behind, sd); err != nil {
		return nil
	}
	return &d
}

// features are what the first part of a network makes of the images of a set, by
// their index; not all of them need be there.
type features struct {
	size   int
	place  []int // of an image, -1 for those that are not there
	memory []float32
	file   *os.File // in the place of memory: little-endian float32
	bytes  sync.Pool

	mu  sync.Mutex
	err error
}

// newFeatures computes the features of images of a set. It returns nil if there is
// no room for them.
func newFeatures(ctx context.Context, net *nn.Net, set *dataset.Set, norm dataset.Norm, images []int, threads int) (*features, error) {
	f := &features{size: net.Classes(), place: slices.Repeat([]int{-1}, set.Len())}
	f.bytes.New = func() any { b := make([]byte, 4*f.size); return &b }
	var distinct []int
	for _, i := range images {
		if f.place[i] < 0 {
			f.place[i] = len(distinct)
			distinct = append(distinct, i)
		}
	}
	switch need := int64(len(distinct)) * int64(f.size) * 4; {
	case need > fileFeatures:
		return nil, nil
	case need <= featuresInMemory:
		f.memory = make([]float32, len(distinct)*f.size)
	default:
		var err error
		if f.file, err = os.CreateTemp("", "lethe-features-"); err != nil {
			return nil, nil
		}
		os.Remove(f.file.Name()) // where that can be done while it is open, a kill leaves nothing
	}
	s, err := net.NewSession(featureBatch, threads, nil)
	if err == nil {
		err = learn.Evaluate(ctx, s, set, norm, distinct, f.put)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	if f.err != nil { // a full disk
		f.close()
		return nil, nil
	}
	return f, nil
}

// put stores the features of an image in their place.
func (f *features) put(at int, x []float32) {
	if f.file == nil {
		copy(f.memory[at*f.size:], x)
		return
	}
	b := f.bytes.Get().(*[]byte)
	defer f.bytes.Put(b)
	for i, v := range x {
		binary.LittleEndian.PutUint32((*b)[4*i:], math.Float32bits(v))
	}
	_, err := f.file.WriteAt(*b, int64(at)*int64(len(*b)))
	f.failed(err)
}

// Sample writes the features of image i to x.
func (f *features) Sample(i int, x []float32) {
	at := f.place[i]
	if f.file == nil {
		copy(x, f.memory[at*f.size:(at+1)*f.size])
		return
	}
	b := f.bytes.Get().(*[]byte)
	defer f.bytes.Put(b)
	_, err := f.file.ReadAt(*b, int64(at)*int64(len(*b)))
	f.failed(err)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32((*b)[4*i:]))
	}
}

func (f *features) failed(err error) {
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.err == nil {
			f.err = err
		}
	}
}

// Err returns the first error of a file.
func (f *features) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// close removes the file, if there is one.
func (f *features) close() {
	if f != nil && f.file != nil {
		f.file.Close()
		os.Remove(f.file.Name()) // elsewhere
	}
}

// whole is what a run had before it was shortened.
type whole struct {
	session          *nn.Session
	set              *dataset.Set
	judged, variants *dataset.Set // of the judge
	features         []*features
}

// shorten lets the steps begin behind what no moving parameter has a part in, if
// there is such a part and room for what it says of the images.
func (r *run) shorten(ctx context.Context) (err error) {
	if r.parts == nil {
		return nil
	}
	r.whole = &whole{session: r.session, set: r.set}
	if r.judge != nil {
		r.whole.judged, r.whole.variants = r.judge.set, r.judge.variants
	}
	defer func() {
		if err != nil || r.set == r.whole.set {
			r.lengthen()
		}
	}()
	images := slices.Concat(r.learned, r.others, r.heldOut)
	var variants *dataset.Set
	if r.judge != nil {
		images = append(images, r.judge.sample...)
		if variants, err = r.behind(ctx, r.judge.variants, indices(r.judge.variants.Len())); variants == nil {
			return err
		}
	}
	set, err := r.behind(ctx, r.set, images)
	if set == nil {
		return err
	}
	session, err := r.parts.behind.NewSession(r.ofClasses+r.ofOthers, r.opts.Threads, r.method.Trained)
	if err != nil {
		return err
	}
	r.session, r.set, r.read = session, set, set.Reader(r.opts.Norm)
	if r.judge != nil {
		r.judge.set, r.judge.variants = set, variants
	}
	return nil
}

// behind returns the set that the second part of the network takes in the place of
// another one, of which it needs some images; nil without an error where there is
// no room.
func (r *run) behind(ctx context.Context, set *dataset.Set, images []int) (*dataset.Set, error) {
	f, err := newFeatures(ctx, r.parts.before, set, r.opts.Norm, images, r.opts.Threads)
	if f == nil {
		return nil, err
	}
	r.whole.features = append(r.whole.features, f)
	return &dataset.Set{Labels: set.Labels, Shape: r.parts.behind.InputShape(), Classes: set.Classes, Source: f}, nil
}

// lengthen undoes shorten.
func (r *run) lengthen() {
	w := r.whole
	if w == nil {
		return
	}
	r.whole, r.session, r.set, r.read = nil, w.session, w.set, w.set.Reader(r.opts.Norm)
	if r.judge != nil {
		r.judge.set, r.judge.variants = w.judged, w.variants
	}
	for _, f := range w.features {
		f.close()
	}
}
