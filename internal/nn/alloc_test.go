package nn

import (
	"testing"

	"lethe/ops"
)

// After the first step nothing is allocated, on any number of threads.
func TestStepAllocatesNothing(t *testing.T) {
	s := networks()["lenet"]
	leNet, _ := s.bind(t)
	allocatesNothing(t, leNet, 1)
	allocatesNothing(t, leNet, 3)
	mobileNet, _ := mobileNetV2().bind(t)
	allocatesNothing(t, mobileNet, 1)
}

func allocatesNothing(t *testing.T, n *Net, threads int) {
	t.Helper()
	ses, err := n.NewSession(128, threads, ops.Parameters(n.Graph()))
	if err != nil {
		t.Fatal(err)
	}
	fill := func(_ int, dst []float32) { clear(dst) }
	loss := func(_ int, _, grad []float32) { clear(grad) }
	done := func(int, []float32) {}
	step := func() {
		ses.Step(128, fill, loss)
		ses.Refresh()
		ses.Forward(128, fill, done)
	}
	step()
	// A helper that ended while others had the processors starts again,
	// which can cost a few bytes; a step that allocates does so every time.
	if n := testing.AllocsPerRun(20, step); n != 0 {
		t.Errorf("%d threads: %v allocations a step", threads, n)
	}
}
