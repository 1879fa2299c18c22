package learn

import (
	"context"
	"math/rand/v2"

	"lethe/dataset"
	"lethe/internal/nn"
)

// Photographs of a class differ in more ways than a few thousand of them show, and
// a network learns them by heart before it has learned the class. So they are moved
// anew each time that they are learned from, and more often, unless that makes
// other things of them.
const (
	shiftPart  = 8    // of the height and the width is how far an image is shifted
	moreOften  = 2.5  // times as many passes
	toleration = 0.97 // share of its accuracy that a network keeps on images that it minds little
	inquiry    = 1000 // images that are asked for that, at most
)

// moves are the ways in which images may be moved.
type moves struct{ shift, mirror bool }

// names returns the ways as a report has them.
func (m moves) names() (names []string) {
	if m.shift {
		names = append(names, "shift")
	}
	if m.mirror {
		names = append(names, "mirror")
	}
	return names
}

// mover moves images of rows x cols pixels.
type mover struct {
	moves
	rows, cols int
	rng        *rand.Rand
}

// move is what happens to one image: it is mirrored or not, and shifted to the
// right and down.
type move struct {
	mirrored    bool
	right, down int
}

func (m *mover) draw() (d move) {
	jitter := func(most int) int { return m.rng.IntN(2*most+1) - most }
	if m.shift {
		d.right, d.down = jitter(m.cols/shiftPart), jitter(m.rows/shiftPart)
	}
	d.mirrored = m.mirror && m.rng.IntN(2) == 0
	return d
}

// apply writes to dst what src is after a move; it is black where src does not reach.
func (m *mover) apply(dst, src []uint8, d move) {
	clear(dst)
	plane := m.rows * m.cols
	for ; len(src) > 0; dst, src = dst[plane:], src[plane:] {
		for y := max(d.down, 0); y < m.rows+min(d.down, 0); y++ {
			from := src[(y-d.down)*m.cols:][:m.cols]
			to := dst[y*m.cols:][:m.cols]
			for x := max(d.right, 0); x < m.cols+min(d.right, 0); x++ {
				if at := x - d.right; d.mirrored {
					to[x] = from[m.cols-1-at]
				} else {
					to[x] = from[at]
				}
			}
		}
	}
}

// tolerated returns the ways in which the images of a set may be moved: those of
// pictures with several channels of which a network gets nearly as many right when
// they are moved. A network that knows nothing tolerates all.
func tolerated(ctx context.Context, net *nn.Net, set *dataset.Set, norm dataset.Norm, images []int, threads int) (moves, error) {
	if !set.Images() || set.Shape[0] == 1 {
		return moves{}, nil
	}
	rng := rand.New(rand.NewPCG(0, 0))
	some := make([]int, min(inquiry, len(images)))
	NewSampler(rng, images).Draw(some)
	session, err := net.NewSession(len(some), threads, nil)
	if err != nil {
		return moves{}, err
	}
	moved, all := set.Copy(some), make([]int, len(some))
	for i := range all {
		all[i] = i
	}
	before, err := Accuracy(ctx, session, set, norm, some)
	if err != nil {
		return moves{}, err
	}
	suits := func(m moves) bool {
		mover := &mover{m, set.Shape[1], set.Shape[2], rng}
		for i, at := range some {
			mover.apply(moved.Image(i), set.Image(at), mover.draw())
		}
		var after float64
		if err == nil {
			after, err = Accuracy(ctx, session, moved, norm, all)
		}
		return after >= toleration*before
	}
	found := moves{shift: suits(moves{shift: true}), mirror: suits(moves{mirror: true})}
	return found, err
}
