package nn

import (
	"slices"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// normalized returns the test networks that have batch normalization.
func normalized() map[string]*stack {
	all := networks()
	for name, s := range all {
		if !slices.ContainsFunc(s.graph.Nodes, func(n graph.Node) bool { return n.Op == "BatchNormalization" }) {
			delete(all, name)
		}
	}
	return all
}

// training returns a session and the gradient of the loss of step over count
// samples in it.
func training(t *testing.T, n *Net, x []float32, count, threads int) (*Session, []float32) {
	t.Helper()
	s, err := n.NewTrainingSession(count, threads)
	if err != nil {
		t.Fatal(err)
	}
	return s, stepOf(s, x, count)
}

// In training mode logits are not asked for: gradients and running statistics
// are what training takes from a step.
func TestTrainingOracle(t *testing.T) {
	const count = 3 * ChunkSamples
	// With a mean that is large beside the deviation.
	for name, e := range ask(t, normalized(), count, ChunkSamples, 3) {
		t.Run(name, func(t *testing.T) {
			g := e.net.Graph()
			s, got := training(t, e.net, e.x, count, 2)
			grad, after := fromTorch(t, e.dir, "grad.f64"), fromTorch(t, e.dir, "weights.f64")
			largest := 0.0
			for _, v := range grad {
				largest = max(largest, v, -v)
			}
			at := 0
			for _, p := range ops.Parameters(g) {
				end := at + len(e.net.weights[p])
				// What is added before a normalization changes nothing: its gradient is
				// 0 up to rounding, which has no largest element to compare with.
				if scale := largest * 1e-3; slices.Max(abs(grad[at:end])) < scale {
					for i := at; i < end; i++ {
						if d := float64(got[i]) - grad[i]; d > 1e-2*scale || d < -1e-2*scale {
							t.Errorf("the gradient of %s is %v, torch has %v", p, got[i], grad[i])
						}
					}
				} else if d := relativeDifference(t, got[at:end], grad[at:end]); !(d < 5e-5) { // measured: 8.2e-6 at most
					t.Errorf("the gradients of %s differ by %.2g of the largest", p, d)
				}
				at = end
			}
			sd, err := s.StateDict(e.sd)
			if err != nil {
				t.Fatal(err)
			}
			at = len(grad)
			for _, b := range ops.Buffers(g) {
				v, err := sd.Get(b).Float32s()
				if err != nil {
					t.Fatal(err)
				}
				if d := relativeDifference(t, v, after[at:at+len(v)]); !(d < 2e-6) { // measured: 1e-6 at most
					t.Errorf("the running statistics %s differ by %.2g of the largest", b, d)
				}
				at += len(v)
			}
		})
	}
}

func abs(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = max(x, -x)
	}
	return out
}

func TestTrainingDoesNotDependOnThreads(t *testing.T) {
	for name, s := range normalized() {
		n, sd := s.bind(t)
		const count = 5 * ChunkSamples
		x := samples(count, product(n.InputShape()))
		one, want := training(t, n, x, count, 1)
		wantState, err := one.StateDict(sd)
		if err != nil {
			t.Fatal(err)
		}
		for _, threads := range []int{2, 3, 8} {
			ses, got := training(t, n, x, count, threads)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d threads give another gradient than one", name, threads)
			}
			state, err := ses.StateDict(sd)
			if err != nil {
				t.Fatal(err)
			}
			for name := range sd.All() {
				if same, err := model.SameBits(state.Get(name), wantState.Get(name)); err != nil || !same {
					t.Errorf("%d threads give another %s than one, %v", threads, name, err)
				}
			}
		}
	}
}

// A session that trains leaves the net's own weights alone.
func TestTrainingSharesNothing(t *testing.T) {
	n, sd := normalized()["lenet"].bind(t)
	x := samples(ChunkSamples, 784)
	before, err := n.Logits(x, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := training(t, n, x, ChunkSamples, 1)
	after, err := n.Logits(x, 1)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("the net computes something else after a step of a session, %v", err)
	}
	moved, err := s.StateDict(sd)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range ops.Buffers(n.Graph()) {
		if same, err := model.SameBits(moved.Get(name), sd.Get(name)); err != nil || same {
			t.Errorf("%s has not moved, %v", name, err)
		}
	}
}

func TestTrainingTakesWholeChunks(t *testing.T) {
	n, _ := normalized()["lenet"].bind(t)
	for _, batch := range []int{1, 63, 65, 100} {
		if _, err := n.NewTrainingSession(batch, 1); err == nil || !strings.Contains(err.Error(), "whole chunks of 64") {
			t.Errorf("%d samples: %v", batch, err)
		}
	}
}
