package learn

import (
	"math/rand/v2"
	"slices"
)

// Sampler draws from a pool without replacement, and again from the start when
// the pool is empty.
type Sampler struct {
	rng  *rand.Rand
	pool []int
	at   int // those before at are used up
}

// NewSampler returns a sampler of a copy of pool, which must not be empty.
func NewSampler(rng *rand.Rand, pool []int) *Sampler {
	return &Sampler{rng: rng, pool: slices.Clone(pool)}
}

// Draw fills dst.
func (s *Sampler) Draw(dst []int) {
	for i := range dst {
		if s.at == 0 {
			s.rng.Shuffle(len(s.pool), func(a, b int) { s.pool[a], s.pool[b] = s.pool[b], s.pool[a] })
		}
		dst[i] = s.pool[s.at]
		s.at = (s.at + 1) % len(s.pool)
	}
}
