//go:build unix

package nn

import (
	"fmt"
	"math"
	"runtime"
	"syscall"
	"testing"
	"time"

	"lethe/internal/kernel"
	"lethe/ops"
)

var usualNetworks = []struct {
	name  string
	net   func() *network
	batch int
}{
	{"ResNet-20", func() *network { return resNet20(16) }, 128},
	{"MobileNetV2", fullMobileNetV2, 64},
	{"ViT", func() *network { return viT(4, 6, 192, 3) }, 64},
	{"ResNet-18", func() *network { return resNet18(64) }, 64},
}

// BenchmarkProducts prints how fast each kind of convolution and product with a matrix
// of weights is forward and backward: of the operations that a direct one takes, with
// the gradient of the input and, unless that waits for the end of the batch, of the
// weight. A layer runs one chunk on one thread; the best of b.N runs counts.
func BenchmarkProducts(b *testing.B) {
	for _, c := range usualNetworks {
		n := c.net()
		net, _ := n.bind(b)
		b.Run(c.name, func(b *testing.B) {
			ses, err := net.NewSession(c.batch, 1, ops.Parameters(n.graph))
			if err != nil {
				b.Fatal(err)
			}
			ses.Step(c.batch, func(_ int, x []float32) { x[0] = 1 }, func(_ int, _, grad []float32) { clear(grad) })
			type kind struct {
				flop  float64
				back  float64 // gradients that backward makes, in products
				times int
				best  [2]time.Duration // forward and backward
			}
			kinds, order := map[string]*kind{}, []string{}
			p := ses.part(0, 0)
			for round := range max(b.N, 5) {
				for i, l := range ses.layers {
					name, flop, gradients := productOf(l)
					began := time.Now()
					l.forward(p)
					ahead := time.Since(began)
					began = time.Now()
					if ses.trains[i] {
						l.backward(p)
					}
					back := time.Since(began)
					if name == "" {
						continue
					}
					k := kinds[name]
					if k == nil {
						k = &kind{flop: flop * float64(p.hi-p.lo) * Lanes, back: gradients}
						kinds[name], order = k, append(order, name)
					}
					if k.best[0] == 0 || ahead < k.best[0] {
						k.best[0] = ahead
					}
					if k.best[1] == 0 || back < k.best[1] {
						k.best[1] = back
					}
					if round == 0 {
						k.times++
					}
				}
			}
			for _, name := range order {
				k := kinds[name]
				fmt.Printf("%s: %s: %d, %.2f MFLOP, %.0f forward, %.0f backward\n", c.name, name, k.times, k.flop/float64(p.hi-p.lo)/Lanes/1e6,
					k.flop/k.best[0].Seconds()/1e9, k.back*k.flop/k.best[1].Seconds()/1e9)
			}
		})
	}
}

// productOf names the kind of a product, and gives its operations for one sample and
// how many gradients its backward pass makes.
func productOf(l layer) (name string, flop, gradients float64) {
	made := func(dx *sink, g gradient) float64 {
		n := 0.0
		if dx.wanted() {
			n++
		}
		switch g := g.(type) {
		case *outerGrad:
			if !g.whole {
				n++
			}
		case *winogradGrad:
			if !g.whole {
				n++
			}
		case *weightGrad:
			if !g.whole {
				n++
			}
		}
		return n
	}
	switch l := l.(type) {
	case *convLayer:
		size := int(math.Sqrt(float64(l.outSz / Lanes)))
		name, gradients = fmt.Sprintf("Conv %d to %d, kernel of %d, %dx%d", l.c*l.group, l.m*l.group, l.kk, size, size), made(l.dx, l.grad)
		if l.depth != nil {
			name, gradients = "depthwise "+name, 2
		}
		return name, 2 * float64(len(l.weight.w)) * float64(l.outSz/Lanes), gradients
	case *denseLayer:
		positions := l.in.size / (l.k * Lanes)
		return fmt.Sprintf("product %d to %d, %d positions", l.k, l.m, positions), 2 * float64(l.k*l.m) * float64(positions), made(l.dx, l.grad)
	}
	return "", 0, 0
}

// BenchmarkNetworks measures whole networks in their usual sizes, with the memory
// that a session takes.
func BenchmarkNetworks(b *testing.B) {
	for _, c := range usualNetworks {
		n := c.net()
		net, _ := n.bind(b)
		for _, train := range []bool{false, true} {
			var params []string
			if train {
				params = ops.Parameters(n.graph)
			}
			b.Run(fmt.Sprintf("%s/train=%v", c.name, train), func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				ses, err := net.NewSession(c.batch, 1, params)
				if err != nil {
					b.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				fill := func(i int, x []float32) {
					for j := range x {
						x[j] = float32((i+j)%7) - 3
					}
				}
				m, v := make([]float32, len(ses.Theta())), make([]float32, len(ses.Theta()))
				began := processorTime()
				for b.Loop() {
					if train {
						ses.Step(c.batch, fill, func(i int, _, grad []float32) { clear(grad); grad[i%3] = 1 })
						kernel.Adam(ses.Theta(), m, v, ses.Grad(), kernel.AdamRates{Rate: 1e-6, Beta1: 0.9, Beta2: 0.999, Root: 1, Eps: 1e-8})
						ses.Refresh()
					} else {
						ses.Forward(c.batch, fill, func(int, []float32) {})
					}
				}
				b.ReportMetric(float64(c.batch)*float64(b.N)/b.Elapsed().Seconds(), "images/s")
				b.ReportMetric(float64(c.batch)*float64(b.N)/(processorTime()-began), "images/cpu-s")
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
			})
		}
	}
}

// processorTime returns the seconds that the process has run on processors,
// which a busy machine changes less than the time on the clock.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return math.NaN()
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// fullMobileNetV2 is that of CIFAR-10: the stride of the first layer is 1.
func fullMobileNetV2() *network {
	return mobileNet(32, [][4]int{{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}}, 1280)
}
