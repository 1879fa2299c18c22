// Package ptcheck is the command ptcheck: it says what a PyTorch checkpoint holds,
// and what an edit of it changed.
package ptcheck

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"lethe/evidence"
	"lethe/internal/cli"
	"lethe/internal/job"
	"lethe/internal/jobflags"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/scan"
	"lethe/verify"
)

// Run runs the command and returns its exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := &urfave.App{
		Name:      "ptcheck",
		Usage:     "say what a PyTorch checkpoint holds, and judge an edit of it",
		ArgsUsage: "in.pt [out.pt]",
		Description: "With one file, lists its tensors. With two, lists what differs and checks the\n" +
			"invariants of an edit; with --class too, measures the edited network. The exit\n" +
			"code is 3 if a check fails.",
		UsageText: "ptcheck in.pt\n" +
			"ptcheck --class 3 --gate full in.pt out.pt\n" +
			"ptcheck --report report.json --verify-signature pub.pem in.pt out.pt",
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "class", Usage: "the forgotten `CLASS`: an index or a label; several with commas"},
			jobflags.AimFlag(),
			&urfave.StringFlag{Name: "gate", Value: string(verify.GateHard), Usage: "what the edit must achieve, with --class, `none|hard|full`: the invariants alone, no measure beyond the hard limits, or full marks"},
			&urfave.BoolFlag{Name: "audit", Usage: "look for what the network still knows of the class, with --class: probes, relearning, membership, rounding"},
			&urfave.BoolFlag{Name: "retrain", Usage: "train three networks without the class for the audit to compare with; they are kept in the user's cache folder"},
			&urfave.Uint64Flag{Name: "seed", Usage: "seed of every random draw of the audit"},
			&urfave.BoolFlag{Name: "verbose", Usage: "print confusion matrices too"},
			jobflags.ThreadsFlag(),
			&urfave.BoolFlag{Name: "graph", Usage: "print the layers of the network, with shapes and parameters"},
			&urfave.StringFlag{Name: "graph-svg", Usage: "draw the layers of the network to `FILE`, large networks by module"},
			&urfave.BoolFlag{Name: "scan", Usage: "list what files and folders hold beyond tensors and plain containers, and what loading them would do; nothing is run"},
			&urfave.StringFlag{Name: "fail-on", Value: scan.Unknown.String(), Usage: "the least level of a finding that makes the exit code of --scan 3, `danger|unknown|notice`; a file that cannot be read to its end always does"},
			&urfave.StringFlag{Name: "sarif", Usage: "write the findings of --scan to `FILE` for code-scanning dashboards (SARIF 2.1.0)"},
			&urfave.BoolFlag{Name: "json", Usage: "print JSON"},
			cli.QuietFlag(),
		}, slices.Concat(checkFlags(), cli.ReadFlags(), jobflags.GraphFlags(), jobflags.DataFlags(), jobflags.RulesFlags())...),
		Action: func(c *urfave.Context) error {
			return check(c, stage.Streams{In: stdin, Out: stdout, Err: stderr, Quiet: c.Bool("quiet")})
		},
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

// checkFlags are the flags for checking what [jobflags.EvidenceFlags] made.
func checkFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "report", Usage: "`FILE` with the report of an edit: compute it again and tell whether it is true"},
		&urfave.StringFlag{Name: "reference", Usage: "`FILE` with the network that the edit of --report steered by, if it was given one"},
		jobflags.HTMLFlag(),
		&urfave.StringFlag{Name: "attest", Usage: "`FILE` with in-toto statements: tell whether they say what --report says"},
		&urfave.StringFlag{Name: "verify-signature", Usage: "`FILE` with a public key in PEM: verify the signature of the model (OpenSSF Model Signing) and of --attest"},
		&urfave.StringFlag{Name: "signature", Usage: "`FILE` with the signature of the model; default: the model with .sig appended"},
		&urfave.BoolFlag{Name: "force", Usage: "replace an existing page"},
	}
}

func check(c *urfave.Context, std stage.Streams) error {
	if std.Quiet {
		std.Out = io.Discard
	}
	if c.Bool("scan") {
		return scanFiles(c, std)
	}
	for _, flag := range []string{"fail-on", "sarif"} {
		if cli.Typed(c, flag) {
			return usage.Errorf("--%s is about a scan and needs --scan", flag)
		}
	}
	paths, err := cli.Args(c, "in.pt", "[out.pt]")
	if err != nil {
		return err
	}
	for _, flag := range []string{"like", "layers"} {
		if paths[1] == "" && cli.Typed(c, flag) {
			return usage.Errorf("--%s gives the graph of two files to compare", flag)
		}
	}
	if c.Bool("graph") || c.IsSet("graph-svg") {
		if paths[1] != "" {
			return usage.Errorf("--graph and --graph-svg show one file; --html shows what changed in each layer")
		}
		return showGraph(c, paths[0], std)
	}
	switch {
	case c.Bool("audit") && !c.IsSet("class") && !c.IsSet("report"):
		return usage.Errorf("--audit looks for what is left of a class and needs --class")
	case c.IsSet("reference") && !c.IsSet("report"):
		return usage.Errorf("--reference is for an edit that --report names")
	case c.Bool("retrain") && !c.Bool("audit"):
		return usage.Errorf("--retrain trains networks for --audit to compare with and needs it")
	}
	set, err := settings(c, paths)
	if err != nil {
		return err
	}
	if set.After == "" {
		for _, flag := range []string{"class", "data", "rules", "report", "html", "attest"} {
			if cli.Typed(c, flag) {
				return usage.Errorf("--%s is about an edit and needs two files", flag)
			}
		}
		if set.PublicKey != "" {
			line, err := job.Verify(c.Context, job.VerifySettings{In: set.Before, PublicKey: set.PublicKey, Signature: set.Signature}, std)
			return printSignature(c, std.Out, line, err)
		}
		return inventory(c, set.Before, std)
	}
	if set.Report != "" {
		for _, flag := range []string{"class", "gate"} {
			if cli.Typed(c, flag) {
				return usage.Errorf("--%s is in the report that --report gives", flag)
			}
		}
	} else if set.Attest != "" {
		return usage.Errorf("--attest is checked against a report and needs --report")
	}
	done, err := job.Check(c.Context, set, std)
	if done != nil {
		err = printSignature(c, std.Out, done.Signature, err)
	}
	if err != nil {
		return err
	}
	if err := printChecked(c, std.Out, done); err != nil {
		return err
	}
	return verify.Err(done.Report.AllChecks())
}

