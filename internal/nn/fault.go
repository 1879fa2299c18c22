package nn

import (
	"fmt"
	"math"

	"lethe/graph"
	"lethe/ops"
)

// Fault runs samples 0 to n-1 forward and says where the first number began that
// is not one: a [ops.NaNError] with the node that makes a NaN out of inputs that
// have none, or else an error with the node whose result is infinite and whose
// inputs are not. It is nil if the logits are finite, so a caller asks only after
// logits or a loss that are not: a step itself checks nothing. fill is that of
// [Session.Forward].
//
// An infinity that does not reach the logits is not a fault: masks of attention are
// made of them.
func (s *Session) Fault(n int, fill Fill) error {
	s.Forward(n, fill, func(int, []float32) {}) // which also takes in new values of the parameters
	s.samples, s.groupsAt, s.fill = n, (n+Lanes-1)/Lanes, fill
	defer func() { s.fill = nil }()
	for task := range (s.groupsAt + s.chunk - 1) / s.chunk {
		p := s.part(task, 0)
		s.read(p)
		if err := s.faultOfInputs(p); err != nil {
			return err
		}
		var infinite *graph.Node
		for i, l := range s.layers {
			l.forward(p)
			for _, v := range s.uses[i].outs {
				nan, inf := oddNumbers(v.data(p), v.size, p.lo, n)
				node := s.uses[i].node
				if nan && node != nil && infinite != nil {
					return fmt.Errorf("%w; infinite numbers began at node %s (%s)", &ops.NaNError{Node: node.Name, Op: node.Op}, infinite.Name, infinite.Op)
				}
				if nan && node != nil {
					return &ops.NaNError{Node: node.Name, Op: node.Op}
				}
				if inf && infinite == nil {
					infinite = node
				}
			}
		}
		if _, inf := oddNumbers(s.output.data(p), s.output.size, p.lo, n); inf && infinite != nil {
			return fmt.Errorf("node %s (%s) makes an infinite number out of finite ones", infinite.Name, infinite.Op)
		}
	}
	return nil
}

// faultOfInputs reports samples that are not numbers, and parameters that training
// made so.
func (s *Session) faultOfInputs(p part) error {
	for i, v := range s.inputs {
		if nan, inf := oddNumbers(v.data(p), v.size, p.lo, s.samples); nan || inf {
			return fmt.Errorf("the samples of input %q hold numbers that are not finite", s.net.graph.Inputs[i].Name)
		}
	}
	for _, q := range s.params {
		for _, w := range q.w {
			if math.IsNaN(float64(w)) {
				return fmt.Errorf("the weight %q holds a NaN: training diverged", q.name)
			}
		}
	}
	return nil
}

// oddNumbers reports whether groups of values, from group number first on, hold
// a NaN or an infinity in a lane that has one of n samples.
func oddNumbers(x []float32, size, first, n int) (nan, inf bool) {
	for i, v := range x {
		if v-v == 0 || (first+i/size)*Lanes+i%Lanes >= n {
			continue
		}
		if v != v {
			return true, inf
		}
		inf = true
	}
	return false, inf
}
