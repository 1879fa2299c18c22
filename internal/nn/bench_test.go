//go:build unix

package nn

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"lethe/graph"
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

// measuredNetworks are those and the LeNet, as BenchmarkProducts takes them.
func measuredNetworks(b *testing.B) []struct {
	name  string
	net   *Net
	batch int
} {
	pool := graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)}
	leNet, _ := newStack(3, 1, 28, 28).conv(6, 1, 5, 5, nil).norm(6).add("Relu", nil).add("MaxPool", pool).
		conv(16, 6, 5, 5, nil).norm(16).add("Relu", nil).add("MaxPool", pool).add("Flatten", nil).
		gemm(256, 120).add("Relu", nil).gemm(120, 84).add("Relu", nil).gemm(84, 10).bind(b)
	all := []struct {
		name  string
		net   *Net
		batch int
	}{{"LeNet", leNet, 256}}
	for _, c := range usualNetworks {
		net, _ := c.net().bind(b)
		all = append(all, struct {
			name  string
			net   *Net
			batch int
		}{c.name, net, c.batch})
	}
	return all
}

// BenchmarkProducts prints how fast each kind of convolution, product with a matrix of
// weights and attention is forward and backward, of the operations that a direct one takes;
// how many bytes of activations and gradients it reads and writes at the least, weights
// aside; and how fast memory is copied. A layer runs one chunk on one thread; the best of
// b.N runs counts. What makes gradients of weights when the whole batch went backward counts
// as much as the chunk has of the batch. The last line of a network is all of its products
// together: their operations over their time.
func BenchmarkProducts(b *testing.B) {
	fmt.Printf("memory: %.1f GB/s\n", copied()/1e9)
	for _, c := range measuredNetworks(b) {
		b.Run(c.name, func(b *testing.B) {
			ses, err := c.net.NewSession(c.batch, 1, ops.Parameters(c.net.Graph()))
			if err != nil {
				b.Fatal(err)
			}
			ses.Step(c.batch, func(_ int, x []float32) { x[0] = 1 }, func(_ int, _, grad []float32) { clear(grad) })
			kinds, order := map[string]*productKind{}, []string{}
			p := ses.part(0, 0)
			ofBatch := float64(p.hi-p.lo) / float64(ses.groups)
			for round := range max(b.N, 5) {
				for i, l := range ses.layers {
					name, k := productOf(l, p.hi-p.lo)
					parts := ses.path[slices.IndexFunc(ses.path, func(st layerRange) bool { return i < st.hi })].parts
					took := [2]time.Duration{timed(func() { parts(p, func(q part, _ layerRange) { l.forward(q) }) }), timed(func() {
						if ses.trains[i] {
							parts(p, func(q part, _ layerRange) { l.backward(q) })
						}
					})}
					if name == "" {
						continue
					}
					took[1] += time.Duration(ofBatch * float64(timed(func() {
						for task := range l.tasks() {
							l.reduce(task, ses.chunks(), ses.groups)
						}
					})))
					if kinds[name] == nil {
						kinds[name], order = &k, append(order, name)
						k.best = took
					}
					own := kinds[name]
					own.best = [2]time.Duration{min(own.best[0], took[0]), min(own.best[1], took[1])}
					if round == 0 {
						own.times++
					}
				}
			}
			var flop, seconds [2]float64
			for _, name := range order {
				k := kinds[name]
				fmt.Printf("%s: %s: %d, %.2f MFLOP", c.name, name, k.times, k.flop[0]/float64(p.hi-p.lo)/Lanes/1e6)
				for i, t := range k.best {
					fmt.Printf(", %.1f GFLOP/s %.1f GB/s", k.flop[i]/t.Seconds()/1e9, k.bytes[i]/t.Seconds()/1e9)
					flop[i], seconds[i] = flop[i]+float64(k.times)*k.flop[i], seconds[i]+float64(k.times)*t.Seconds()
				}
				fmt.Println()
			}
			fmt.Printf("%s, all products: %.1f GFLOP/s forward, %.1f GFLOP/s backward\n", c.name, flop[0]/seconds[0]/1e9, flop[1]/seconds[1]/1e9)
		})
	}
}

// timed returns how long a function takes.
func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// productKind is what layers of a shape do with a chunk, forward and backward.
type productKind struct {
	flop, bytes [2]float64
	times       int
	best        [2]time.Duration
}

// copied returns how many bytes a second are read and written where memory is copied that
// no cache holds.
func copied() float64 {
	const n = 32 << 20
	from, to := make([]float32, n), make([]float32, n)
	var best time.Duration
	for i := range 4 {
		began := time.Now()
		copy(to, from)
		if t := time.Since(began); i <= 1 || t < best { // the first finds no pages yet
			best = t
		}
	}
	return 2 * 4 * n / best.Seconds()
}

