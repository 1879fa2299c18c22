package wiring

import (
	"lethe/internal/learn"
	"lethe/ops"
)

// slope returns the squared norm of the gradient of the mean loss of the first n
// images with respect to the weights. The weights of a network were moved to where
// it is small; nearly equal functions have nearly equal losses there, but not
// slopes.
func (s *search) slope(c *candidate, n, threads int) (slope float64, err error) {
	net, err := s.bind(c)
	if err != nil {
		return 0, err
	}
	session, err := net.NewSession(batch, threads, ops.Parameters(net.Graph()))
	if err != nil {
		return 0, err
	}
	read := s.set.Reader(s.opts.Norms[c.norm])
	sum := make([]float64, len(session.Theta()))
	for at := 0; at < n; at += batch {
		if err := s.ctx.Err(); err != nil {
			return 0, err
		}
		images := s.images[at:min(at+batch, n)]
		session.Step(len(images), func(i int, x []float32) { read(images[i], x) }, func(i int, logits, grad []float32) {
			logp, p := make([]float64, len(logits)), make([]float64, len(logits))
			learn.LogSoftmax(logp, p, logits)
			for k, d := range p {
				if k == s.set.Labels[images[i]] {
					d--
				}
				grad[k] = float32(d / float64(n))
			}
		})
		for i, g := range session.Grad() {
			sum[i] += float64(g)
		}
	}
	for _, g := range sum {
		slope += g * g
	}
	return slope, nil
}