// settings reads the flags about an edit.
func settings(c *urfave.Context, paths []string) (job.CheckSettings, error) {
	aim, err := jobflags.Aim(c)
	if err != nil {
		return job.CheckSettings{}, err
	}
	threads, err := jobflags.Threads(c)
	if err != nil {
		return job.CheckSettings{}, err
	}
	data, err := jobflags.Data(c)
	return job.CheckSettings{
		Before: paths[0], After: paths[1], Reading: jobflags.Reading(c), Class: c.String("class"), Aim: aim, Gate: c.String("gate"), Rules: c.String("rules"), Data: data,
		Audit: c.Bool("audit"), Retrain: c.Bool("retrain"), Seed: c.Uint64("seed"), Threads: threads,
		Report: c.String("report"), Reference: c.String("reference"), Attest: c.String("attest"), PublicKey: c.String("verify-signature"), Signature: c.String("signature"),
		HTML: c.String("html"), Force: c.Bool("force"),
	}, err
}

// showGraph prints the layers of a network, and draws them if that is asked for.
func showGraph(c *urfave.Context, path string, std stage.Streams) error {
	net, err := job.Draw(c.Context, job.DrawSettings{In: path, Reading: jobflags.Reading(c), SVG: c.String("graph-svg"), Force: c.Bool("force")}, std)
	switch {
	case err != nil || !c.Bool("graph"):
		return err
	case c.Bool("json"):
		return terminal.PrintJSON(std.Out, net)
	}
	return net.Table(std.Out, terminal.Name)
}

// inventory prints what a file holds.
func inventory(c *urfave.Context, path string, std stage.Streams) error {
	list, err := job.List(c.Context, path, jobflags.Reading(c), std)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return terminal.PrintJSON(std.Out, list)
	}
	for _, left := range list.Left {
		fmt.Fprintf(std.Err, "not in the list: %s\n", left)
	}
	t := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tDTYPE\tSHAPE\tBYTES\tSHA256\tSTORAGE")
	for _, e := range list.Entries {
		storage := terminal.Name(e.Storage)
		if e.Storage == "" {
			storage = terminal.Name(e.Location)
		}
		if e.Sharing > 0 {
			storage += fmt.Sprintf(" (shared by %d)", e.Sharing)
		}
		fmt.Fprintf(t, "%s\t%s\t%v\t%d\t%.12s\t%s\n", terminal.Name(e.Name), e.DType, e.Shape, e.Bytes, e.SHA256, storage)
	}
	return t.Flush()
}

// printSignature says that a signature holds, before the error that came after it.
func printSignature(c *urfave.Context, w io.Writer, line string, err error) error {
	if !c.Bool("json") {
		if _, failed := io.WriteString(w, line); err == nil {
			err = failed
		}
	}
	return err
}

// printChecked writes what was found out about an edit.
func printChecked(c *urfave.Context, w io.Writer, done *job.Checked) error {
	switch {
	case c.Bool("json"):
		return terminal.PrintJSON(w, done.Report)
	case done.Claim == nil:
		return printComparison(w, done.Report, c.Bool("verbose"))
	}
	if _, err := io.WriteString(w, confirmed(done.Claim)+done.Statements); err != nil || !c.Bool("audit") {
		return err
	}
	return job.PrintDetails(w, done.Report, c.Bool("verbose"))
}

// printComparison lists what differs, tensor by tensor, and the report.
func printComparison(w io.Writer, r *verify.Report, verbose bool) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tROLE\tSHAPE\tL2\tLARGEST\tSHA256")
	for _, ch := range r.Comparison.Changes {
		if ch.Changed() {
			fmt.Fprintf(t, "%s\t%s\t%v\t%.4g\t%.4g\t%.12s -> %.12s\n", terminal.Name(ch.Name), ch.Role, ch.Shape, ch.L2, ch.Max, ch.Before, ch.After)
		} else {
			fmt.Fprintf(t, "%s\t%s\t%v\tsame\tsame\t%.12s\n", terminal.Name(ch.Name), ch.Role, ch.Shape, ch.Before)
		}
	}
	t.Flush()
	if _, err := fmt.Fprintln(w, b.String()); err != nil {
		return err
	}
	if err := job.PrintReport(w, r); err != nil {
		return err
	}
	return job.PrintDetails(w, r, verbose)
}

// confirmed says what was computed again.
func confirmed(claim *evidence.Claim) string {
	var b strings.Builder
	b.WriteString("the report tells the truth\n")
	if claim.Method != nil {
		fmt.Fprintf(&b, "the edit, run again with seed %d, gives these weights\n", claim.Seed)
	}
	if claim.Data == nil {
		b.WriteString("it claims no measures\n")
	} else {
		b.WriteString("invariants, measures, checks and digests were computed again\n")
	}
	fmt.Fprintf(&b, "made by %q, by the report alone\n", claim.Tool.String())
	return b.String()
}
