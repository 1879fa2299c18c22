package nn

import (
	"errors"
	"strings"
	"testing"

	"lethe/ops"
)

// A NaN in the middle of a network is traced to the node that makes it; an
// infinity that reaches the logits too.
func TestFault(t *testing.T) {
	root := newNetwork(6, 5)
	y := root.op("Sqrt", nil, root.op("Tanh", nil, root.linear("x", 5, 10)))
	root.end(root.op("Relu", nil, y), 60)
	large := newNetwork(6, 5)
	large.end(large.op("Exp", nil, large.op("Mul", nil, large.linear("x", 5, 10), large.number(1e4))), 60)
	masked := newNetwork(6, 5)
	mask := masked.op("Log", nil, masked.op("Relu", nil, masked.op("Sign", nil, masked.linear("x", 5, 6))))
	masked.end(masked.op("Exp", nil, mask), 36)

	for name, c := range map[string]struct {
		network *network
		want    string
	}{
		"NaN":                {root, `Sqrt`},
		"infinity":           {large, `Exp`},
		"infinity of a mask": {masked, ""},
	} {
		t.Run(name, func(t *testing.T) {
			net, _ := c.network.bind(t)
			s, err := net.NewSession(40, 2, ops.Parameters(c.network.graph))
			if err != nil {
				t.Fatal(err)
			}
			x := c.network.draw(net, 40)
			err = s.Fault(40, func(i int, dst []float32) { copy(dst, x[i*30:]) })
			var nan *ops.NaNError
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), "("+c.want+")")):
				t.Errorf("the fault is %v, not at %q", err, c.want)
			case name == "NaN" && !errors.As(err, &nan):
				t.Errorf("the fault is %T", err)
			}
		})
	}
	// A sample or a weight that is not a number is not a fault of a node.
	net, _ := mlp().bind(t)
	s, err := net.NewSession(3, 1, ops.Parameters(net.Graph()))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Fault(3, func(int, []float32) {}); err != nil {
		t.Errorf("a network without a fault has one: %v", err)
	}
	zero := float32(0)
	if err := s.Fault(3, func(_ int, x []float32) { x[4] = 1 / zero }); err == nil || !strings.Contains(err.Error(), `input "x"`) {
		t.Errorf("the fault is %v, not in the samples", err)
	}
	s.Theta()[7] = zero / zero
	s.Refresh()
	if err := s.Fault(3, func(_ int, x []float32) { clear(x) }); err == nil || !strings.Contains(err.Error(), `the weight "w0"`) {
		t.Errorf("the fault is %v, not in a weight", err)
	}
}
