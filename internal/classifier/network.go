// Package classifier is what the commands share that know networks: flags and
// files of images, architectures, reports, their page and their evidence. A command
// that only moves weights, such as ptconvert, does without it and all that is below.
package classifier

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/graph"
	"lethe/internal/cli"
	"lethe/internal/dataset"
	"lethe/internal/nn"
	"lethe/internal/structure"
	"lethe/model"
	"lethe/onnxio"
	"lethe/ops"
	"lethe/pickle"
	"lethe/report"
	"lethe/verify"
)

// Network is a checkpoint whose architecture is known.
type Network struct {
	*cli.Checkpoint
	Graph     *graph.Graph
	Net       *nn.Net
	Structure *structure.Structure // Graph is its graph, or one that computes the same for any batch
}

// Open is [cli.OpenCheckpoint], and finds the architecture and binds the weights
// to it. It begins what [cli.Checkpoint.Digest] returns.
func Open(ctx context.Context, path string, stdin io.Reader, opts pickle.Options) (*Network, error) {
	n, err := cli.OpenCheckpoint(ctx, path, stdin, opts)
	if err != nil {
		return nil, err
	}
	return Recognize(n)
}

// Recognize is [Open] for a checkpoint that is open already. An error closes it.
func Recognize(c *cli.Checkpoint) (*Network, error) {
	s, err := structure.ReadForEdit(c.File(), structure.Options{})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	return Bind(c, s)
}

// Bind is [Recognize] for a structure that is known already.
func Bind(c *cli.Checkpoint, s *structure.Structure) (*Network, error) {
	n := &Network{Checkpoint: c, Graph: s.Graph, Structure: s}
	if err := n.bind(); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	n.StartDigest()
	return n, nil
}

// bind binds the weights to the graph.
func (n *Network) bind() (err error) {
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
	if s.LeNet {
		return onnxio.Encode(w, s.Graph, sd, opts)
	}
	opts.Props = map[string]string{}
	for name, as := range s.Tied {
		opts.Props["lethe.alias."+name] = as
	}
	return onnxio.EncodeGraph(w, s.Graph, sd, opts)
}

// StageONNX stages the network with the weights of sd as the ONNX output at path,
// and checks the file against net, which it must agree with.
func StageONNX(ctx context.Context, outs *cli.Outputs, path string, net *nn.Net, s *structure.Structure, sd *model.StateDict, opts onnxio.EncodeOptions) (parity *verify.Parity, digest report.Digest, err error) {
	opts.ProducerVersion = cli.Version()
	if opts.DocString == "" {
		opts.DocString = s.Graph.Name + " converted from a PyTorch state dict"
	}
	err = outs.Stage(ctx, path, func(w io.Writer) error {
		return encodeONNX(w, s, sd, opts)
	}, func(r io.ReaderAt, size int64) (err error) {
		if digest, err = cli.Digest(r, size); err != nil {
			return err
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), b); err != nil {
			return err
		}
		parity, err = verify.ONNX(b, net)
		return err
	})
	return parity, digest, err
}

// What a report calls images that are not in this binary. Their digests are in
// the report, their place is not.
const (
	FilesOfData       = "files of --data"
	FilesOfForgetOnly = "files of --forget-only" // of the forgotten classes alone
)

// Data is labelled images and how the network wants them.
type Data struct {
	*dataset.Data
	Norm   dataset.Norm
	Source string // for messages and the report
}

// StartData is [OpenData] in the background: it returns at once, and the function
// that it returns waits for the images. Expanding them takes longer than anything
// that a command does before it needs them.
func StartData(c *urfave.Context) (wait func() (*Data, error)) {
	var d *Data
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		d, err = OpenData(c)
	}()
	return func() (*Data, error) { <-done; return d, err }
}

// Only leaves nothing but the images of the given classes.
func (d *Data) Only(classes []int) {
	only := func(s *dataset.Set) *dataset.Set {
		if s == nil {
			return nil
		}
		images, _ := s.Split(classes...)
		return s.Subset(images)
	}
	d.Data = &dataset.Data{Train: only(d.Train), Test: only(d.Test), Names: d.Names}
}

// Classes returns the indices and the labels of the classes that a person asked
// for: indices or labels, several with commas.
func (d *Data) Classes(list string, classes int) (indices []int, labels []string, err error) {
	for _, word := range strings.Split(list, ",") {
		i, err := dataset.ParseClass(strings.TrimSpace(word), d.Names)
		if err != nil {
			return nil, nil, cli.Usagef("--class: %v", err)
		}
		if i >= classes {
			return nil, nil, cli.Usagef("class %d does not exist: the network has classes 0 to %d", i, classes-1)
		}
		if !slices.Contains(indices, i) {
			indices, labels = append(indices, i), append(labels, d.Names[i])
		}
	}
	if len(indices) >= classes {
		return nil, nil, cli.Usagef("all %d classes cannot be forgotten: at least one must remain", classes)
	}
	return indices, labels, nil
}

// Plan says what an edit is to forget and what the unedited network measures.
func (d *Data) Plan(classes []int, labels []string, before *verify.Measures) *cli.PlannedEdit {
	p := &cli.PlannedEdit{Data: d.Source, TrainImages: d.Train.Len(), Accuracy: before.Accuracy}
	if d.Test != nil {
		p.TestImages = d.Test.Len()
	}
	for i, class := range classes {
		images, _ := d.Train.Split(class)
		p.Forget = append(p.Forget, cli.PlannedClass{Class: class, Label: labels[i], Images: len(images)})
	}
	return p
}

// fitting is the least accuracy at which a network counts as trained on the
// images at hand: with wrong labels or another normalization it falls far below.
const fitting = 0.5

// Fit refuses images that the network was not trained on. It is given what the
// unedited network measures on them.
func (d *Data) Fit(before *verify.Measures) error {
	if before.Accuracy >= fitting {
		return nil
	}
	return fmt.Errorf("the network gets only %.1f %% of the images right (%s), so it was not trained on such images or not with mean %v and standard deviation %v: give its training data with --data, and --mean and --std if they differ",
		100*before.Accuracy, d.Source, d.Norm.Mean, d.Norm.Std)
}
