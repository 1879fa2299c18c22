//go:build unix

package nn

import (
	"fmt"
	"math"
	"runtime"
	"syscall"
	"testing"

	"lethe/internal/kernel"
	"lethe/ops"
)

// BenchmarkNetworks measures whole networks in their usual sizes, with the memory
// that a session takes.
func BenchmarkNetworks(b *testing.B) {
	for _, c := range []struct {
		name  string
		net   func() *network
		batch int
	}{
		{"ResNet-20", func() *network { return resNet20(16) }, 128},
		{"MobileNetV2", fullMobileNetV2, 64},
		{"ViT", func() *network { return viT(4, 6, 192, 3) }, 64},
		{"ResNet-18", func() *network { return resNet18(64) }, 64},
	} {
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
