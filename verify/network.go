package verify

import (
	"sync"

	"lethe/graph"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
	"lethe/report"
)

// Network is a network to look at: a graph with the weights of a state dict. They are
// bound when they are first needed, and once for all that looks at the network, so
// neither may change afterwards. Several goroutines may use a network.
type Network struct {
	graph  *graph.Graph
	state  *model.StateDict
	output func() (*nn.Net, error) // the graph as far as its output
	logits func() (*nn.Net, error) // and as far as its logits, which is the same one for most graphs
}

// NewNetwork returns the network of a graph with the weights of a state dict.
func NewNetwork(g *graph.Graph, sd *model.StateDict) *Network {
	n := &Network{graph: g, state: sd}
	n.output = sync.OnceValues(func() (*nn.Net, error) { return nn.Bind(g, sd) })
	n.logits = sync.OnceValues(func() (*nn.Net, error) {
		logits := ops.Logits(g)
		if logits == g {
			return n.output()
		}
		return nn.Bind(logits, sd)
	})
	return n
}

// Graph returns the graph.
func (n *Network) Graph() *graph.Graph { return n.graph }

// State returns the weights.
func (n *Network) State() *model.StateDict { return n.state }

// Check binds the weights to the graph. A name that the state dict lacks, a shape that
// does not fit or a number that is not finite is a [model.FormatError]; what the
// engine cannot run is a [model.UnsupportedError].
func (n *Network) Check() error {
	if _, err := n.output(); err != nil {
		return err
	}
	_, err := n.logits()
	return err
}

// Classes returns how many classes the network tells apart, 0 if [Network.Check] fails.
func (n *Network) Classes() int {
	net, err := n.logits()
	if err != nil {
		return 0
	}
	return net.Classes()
}

// InputShape returns the shape of a sample, nil if [Network.Check] fails.
func (n *Network) InputShape() []int {
	net, err := n.logits()
	if err != nil {
		return nil
	}
	return net.InputShape()
}

// Logits returns the logits of samples that lie one after the other, on up to threads
// goroutines (0: one for each processor): one row of [Network.Classes] for each.
func (n *Network) Logits(samples []float32, threads int) ([]float32, error) {
	net, err := n.logits()
	if err != nil {
		return nil, err
	}
	return net.Logits(samples, threads)
}

// Rules returns the rules by which an edit of the network is judged that may move the
// parameters of the given names. remain is the accuracy on the other classes before it.
func (n *Network) Rules(move []string, remain float64) (report.Rules, error) {
	net, err := n.logits()
	if err != nil {
		return report.Rules{}, err
	}
	return learn.Rules(net, move, remain), nil
}
