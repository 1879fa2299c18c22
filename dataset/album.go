package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"lethe/model"
)

// Decoded images stay in memory as far as they take no more than this; the rest is
// decoded again whenever it is asked for.
const (
	decodedAtOnce = 256 << 20 // bytes of the images of a set that is decoded when it is opened
	decodedKept   = 1 << 30   // bytes of the images of a larger one
)

// album is labelled pictures that can be had one by one, by several goroutines.
type album struct {
	labels  []int
	name    func(i int) string // for errors
	header  func(i int) (channels, rows, cols int, err error)
	picture func(i int) (picture, error)
}

// load makes sets of two albums, whose images all have one shape. The second may be
// empty: then its set is nil.
func (p Preprocess) load(train, test *album, classes int) (*Set, *Set, error) {
	shape, err := p.shape(train, test)
	if err != nil {
		return nil, nil, err
	}
	var sets [2]*Set
	for i, a := range []*album{train, test} {
		if len(a.labels) == 0 {
			continue
		}
		s := &Set{Labels: a.labels, Shape: shape, Classes: classes}
		sets[i] = s
		if size := int64(s.Size()); int64(len(a.labels))*size > decodedAtOnce {
			s.later = newOnDemand(a, p, shape)
			s.at = make([]int, len(a.labels))
			for i := range s.at {
				s.at[i] = i
			}
			continue
		}
		s.Pixels = make([]uint8, len(a.labels)*s.Size())
		err := parallel(len(a.labels), func(i int) error {
			m, err := p.image(a, i, shape)
			copy(s.Image(i), m)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return sets[0], sets[1], nil
}

// shape returns the one shape of all images, after what p does to them. They have
// three channels if any picture has.
func (p Preprocess) shape(albums ...*album) ([]int, error) {
	type seen struct{ channels, rows, cols int }
	channels, first, firstName := 0, seen{}, ""
	for _, a := range albums {
		all := make([]seen, len(a.labels))
		err := parallel(len(all), func(i int) (err error) {
			s := &all[i]
			s.channels, s.rows, s.cols, err = a.header(i)
			return err
		})
		if err != nil {
			return nil, err
		}
		for i, s := range all {
			channels = max(channels, s.channels)
			if firstName == "" {
				first, firstName = s, a.name(i)
			}
			_, want := p.size(first.rows, first.cols)
			if _, got := p.size(s.rows, s.cols); got != want {
				return nil, &model.FormatError{Format: "image", Member: a.name(i), Offset: -1,
					Reason: fmt.Sprintf("it has %d x %d pixels, %s has %d x %d: all images must have one size; --resize and --crop give them one", s.rows, s.cols, firstName, first.rows, first.cols)}
			}
		}
	}
	_, size := p.size(first.rows, first.cols)
	return []int{p.channels(channels), size.Rows, size.Cols}, nil
}

// image returns the pixels of image i of an album.
func (p Preprocess) image(a *album, i int, shape []int) ([]uint8, error) {
	m, err := a.picture(i)
	if err != nil {
		return nil, err
	}
	if m, err = p.apply(a.name(i), m, shape[0]); err != nil {
		return nil, err
	}
	if m.rows != shape[1] || m.cols != shape[2] {
		return nil, &model.FormatError{Format: "image", Member: a.name(i), Offset: -1, Reason: "it has another size than its header says"}
	}
	return m.pix, nil
}

// onDemand is images that are decoded when they are asked for. The first ones that
// are, as many as decodedKept allows, stay in memory.
type onDemand struct {
	album *album
	pre   Preprocess
	shape []int
	kept  []atomic.Pointer[[]uint8]
	room  atomic.Int64

	mu     sync.Mutex
	err    error // of the first image, in their order, that cannot be had
	failed int
}

func newOnDemand(a *album, p Preprocess, shape []int) *onDemand {
	d := &onDemand{album: a, pre: p, shape: shape, kept: make([]atomic.Pointer[[]uint8], len(a.labels)), failed: len(a.labels)}
	d.room.Store(decodedKept)
	return d
}

// image returns the pixels of image i, black ones and an error for Set.Err if it
// cannot be decoded.
func (d *onDemand) image(i int) []uint8 {
	if p := d.kept[i].Load(); p != nil {
		return *p
	}
	pixels, err := d.pre.image(d.album, i, d.shape)
	if err != nil {
		d.mu.Lock()
		if i < d.failed {
			d.err, d.failed = err, i
		}
		d.mu.Unlock()
		return make([]uint8, d.shape[0]*d.shape[1]*d.shape[2])
	}
	if size := int64(len(pixels)); d.room.Add(-size) >= 0 {
		d.kept[i].Store(&pixels)
	} else {
		d.room.Add(size)
	}
	return pixels
}

func (d *onDemand) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// writeTo writes all images in their order, decoded side by side.
func (s *Set) writeImages(w io.Writer) (written int64, err error) {
	if s.Values != nil {
		return int64(4 * len(s.Values)), binary.Write(w, binary.LittleEndian, s.Values)
	}
	if s.Source != nil {
		x := make([]float32, s.Size())
		for i := range s.Labels {
			s.Source.Sample(s.place(i), x)
			if err := binary.Write(w, binary.LittleEndian, x); err != nil {
				return written, err
			}
			written += int64(4 * len(x))
		}
		return written, s.Err()
	}
	if s.later == nil {
		n, err := w.Write(s.Pixels)
		return int64(n), err
	}
	block := make([][]uint8, 256)
	for from := 0; from < s.Len(); from += len(block) {
		n := min(len(block), s.Len()-from)
		_ = parallel(n, func(i int) error { // its errors are in Err
			block[i] = s.Image(from + i)
			return nil
		})
		for _, image := range block[:n] {
			n, err := w.Write(image)
			if written += int64(n); err != nil {
				return written, err
			}
		}
		if err := s.Err(); err != nil {
			return written, err
		}
	}
	return written, nil
}

// parallel calls do for 0 to n-1 on all processors and returns the error of the
// lowest number that has one.
func parallel(n int, do func(i int) error) error {
	const block = 16
	var (
		mu     sync.Mutex
		next   int
		failed = n
		first  error
		wait   sync.WaitGroup
	)
	for range min(runtime.GOMAXPROCS(0), n) {
		wait.Go(func() {
			for {
				mu.Lock()
				from := next
				next += block
				to := min(next, failed)
				mu.Unlock()
				if from >= to {
					return
				}
				for i := from; i < to; i++ {
					if err := do(i); err != nil {
						mu.Lock()
						if i < failed {
							failed, first = i, err
						}
						mu.Unlock()
						break
					}
				}
			}
		})
	}
	wait.Wait()
	return first
}
