package main

import (
	"sync"
	"time"

	"lethe/internal/kernel"
)

//go:generate go run ./asm -out peak_amd64.s -stubs stubs_amd64.go -pkg main

// peak measures the bound that the speed of everything else is compared with: the
// single-precision operations a second that threads goroutines reach together with
// multiply-adds on registers, each counted as two, in the instruction set of
// [kernel.CPU]. It takes the best of several runs.
func peak(threads int) float64 {
	const rounds, runs = 1 << 20, 15
	best := 0.0
	for range runs {
		var wg sync.WaitGroup
		start := time.Now()
		for range threads {
			wg.Go(func() { fma(rounds) })
		}
		wg.Wait()
		best = max(best, float64(threads*rounds*perRound())/time.Since(start).Seconds())
	}
	return best
}

// perRound returns the operations of one round of fma.
func perRound() int {
	const chains = 12
	switch kernel.CPU() {
	case "avx512":
		return chains * 16 * 2
	case "avx2":
		return chains * 8 * 2
	}
	return chains * 2
}

var sink float32

// portable does n rounds in Go, with a product and a sum for each multiply-add.
func portable(n int) {
	var acc [12]float32
	x := sink
	for range n {
		for i := range acc {
			acc[i] += float32(x * x)
		}
	}
	for _, a := range acc {
		sink += a
	}
}
