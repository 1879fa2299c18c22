// Package network opens files whose network is known: a checkpoint, what it
// computes, and the two bound together. Conversions and edits begin here.
package network

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"lethe/file"
	"lethe/graph"
	"lethe/internal/stage"
	"lethe/internal/structure"
	"lethe/internal/usage"
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
	Net       *verify.Network      // of Graph, bound
	Structure *structure.Structure // Graph is its graph, or one that computes the same for any batch or for the sizes of the samples
	like      *weights.Checkpoint  // the file of its graph, if that is another one
	aside     []string             // outputs beside that of the classifier
}

// Hints are what a person says of a network, beside its file.
type Hints struct {
	Like   string                // a file with its graph, "" for none
	Layers string                // a file that describes its layers in a row, likewise
	Sample func() ([]int, error) // see [structure.Options.Sample]; sizes that the graph leaves open are these; may be nil
}

// Open is [weights.Open], and finds the architecture and binds the weights
// to it. It begins what [weights.Checkpoint.Digest] returns.
func Open(ctx context.Context, path string, stdin io.Reader, opts pickle.Options) (*Network, error) {
	return OpenFor(ctx, path, stdin, opts, Hints{})
}

// OpenFor is [Open] with hints.
func OpenFor(ctx context.Context, path string, stdin io.Reader, opts pickle.Options, hints Hints) (*Network, error) {
	n, err := weights.Open(ctx, path, stdin, opts)
	if err != nil {
		return nil, err
	}
	return Recognize(ctx, n, opts, hints)
}

// Recognize is [OpenFor] for a checkpoint that is open already. An error closes it.
func Recognize(ctx context.Context, c *weights.Checkpoint, opts pickle.Options, hints Hints) (*Network, error) {
	s, like, err := hints.structure(ctx, c, opts)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	g, err := hints.forSamples(s.Graph)
	if err != nil {
		if like != nil {
			like.Close()
		}
		c.Close()
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	n, err := bindGraph(c, s, g)
	if like != nil && err != nil {
		like.Close()
	}
	if n != nil {
		n.like = like
	}
	return n, err
}

// structure returns the graph that the hints give, with the file that it comes from,
// or else the one that a checkpoint tells.
func (h Hints) structure(ctx context.Context, c *weights.Checkpoint, reading pickle.Options) (s *structure.Structure, like *weights.Checkpoint, err error) {
	opts := structure.Options{Sample: h.Sample}
	switch {
	case h.Like != "" && h.Layers != "":
		return nil, nil, usage.Errorf("--like takes the graph of another file, --layers describes one: give either")
	case h.Like != "":
		return Like(ctx, c, h.Like, reading, opts)
	case h.Layers != "":
		net, err := structure.ReadLayers(h.Layers)
		if err != nil {
			return nil, nil, err
		}
		if net.Input == nil && h.Sample != nil {
			if net.Input, err = h.Sample(); err != nil {
				return nil, nil, err
			}
		}
		s, err = structure.FromLayers(c.State, net, opts)
		return s, nil, err
	}
	s, err = structure.ReadForEdit(c.File(), opts)
	if unsupported, ok := err.(*model.UnsupportedError); ok && !c.Format().Program() {
		return nil, nil, &model.UnsupportedError{What: unsupported.What,
			Advice: "--like takes the graph of another file, an ONNX model or a program; --layers a description, which pt2onnx --print-layers writes, with --data as the images tell it"}
	}
	return s, nil, err
}

// Like returns the graph of the file at path with the weights of a checkpoint. The
// graph may read constants from the file, which the caller closes.
func Like(ctx context.Context, c *weights.Checkpoint, path string, reading pickle.Options, opts structure.Options) (*structure.Structure, *weights.Checkpoint, error) {
	if stage.KindOf(path) == stage.Standard {
		return nil, nil, usage.Errorf("--like is a file, not standard input")
	}
	like, err := weights.Open(ctx, path, nil, reading)
	if err != nil {
		return nil, nil, err
	}
	s, err := structure.Like(c.State, like.File(), opts)
	if err != nil {
		like.Close()
		return nil, nil, fmt.Errorf("the graph of %s: %w", path, err)
	}
	return s, like, nil
}

// forSamples returns a graph whose input leaves sizes open beside the batch, such as the
// length of sequences, for the samples of the hints; any other as it is.
func (h Hints) forSamples(g *graph.Graph) (*graph.Graph, error) {
	isOpen := func(d graph.Dim) bool { return !d.Fixed() }
	if h.Sample == nil || len(g.Inputs) == 0 || len(g.Inputs[0].Shape) == 0 || !slices.ContainsFunc(g.Inputs[0].Shape[1:], isOpen) {
		return g, nil
	}
	sample, err := h.Sample()
	if err != nil {
		return nil, err
	}
	if sample == nil {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the network takes inputs of shape %v, which leaves more open than the batch", g.Inputs[0].Shape),
			Advice: "give --class and --data, whose samples say the sizes, or export the network with fixed ones"}
	}
	fixed, ok := g.ForSamples(sample)
	if !ok {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the network takes inputs of shape %v, the samples have the shape %v", g.Inputs[0].Shape, sample),
			Advice: "give data whose samples have as many axes, and the sizes that are fixed"}
	}
	return fixed, nil
}

