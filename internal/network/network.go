// Package network opens files whose network is known: a checkpoint, what it
// computes, and the two bound together. Conversions and edits begin here.
package network

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"lethe/graph"
	"lethe/internal/nn"
	"lethe/internal/stage"
	"lethe/internal/structure"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/onnxio"
	"lethe/ops"
	"lethe/pickle"
	"lethe/report"
	"lethe/verify"
)

// Network is a checkpoint whose architecture is known.
type Network struct {
	*weights.Checkpoint
	Graph     *graph.Graph
	Net       *nn.Net              // of Graph, as far as its logits
	Structure *structure.Structure // Graph is its graph, or one that computes the same for any batch
}

// Open is [weights.Open], and finds the architecture and binds the weights
// to it. It begins what [weights.Checkpoint.Digest] returns.
func Open(ctx context.Context, path string, stdin io.Reader, opts pickle.Options) (*Network, error) {
	return OpenFor(ctx, path, stdin, opts, nil)
}

// OpenFor is [Open] with [structure.Options.Sample].
func OpenFor(ctx context.Context, path string, stdin io.Reader, opts pickle.Options, sample func() ([]int, error)) (*Network, error) {
	n, err := weights.Open(ctx, path, stdin, opts)
	if err != nil {
		return nil, err
	}
	return Recognize(n, sample)
}

// Recognize is [OpenFor] for a checkpoint that is open already. An error closes it.
func Recognize(c *weights.Checkpoint, sample func() ([]int, error)) (*Network, error) {
	s, err := structure.ReadForEdit(c.File(), structure.Options{Sample: sample})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	return Bind(c, s)
}

// Bind is [Recognize] for a structure that is known already.
func Bind(c *weights.Checkpoint, s *structure.Structure) (*Network, error) {
	n := &Network{Checkpoint: c, Graph: s.Graph, Structure: s}
	if err := n.bind(); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	n.StartDigest()
	return n, nil
}

// bind binds the weights to the graph, or to one that computes the same for any
// batch, as far as the logits.
func (n *Network) bind() error {
	if err := n.bindOutput(); err != nil {
		return err
	}
	if ops.Logits(n.Graph) == n.Graph {
		return nil // bound already
	}
	net, err := nn.BindLogits(n.Graph, n.State)
	n.Net = net
	return err
}

// bindOutput binds the weights to the graph as far as its output.
func (n *Network) bindOutput() (err error) {
	if n.Net, err = nn.Bind(n.Graph, n.State); err == nil {
		return nil
	}
	// What exporters write of sizes is constant, or nearly so.
	if folded, failed := ops.Fold(n.Graph, n.State); failed == nil {
		if net, failed := nn.Bind(folded, n.State); failed == nil {
			n.Graph, n.Net = folded, net
			return nil
		}
	}
	if g, net := anyBatch(context.Background(), n.Graph, n.State); net != nil {
		n.Graph, n.Net = g, net
		return nil
	}
	return err
}

// encodeONNX writes a network with the weights of sd as an ONNX model.
func encodeONNX(w io.Writer, s *structure.Structure, sd *model.StateDict, opts onnxio.EncodeOptions) error {
	opts.Float32 = s.LeNet
	if !s.LeNet {
		opts.Props = map[string]string{}
	}
	for name, as := range s.Tied {
		opts.Props["lethe.alias."+name] = as
	}
	return onnxio.Encode(w, s.Graph, sd, opts)
}

// StageONNX stages the network with the weights of sd as an ONNX output, and checks the file against the graph g with the weights of before, which it must
// agree with.
func StageONNX(ctx context.Context, out *stage.Output, g *graph.Graph, before *model.StateDict, s *structure.Structure, sd *model.StateDict, opts onnxio.EncodeOptions) (parity *report.Parity, digest report.Digest, err error) {
	opts.ProducerVersion = version.String()
	if opts.DocString == "" {
		opts.DocString = s.Graph.Name + " converted from a PyTorch state dict"
	}
	err = out.Stage(ctx, func(w io.Writer) error {
		return encodeONNX(w, s, sd, opts)
	}, func(r io.ReaderAt, size int64) (err error) {
		if digest, err = out.Digest(); err != nil {
			return err
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), b); err != nil {
			return err
		}
		parity, err = verify.ONNX(b, g, before)
		return err
	})
	return parity, digest, err
}

// EditedOptions are those of the ONNX model of an edit.
func EditedOptions(g *graph.Graph, labels []string, version string) onnxio.EncodeOptions {
	return onnxio.EncodeOptions{
		ProducerVersion: version,
		DocString:       fmt.Sprintf("%s edited to forget %s", g.Name, strings.Join(labels, ", ")),
	}
}

// EditedONNX encodes the ONNX model of an edit in memory and checks it against
// the graph g with the same weights.
func EditedONNX(g *graph.Graph, s *structure.Structure, sd *model.StateDict, opts onnxio.EncodeOptions) (*report.Parity, report.Digest, error) {
	var b bytes.Buffer
	if err := encodeONNX(&b, s, sd, opts); err != nil {
		return nil, report.Digest{}, err
	}
	digest, err := stage.Digest(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		return nil, report.Digest{}, err
	}
	parity, err := verify.ONNX(b.Bytes(), g, sd)
	return parity, digest, err
}

// NewPlan is [weights.NewPlan] with the architecture.
func NewPlan(s weights.PlanSettings, n *Network) (*weights.Plan, error) {
	p, err := weights.NewPlan(s, n.Checkpoint)
	if err != nil {
		return nil, err
	}
	p.Input.Architecture, p.Input.Classes = n.Graph.Name, n.Net.Classes()
	for _, name := range ops.Parameters(n.Graph) {
		p.Input.Parameters += n.State.Get(name).Len()
	}
	return p, nil
}

// PlanONNX adds to a plan the ONNX model that is written to an output, and is the error of
// encoding these weights if there is one and they are not encoded later.
func PlanONNX(p *weights.Plan, out *stage.Output, s *structure.Structure, sd *model.StateDict, opts onnxio.EncodeOptions) (*weights.PlannedOutput, error) {
	planned := p.Write(out, fmt.Sprintf("ONNX, opset %d", cmp.Or(opts.Opset, s.Graph.Opset(""))))
	if !p.DryRun {
		return planned, nil
	}
	return planned, encodeONNX(io.Discard, s, sd, opts)
}
