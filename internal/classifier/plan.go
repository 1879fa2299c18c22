package classifier

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/graph"
	"lethe/internal/cli"
	"lethe/internal/registry"
	"lethe/internal/structure"
	"lethe/model"
	"lethe/onnxio"
	"lethe/ops"
)

// NewPlan is [cli.NewPlan] with the architecture.
func NewPlan(c *urfave.Context, n *Network) (*cli.Plan, error) {
	p, err := cli.NewPlan(c, n.Checkpoint)
	if err != nil {
		return nil, err
	}
	p.Input.Architecture, p.Input.Classes = n.Graph.Name, n.Net.Classes()
	for _, name := range ops.Parameters(n.Graph) {
		p.Input.Parameters += n.State.Get(name).Len()
	}
	return p, nil
}

// PlanONNX adds to a plan the ONNX model that is written to path, and is the error of
// encoding these weights if there is one and they are not encoded later.
func PlanONNX(p *cli.Plan, outs *cli.Outputs, path string, s *structure.Structure, sd *model.StateDict, opts onnxio.EncodeOptions) (*cli.PlannedOutput, error) {
	opset := s.Graph.Opset("")
	if s.LeNet {
		opset = cmp.Or(opts.Opset, graph.DefaultOpset)
	}
	what := fmt.Sprintf("ONNX, opset %d", opset)
	out := p.Write(outs, path, what)
	if !p.DryRun {
		return out, nil
	}
	return out, encodeONNX(io.Discard, s, sd, opts)
}

// Plan adds the evidence to a plan.
func (e *Evidence) Plan(p *cli.Plan, outs *cli.Outputs) {
	p.Write(outs, e.report, "report")
	p.Write(outs, e.html, "report as a page")
	p.Write(outs, e.attest, "in-toto statements")
	p.Write(outs, e.signature, "signature")
	if !registry.IsReference(e.out) {
		return
	}
	beside := []string{"report"}
	if e.attest != "" {
		beside = append(beside, "in-toto statements")
	}
	if e.key != nil {
		beside = append(beside, "signature")
	}
	p.Write(outs, e.out, "evidence: "+strings.Join(beside, ", "))
}