// Close closes the checkpoint and the file that the graph comes from.
func (n *Network) Close() error {
	if n.like != nil {
		n.like.Close()
	}
	return n.Checkpoint.Close()
}

// Bind is [Recognize] for a structure that is known already.
func Bind(c *weights.Checkpoint, s *structure.Structure) (*Network, error) {
	return bindGraph(c, s, s.Graph)
}

func bindGraph(c *weights.Checkpoint, s *structure.Structure, g *graph.Graph) (*Network, error) {
	n := &Network{Checkpoint: c, Graph: g, Structure: s}
	if err := n.bind(); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	n.StartDigest()
	return n, nil
}

// bind binds the weights to the graph, or to one that computes the same for any
// batch.
func (n *Network) bind() error {
	inlined, err := ops.Inline(n.Graph, n.State)
	if err != nil {
		return err
	}
	if inlined, err = n.classifier(inlined); err != nil {
		return err
	}
	n.Graph = oneName(inlined, n.State)
	n.Net = verify.NewNetwork(n.Graph, n.State)
	if err = n.Net.Check(); err == nil {
		return nil
	}
	// What exporters write of sizes is constant, or nearly so.
	if folded, failed := ops.Fold(n.Graph, n.State); failed == nil {
		for g := folded; g != nil; g = ops.Unstride(g, n.State) {
			if net := verify.NewNetwork(g, n.State); net.Check() == nil {
				n.Graph, n.Net = g, net
				return nil
			}
		}
	}
	if net := anyBatch(context.Background(), n.Graph, n.State); net != nil {
		n.Graph, n.Net = net.Graph(), net
		return nil
	}
	return err
}

// classifier is [ops.Classifier], and notes the other outputs.
func (n *Network) classifier(g *graph.Graph) (*graph.Graph, error) {
	c, err := ops.Classifier(g, n.State)
	if err != nil {
		return nil, err
	}
	for _, v := range g.Outputs {
		if v.Name != c.Outputs[0].Name {
			n.aside = append(n.aside, v.Name)
		}
	}
	return c, nil
}

// TellLost is [weights.Checkpoint.TellLost], and says which outputs nobody judged.
func (n *Network) TellLost(w io.Writer, path string, format file.Format) {
	n.Checkpoint.TellLost(w, path, format)
	if len(n.aside) > 0 {
		fmt.Fprintf(w, "edited and judged by its output %q; not judged: %q\n", n.Graph.Outputs[0].Name, n.aside)
	}
}

// oneName returns a graph that knows each tensor of a state dict by its first name, so
// that tied weights move together.
func oneName(g *graph.Graph, sd *model.StateDict) *graph.Graph {
	aliases := sd.Aliases()
	if !slices.ContainsFunc(g.Weights(), func(name string) bool { return aliases[name] != "" }) {
		return g
	}
	g = g.Clone()
	for name, first := range aliases {
		g.Replace(name, first)
	}
	return g
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

// StageONNX stages the network with the weights of sd as an ONNX output, and checks
// the file against another network, which it must agree with.
func StageONNX(ctx context.Context, out *stage.Output, with *verify.Network, s *structure.Structure, sd *model.StateDict, opts onnxio.EncodeOptions) (parity *report.Parity, digest report.Digest, err error) {
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
		parity, err = verify.ONNX(b, with)
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
// the network with the same weights.
func EditedONNX(edited *verify.Network, s *structure.Structure, opts onnxio.EncodeOptions) (*report.Parity, report.Digest, error) {
	var b bytes.Buffer
	if err := encodeONNX(&b, s, edited.State(), opts); err != nil {
		return nil, report.Digest{}, err
	}
	digest, err := stage.Digest(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		return nil, report.Digest{}, err
	}
	parity, err := verify.ONNX(b.Bytes(), edited)
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
