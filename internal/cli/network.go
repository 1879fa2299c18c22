package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/convert"
	"lethe/fixtures"
	"lethe/graph"
	"lethe/internal/dataset"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/onnxio"
	"lethe/pickle"
	"lethe/verify"
)

// Network is a state dict in a file and, once recognised, its architecture.
type Network struct {
	Name  string // of the file, for messages
	State *model.StateDict
	Graph *graph.Graph // nil before Recognize
	Net   *nn.Net      // nil before Recognize

	input   *Input
	options pickle.Options
	file    state
	digest  func() (verify.Digest, error)
}

// OpenCheckpoint reads the state dict in the file at path, or on stdin if path
// is "-". Close it when its tensors are no longer needed.
func OpenCheckpoint(ctx context.Context, path string, stdin io.Reader, opts pickle.Options) (*Network, error) {
	in, err := OpenInput(ctx, path, stdin)
	if err != nil {
		return nil, err
	}
	n := &Network{Name: in.Name, input: in, options: opts}
	if err := n.read(); err != nil {
		in.Close()
		return nil, fmt.Errorf("%s: %w", in.Name, err)
	}
	return n, nil
}

func (n *Network) read() (err error) {
	if n.file, err = readState(n.input, n.input.Size, n.options); err != nil {
		return err
	}
	n.State = n.file.stateDict()
	return nil
}

// StartDigest begins what [Network.Digest] returns. It takes longer than all
// other reading, so it is best made beside that and beside the work.
func (n *Network) StartDigest() {
	if n.digest == nil {
		n.digest = startDigest(n.input, n.input.Size)
	}
}

// Digest returns the digest of the file.
func (n *Network) Digest() (verify.Digest, error) {
	n.StartDigest()
	digest, err := n.digest()
	if err != nil {
		return digest, fmt.Errorf("cannot read %s: %w", n.Name, cause(err))
	}
	return digest, nil
}

// Digests returns what a report calls the files before and after an edit.
func Digests(before, after *Network) (map[string]verify.Digest, error) {
	input, err := before.Digest()
	if err != nil {
		return nil, err
	}
	output, err := after.Digest()
	return map[string]verify.Digest{"input": input, "output": output}, err
}

// Recognize finds the architecture and binds the weights to it.
func (n *Network) Recognize() (err error) {
	if n.Graph, err = convert.Recognize(n.State); err == nil {
		n.Net, err = nn.Bind(n.Graph, n.State)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return nil
}

// OpenNetwork is [OpenCheckpoint], [Network.Recognize] and
// [Network.StartDigest].
func OpenNetwork(ctx context.Context, path string, stdin io.Reader, opts pickle.Options) (*Network, error) {
	n, err := OpenCheckpoint(ctx, path, stdin, opts)
	if err != nil {
		return nil, err
	}
	if err := n.Recognize(); err != nil {
		n.Close()
		return nil, err
	}
	n.StartDigest()
	return n, nil
}

// Close closes the file under the checkpoint.
func (n *Network) Close() error { return n.input.Close() }

// StageONNX stages the graph and its weights as the ONNX output at path, and
// checks the file against the network nn that it must agree with.
func StageONNX(ctx context.Context, outs *Outputs, path string, net *nn.Net, g *graph.Graph, sd *model.StateDict, opts onnxio.EncodeOptions) (parity *verify.Parity, digest verify.Digest, err error) {
	opts.ProducerVersion = Version()
	if opts.DocString == "" {
		opts.DocString = g.Name + " converted from a PyTorch state dict"
	}
	err = outs.Stage(ctx, path, func(w io.Writer) error {
		return onnxio.Encode(w, g, sd, opts)
	}, func(r io.ReaderAt, size int64) (err error) {
		if digest, err = Digest(r, size); err != nil {
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

// Digest returns the SHA-256 and the size of a file.
func Digest(r io.ReaderAt, size int64) (verify.Digest, error) {
	h := sha256.New()
	_, err := io.Copy(h, io.NewSectionReader(r, 0, size))
	return verify.Digest{SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: size}, err
}

// startDigest begins [Digest] and returns a function that waits for it, as
// often as it is called.
func startDigest(r io.ReaderAt, size int64) func() (verify.Digest, error) {
	var digest verify.Digest
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		digest, err = Digest(r, size)
	}()
	return func() (verify.Digest, error) { <-done; return digest, err }
}

// DataFlags are the flags that say which images to use.
func DataFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "data", Usage: "`DIR` with IDX files (train-images-idx3-ubyte[.gz], ...); default: a sample of Fashion-MNIST in this binary"},
		&urfave.Float64Flag{Name: "mean", Value: decimal(dataset.FashionNorm.Mean), Usage: "mean of the pixels / 255 that the network was trained with"},
		&urfave.Float64Flag{Name: "std", Value: decimal(dataset.FashionNorm.Std), Usage: "standard deviation of the pixels / 255 that the network was trained with"},
	}
}

// decimal widens x to the number that people write for it: 0.286, not
// 0.28600001335144043.
func decimal(x float32) float64 {
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64)
	if err != nil {
		return float64(x)
	}
	return d
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

// OpenData reads the images that [DataFlags] and, where a command has it,
// --forget-only ask for.
func OpenData(c *urfave.Context) (*Data, error) {
	d := &Data{Norm: dataset.Norm{Mean: float32(c.Float64("mean")), Std: float32(c.Float64("std"))}, Source: FilesOfData}
	if !(d.Norm.Std > 0) {
		return nil, Usagef("--std %v is not positive", c.Float64("std"))
	}
	var err error
	only := c.String("forget-only")
	switch dir := c.String("data"); {
	case dir != "" && only != "":
		return nil, Usagef("--data and --forget-only contradict each other")
	case only != "":
		d.Source = FilesOfForgetOnly
		d.Data, err = await(c.Context, func() (*dataset.Data, error) { return dataset.Open(only) })
	case dir != "":
		d.Data, err = await(c.Context, func() (*dataset.Data, error) { return dataset.Open(dir) })
	default:
		d.Source = "embedded sample of Fashion-MNIST"
		d.Data, err = dataset.OpenFS(fixtures.FashionMNIST(), d.Source)
	}
	return d, err
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
			return nil, nil, Usagef("--class: %v", err)
		}
		if i >= classes {
			return nil, nil, Usagef("class %d does not exist: the network has classes 0 to %d", i, classes-1)
		}
		if !slices.Contains(indices, i) {
			indices, labels = append(indices, i), append(labels, d.Names[i])
		}
	}
	if len(indices) >= classes {
		return nil, nil, Usagef("all %d classes cannot be forgotten: at least one must remain", classes)
	}
	return indices, labels, nil
}

// Plan says what an edit is to forget and what the unedited network measures.
func (d *Data) Plan(classes []int, labels []string, before *verify.Measures) *PlannedEdit {
	p := &PlannedEdit{Data: d.Source, TrainImages: d.Train.Len(), Accuracy: before.Accuracy}
	if d.Test != nil {
		p.TestImages = d.Test.Len()
	}
	for i, class := range classes {
		images, _ := d.Train.Split(class)
		p.Forget = append(p.Forget, PlannedClass{class, labels[i], len(images)})
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
	return fmt.Errorf("the network gets only %.1f %% of the images right (%s), so it was not trained on such images or not with mean %g and standard deviation %g: give its training data with --data, and --mean and --std if they differ",
		100*before.Accuracy, d.Source, d.Norm.Mean, d.Norm.Std)
}