// productOf names the kind of a product, and says what it does for so many groups; name
// is empty if it is none.
func productOf(l layer, groups int) (name string, k productKind) {
	var in, out *value
	limited, flop, gradients := false, 0.0, 0.0
	moved := 0.0 // elements of a group, backward
	wanted := func(k *sink, trained bool) {
		if k.wanted() {
			gradients, moved = gradients+1, moved+float64(in.size)
		}
		if trained {
			gradients, moved = gradients+1, moved+float64(in.size)
		}
	}
	switch l := l.(type) {
	case *convLayer:
		size := int(math.Sqrt(float64(l.outSz / Lanes)))
		name = fmt.Sprintf("Conv %d to %d, kernel of %d, %dx%d", l.c*l.group, l.m*l.group, l.kk, size, size)
		if l.depth != nil {
			name = "depthwise " + name
		}
		in, out, limited = l.in, l.out, l.limits != kernel.NoLimits
		flop = 2 * float64(len(l.weight.w)) * float64(l.outSz/Lanes)
		wanted(l.dx, l.weight.trained)
	case *denseLayer:
		positions := l.in.size / (l.k * Lanes)
		name = fmt.Sprintf("product %d to %d, %d positions", l.k, l.m, positions)
		in, out = l.in, l.out
		flop = 2 * float64(l.k*l.m) * float64(positions)
		wanted(l.dx, l.weight.trained)
	case *attendLayer:
		name = fmt.Sprintf("attention of %d heads of %d, %d tokens", len(l.second), l.size, l.n)
		in, out = l.q, l.out
		flop = 2 * float64(len(l.second)*l.m*l.n*(l.size+l.width))
		gradients, moved = 2, 6*float64(in.size)
	default:
		return "", k
	}
	moved += float64(out.size) // the gradient of the output is read
	if limited {
		moved += float64(out.size) // and the output
	}
	k.flop = [2]float64{flop * float64(groups) * Lanes, gradients * flop * float64(groups) * Lanes}
	k.bytes = [2]float64{4 * float64(groups*(in.size+out.size)), 4 * moved * float64(groups)}
	return name, k
}

// BenchmarkNetworks measures whole networks in their usual sizes, on one and on two
// threads, with the memory that a session takes.
func BenchmarkNetworks(b *testing.B) {
	for _, c := range usualNetworks {
		n := c.net()
		net, _ := n.bind(b)
		for i := range 4 {
			train, threads := i%2 == 1, 1+i/2
			var params []string
			if train {
				params = ops.Parameters(n.graph)
			}
			b.Run(fmt.Sprintf("%s/train=%v/threads=%d", c.name, train, threads), func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				ses, err := net.NewSession(c.batch, threads, params)
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

// BenchmarkTokens measures a vision transformer of six layers of 192 by its number of tokens,
// 16 images at a time on one thread, with the memory that a session takes.
func BenchmarkTokens(b *testing.B) {
	for _, c := range []struct{ side, patch int }{{32, 4}, {28, 2}, {32, 1}} {
		n := viTOf(c.side, c.patch, 6, 192, 3)
		net, _ := n.bind(b)
		for _, params := range [][]string{nil, ops.Parameters(n.graph)} {
			tokens := c.side/c.patch*(c.side/c.patch) + 1
			b.Run(fmt.Sprintf("%d/train=%v", tokens, params != nil), func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				ses, err := net.NewSession(Lanes, 1, params)
				if err != nil {
					b.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				fill := func(i int, x []float32) {
					for j := range x {
						x[j] = float32((i+j)%7) - 3
					}
				}
				began := processorTime()
				for b.Loop() {
					if params != nil {
						ses.Step(Lanes, fill, func(i int, _, grad []float32) { clear(grad); grad[i%3] = 1 })
						ses.Refresh()
					} else {
						ses.Forward(Lanes, fill, func(int, []float32) {})
					}
				}
				b.ReportMetric(Lanes*float64(b.N)/(processorTime()-began), "images/cpu-s")
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
			})
		}
	}
}

// BenchmarkGrowth measures a step of a residual network by its width, its depth, the size
// of the images and the batch, each from that of ResNet-20 on.
func BenchmarkGrowth(b *testing.B) {
	run := func(what string, value, width, blocks, side, batch int) {
		b.Run(fmt.Sprintf("%s=%d", what, value), func(b *testing.B) {
			n := resNet(width, blocks, side)
			net, _ := n.bind(b)
			ses, err := net.NewSession(batch, 1, ops.Parameters(n.graph))
			if err != nil {
				b.Fatal(err)
			}
			flop := 0.0
			for _, l := range ses.layers {
				_, k := productOf(l, 1)
				flop += 3 * k.flop[0] / Lanes
			}
			began := processorTime()
			for b.Loop() {
				ses.Step(batch, func(_ int, x []float32) { x[0] = 1 }, func(_ int, _, grad []float32) { clear(grad); grad[0] = 1 })
				ses.Refresh()
			}
			rate := float64(batch) * float64(b.N) / (processorTime() - began)
			b.ReportMetric(rate, "images/cpu-s")
			b.ReportMetric(rate*flop/1e9, "GFLOP/s")
		})
	}
	for _, v := range []int{16, 32, 64, 128} {
		run("width", v, v, 3, 32, 32)
	}
	for _, v := range []int{1, 3, 6, 12} {
		run("blocks", v, 16, v, 32, 32)
	}
	for _, v := range []int{16, 32, 64, 128} {
		run("side", v, 16, 3, v, 32)
	}
	for _, v := range []int{16, 32, 64, 256} {
		run("batch", v, 16, 3, 32, v)
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
