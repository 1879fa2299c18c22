package learn

import (
	"context"

	"lethe/dataset"
	"lethe/internal/nn"
)

// Batch is how many images [Outputs] evaluates at a time.
const Batch = 1024

// Evaluate calls done with the logits of the image at every i of images, on
// several goroutines, for different images. It ends early with the error of ctx.
func Evaluate(ctx context.Context, s *nn.Session, set *dataset.Set, norm dataset.Norm, images []int, done func(i int, logits []float32)) error {
	read := set.Reader(norm)
	for at := 0; at < len(images); at += s.Capacity() {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := images[at:min(at+s.Capacity(), len(images))]
		s.Forward(len(batch), func(i int, x []float32) { read(batch[i], x) },
			func(i int, logits []float32) { done(at+i, logits) })
	}
	return set.Err()
}

// Outputs returns the outputs of a network for images of a set, row by row.
func Outputs(ctx context.Context, net *nn.Net, set *dataset.Set, norm dataset.Norm, images []int, threads int) ([]float32, error) {
	s, err := net.NewSession(min(Batch, len(images)), threads, nil)
	if err != nil {
		return nil, err
	}
	k := net.Classes()
	out := make([]float32, len(images)*k)
	err = Evaluate(ctx, s, set, norm, images, func(i int, logits []float32) { copy(out[i*k:], logits) })
	return out, err
}

// Accuracy returns the share of images that the network of a session gets right.
func Accuracy(ctx context.Context, s *nn.Session, set *dataset.Set, norm dataset.Norm, images []int) (float64, error) {
	sum, err := hits(ctx, s, set, norm, images)
	return float64(sum) / float64(len(images)), err
}

// Reaches reports whether [Accuracy] is at least so much. It looks at no more images
// than it takes to know.
func Reaches(ctx context.Context, s *nn.Session, set *dataset.Set, norm dataset.Norm, images []int, least float64) (bool, error) {
	const block = 2 * nn.ChunkSamples
	share := func(hits int) float64 { return float64(hits) / float64(len(images)) }
	sum := 0
	for left := images; len(left) > 0 && share(sum) < least && share(sum+len(left)) >= least; {
		some := left[:min(block, len(left))]
		left = left[len(some):]
		more, err := hits(ctx, s, set, norm, some)
		if err != nil {
			return false, err
		}
		sum += more
	}
	return share(sum) >= least, nil
}

// hits returns how many images the network of a session gets right.
func hits(ctx context.Context, s *nn.Session, set *dataset.Set, norm dataset.Norm, images []int) (int, error) {
	right := make([]bool, len(images))
	err := Evaluate(ctx, s, set, norm, images, func(i int, logits []float32) {
		right[i] = Best(logits) == set.Labels[images[i]]
	})
	sum := 0
	for _, is := range right {
		if is {
			sum++
		}
	}
	return sum, err
}
