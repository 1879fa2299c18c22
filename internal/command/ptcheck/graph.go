package ptcheck

import (
	"fmt"
	"io"

	urfave "github.com/urfave/cli/v2"

	"lethe/convert/aten"
	"lethe/internal/cli"
	"lethe/internal/drawing"
	"lethe/internal/stage"
	"lethe/internal/structure"
	"lethe/internal/terminal"
	"lethe/internal/weights"
)

// showGraph prints the layers of a network, and draws them if that is asked for.
func showGraph(c *urfave.Context, path string, stdin io.Reader, stdout io.Writer) error {
	svg := c.String("graph-svg")
	path, config, err := structure.Folder(path)
	if err != nil {
		return err
	}
	outs, err := stage.NewOutputs(c.Context, stdout, c.Bool("force"), []string{path}, svg)
	if err != nil {
		return err
	}
	defer outs.Discard()
	n, err := weights.Open(c.Context, path, stdin, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	defer n.Close()
	found, err := structure.Read(n.File(), structure.Options{Config: config, Convert: aten.Options{ForceEval: true}})
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	net, err := drawing.New(found.Graph, found.State)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if svg != "" {
		if err := outs.Stage(c.Context, svg, func(w io.Writer) error { return net.SVG(w, drawing.Options{}) }, nil); err != nil {
			return err
		}
	}
	if err := n.Unchanged(); err != nil {
		return err
	}
	if err := outs.Commit(c.Context); err != nil || !c.Bool("graph") {
		return err
	}
	if c.Bool("json") {
		return terminal.PrintJSON(stdout, net)
	}
	return net.Table(stdout, terminal.Name)
}
