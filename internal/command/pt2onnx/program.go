package pt2onnx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/internal/cli"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/onnxio"
)

// programFlags are the flags that only programs can follow.
var programFlags = []string{"optimize", "input-names", "output-names", "batch", "force-eval", "external-data"}

// onlyForPrograms refuses flags that a state dict cannot follow.
func onlyForPrograms(c *urfave.Context) error {
	for _, name := range programFlags {
		if c.IsSet(name) {
			return usage.Errorf("--%s is for exported programs (.pt2) and TorchScript", name)
		}
	}
	return nil
}

// large is the size of an input from which on its weights may not fit one ONNX
// file, which ends at 2 GiB.
const large = 2<<30 - 64<<20

// dataFile returns the name of the second file, for the weights, or "" if all
// goes into one. The model refers to it by its name alone.
func dataFile(c *urfave.Context, in, out string) string {
	info, err := os.Stat(in)
	if c.Bool("external-data") || err == nil && info.Size() >= large && out != "-" {
		return out + ".data"
	}
	return ""
}

// writeProgram writes a network that was converted from a program.
func writeProgram(c *urfave.Context, n *weights.Checkpoint, r *aten.Result, outs *stage.Outputs, out, data string, stdout, stderr io.Writer) error {
	if err := optimize(c, r); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	plan, err := weights.NewPlan(cli.PlanSettingsOf(c), n)
	if err != nil {
		return err
	}
	written := plan.Write(outs, out, fmt.Sprintf("ONNX, opset %d", r.Graph.Opset("")))
	plan.Write(outs, data, "weights of the ONNX model")
	plan.WriteResults(outs, cli.ResultFilesOf(c))
	for _, name := range r.Unused {
		plan.Lost = append(plan.Lost, fmt.Sprintf("%.100q, which the graph does not read", name))
	}
	if c.Bool("dry-run") {
		return plan.Print(stdout)
	}
	opts := onnxio.EncodeOptions{ProducerVersion: version.String(), Props: map[string]string{}}
	for name, as := range r.Tied {
		opts.Props["lethe.alias."+name] = as
	}
	if data != "" {
		opts.Location = filepath.Base(data)
		err := outs.Stage(c.Context, data, func(w io.Writer) error {
			return onnxio.EncodeTensors(w, r.Graph, r.State)
		}, func(f io.ReaderAt, size int64) error {
			return onnxio.EncodeTensors(&comparer{f, 0}, r.Graph, r.State)
		})
		if err != nil {
			return err
		}
	}
	err = outs.Stage(c.Context, out, func(w io.Writer) error {
		return onnxio.EncodeGraph(w, r.Graph, r.State, opts)
	}, func(f io.ReaderAt, size int64) error {
		digest, err := stage.Digest(f, size)
		if err != nil {
			return err
		}
		written.Digest = &digest
		said, err := sameModel(c.Context, f, size, r, data != "")
		r.Notes = append(r.Notes, said)
		return err
	})
	if err != nil {
		return err
	}
	if err := n.SetSource(outs, ".onnx", map[string]string{"lethe.tool": "pt2onnx " + version.String()}); err != nil {
		return err
	}
	if err := outs.Commit(c.Context); err != nil {
		return err
	}
	if out == "-" {
		stdout = stderr
	}
	if c.Bool("quiet") || c.Bool("json") {
		return plan.Print(stdout)
	}
	return tellProgram(stdout, out, r)
}

// rename gives inputs and outputs the names that the person wants.
func rename(c *urfave.Context, p *aten.Program) error {
	names := func(flag string, n int, set func(i int, name string)) error {
		if !c.IsSet(flag) {
			return nil
		}
		list := strings.Split(c.String(flag), ",")
		if len(list) != n {
			return usage.Errorf("--%s has %d names, the program has %d", flag, len(list), n)
		}
		for i, name := range list {
			if name = strings.TrimSpace(name); name == "" {
				return usage.Errorf("--%s has an empty name", flag)
			}
			set(i, name)
		}
		return nil
	}
	if err := names("input-names", len(p.Inputs), func(i int, name string) { p.Inputs[i].Name = name }); err != nil {
		return err
	}
	return names("output-names", len(p.Outputs), func(i int, name string) { p.Outputs[i].Name = name })
}

// tellUnsupported writes the whole list of what cannot be converted, a line for
// each, and returns the error in one.
func tellUnsupported(stderr io.Writer, name string, err error) error {
	var list *aten.UnsupportedError
	if !errors.As(err, &list) || len(list.Parts) < 2 {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, p := range list.Parts {
		terminal.Tell(stderr, "cannot convert %s", p)
	}
	return &model.UnsupportedError{What: fmt.Sprintf("%s: %d parts of the network cannot be converted", name, len(list.Parts)), Advice: "they are listed above"}
}

// comparer compares what is written to it with a file.
type comparer struct {
	r  io.ReaderAt
	at int64
}

func (c *comparer) Write(b []byte) (int, error) {
	have := make([]byte, len(b))
	if n, err := c.r.ReadAt(have, c.at); n < len(b) {
		return 0, fmt.Errorf("reading back the weights: %w", err)
	}
	if !bytes.Equal(have, b) {
		return 0, errors.New("reading back the weights: they differ")
	}
	c.at += int64(len(b))
	return len(b), nil
}

// nowhere stands for a file with weights that were compared already.
type nowhere struct{}

func (nowhere) ReadAt([]byte, int64) (int, error) { return 0, errors.New("not read") }

// sameModel reads a file back, compares its weights, unless they are in another
// file, with what it must hold, and runs it.
func sameModel(ctx context.Context, f io.ReaderAt, size int64, r *aten.Result, elsewhere bool) (said string, err error) {
	file, err := onnxio.Decode(f, size, onnxio.Options{External: func(string) (io.ReaderAt, int64, error) { return nowhere{}, math.MaxInt64, nil }})
	if err != nil {
		return "", fmt.Errorf("reading back the model: %w", err)
	}
	g, err := file.Graph()
	if err != nil {
		return "", fmt.Errorf("reading back the model: %w", err)
	}
	if elsewhere {
		return "not run: the weights are in another file", nil
	}
	got := file.StateDict()
	for name, t := range r.State.All() {
		if got.Get(name) == nil {
			return "", fmt.Errorf("reading back the model: %q is missing", name)
		}
		if same, err := model.SameBits(got.Get(name), t); err != nil || !same {
			return "", errors.Join(fmt.Errorf("reading back the model: %q differs", name), err)
		}
	}
	return tryModel(ctx, g, got)
}

// tellProgram says what was written.
func tellProgram(w io.Writer, out string, r *aten.Result) error {
	values := func(list []graph.Value) string {
		var b strings.Builder
		for i, v := range list {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s %v%v", v.Name, v.DType, v.Shape)
		}
		return b.String()
	}
	terminal.Tell(w, "%s: %s, %d nodes, opset %d", out, r.Graph.Name, len(r.Graph.Nodes), r.Graph.Opset(""))
	terminal.Tell(w, "input %s; output %s", values(r.Graph.Inputs), values(r.Graph.Outputs))
	if len(r.Unused) > 0 {
		terminal.Tell(w, "not read by the graph: %d tensors, such as %.100q", len(r.Unused), r.Unused[0])
	}
	for _, note := range r.Notes {
		terminal.Tell(w, "%s", note)
	}
	return nil
}
