// Package ptcheck is the command ptcheck: it says what a PyTorch checkpoint holds,
// and what an edit of it changed.
package ptcheck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/classifier"
	"lethe/internal/cli"
	"lethe/internal/learn"
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
			&urfave.StringFlag{Name: "gate", Value: string(verify.GateHard), Usage: "what the edit must achieve, with --class, `none|hard|full`: the invariants alone, no measure beyond the hard limits, or full marks"},
			&urfave.BoolFlag{Name: "audit", Usage: "look for what the network still knows of the class, with --class: probes, relearning, membership, rounding"},
			&urfave.BoolFlag{Name: "retrain", Usage: "train three networks without the class for the audit to compare with; they are kept in the user's cache folder"},
			&urfave.Uint64Flag{Name: "seed", Usage: "seed of every random draw of the audit"},
			&urfave.BoolFlag{Name: "verbose", Usage: "print confusion matrices too"},
			&urfave.IntFlag{Name: "threads", Usage: "goroutines that compute; 0: one for each processor"},
			&urfave.BoolFlag{Name: "graph", Usage: "print the layers of the network, with shapes and parameters"},
			&urfave.StringFlag{Name: "graph-svg", Usage: "draw the layers of the network to `FILE`, large networks by module"},
			&urfave.BoolFlag{Name: "scan", Usage: "list what files and folders hold beyond tensors and plain containers, and what loading them would do; nothing is run"},
			&urfave.StringFlag{Name: "fail-on", Value: scan.Unknown.String(), Usage: "the least level of a finding that makes the exit code of --scan 3, `danger|unknown|notice`; a file that cannot be read to its end always does"},
			&urfave.StringFlag{Name: "sarif", Usage: "write the findings of --scan to `FILE` for code-scanning dashboards (SARIF 2.1.0)"},
			&urfave.BoolFlag{Name: "json", Usage: "print JSON"},
			&urfave.BoolFlag{Name: "quiet", Usage: "print nothing but errors"},
		}, slices.Concat(classifier.CheckFlags(), cli.ReadFlags(), classifier.DataFlags())...),
		Action: func(c *urfave.Context) error { return check(c, stdin, stdout, stderr) },
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

func check(c *urfave.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if c.Bool("quiet") {
		stdout = io.Discard
	}
	if c.Bool("scan") {
		return scanFiles(c, stdin, stdout)
	}
	for _, flag := range []string{"fail-on", "sarif"} {
		if cli.Typed(c, flag) {
			return cli.Usagef("--%s is about a scan and needs --scan", flag)
		}
	}
	paths, err := cli.Args(c, "in.pt", "[out.pt]")
	if err != nil {
		return err
	}
	if c.Bool("graph") || c.IsSet("graph-svg") {
		if paths[1] != "" {
			return cli.Usagef("--graph and --graph-svg show one file; --html shows what changed in each layer")
		}
		return showGraph(c, paths[0], stdin, stdout)
	}
	switch {
	case c.Bool("audit") && !c.IsSet("class") && !c.IsSet("report"):
		return cli.Usagef("--audit looks for what is left of a class and needs --class")
	case c.Bool("retrain") && !c.Bool("audit"):
		return cli.Usagef("--retrain trains networks for --audit to compare with and needs it")
	}
	if paths[1] == "" {
		for _, flag := range []string{"class", "report", "html", "attest"} {
			if cli.Typed(c, flag) {
				return cli.Usagef("--%s is about an edit and needs two files", flag)
			}
		}
		if c.IsSet("verify-signature") {
			_, err := signed(c, paths[0], nil, stdout)
			return err
		}
		return inventory(c, paths[0], stdin, stdout, stderr)
	}
	if c.IsSet("attest") && !c.IsSet("report") {
		return cli.Usagef("--attest is checked against a report and needs --report")
	}
	// The file whose signature holds is the one that is read.
	after, err := cli.OpenInput(c.Context, paths[1], stdin)
	if err != nil {
		return err
	}
	defer after.Close()
	key, err := signed(c, paths[1], after, stdout)
	if err != nil {
		return err
	}
	if c.IsSet("report") {
		return confirm(c, paths[0], after, key, stdin, stdout, stderr)
	}
	return compare(c, paths[0], after, stdin, stdout, stderr)
}

// entry is one line of the inventory.
type entry struct {
	Name     string `json:"name"`
	DType    string `json:"dtype"`
	Shape    []int  `json:"shape"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`            // of the elements in C order, little-endian
	Storage  string `json:"storage,omitempty"` // key of the record that holds the elements
	Sharing  int    `json:"sharing,omitempty"` // entries over that record, if more than one
	Location string `json:"location,omitempty"`
}

func inventory(c *urfave.Context, path string, stdin io.Reader, stdout, stderr io.Writer) error {
	n, err := cli.OpenCheckpoint(c.Context, path, stdin, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	defer n.Close()
	n.StartDigest()
	info := n.File().Info()
	var all []entry
	for _, e := range info.Entries {
		t := n.State.Get(e.Name)
		r, err := t.Reader()
		if err != nil {
			return err
		}
		h := sha256.New()
		size, err := io.Copy(h, r)
		if err != nil {
			return err
		}
		line := entry{e.Name, t.DType().String(), t.Shape(), size, hex.EncodeToString(h.Sum(nil)), e.Storage, 0, e.Location}
		if e.Sharing > 1 {
			line.Sharing = e.Sharing
		}
		all = append(all, line)
	}
	digest, err := n.Digest()
	if err != nil {
		return err
	}
	var beside []string
	for _, left := range info.Beside {
		beside = append(beside, left.Name)
	}
	if c.Bool("json") {
		return cli.PrintJSON(stdout, struct {
			SHA256    string   `json:"sha256"`
			Bytes     int64    `json:"bytes"`
			Container string   `json:"container"`
			Protocol  int      `json:"pickle_protocol,omitempty"`
			Path      []string `json:"path_to_state_dict,omitempty"`
			Beside    []string `json:"beside_state_dict,omitempty"`
			Entries   []entry  `json:"entries"`
		}{digest.SHA256, digest.Bytes, info.Container, info.Protocol, info.Path, beside, all})
	}
	for _, left := range info.Beside {
		fmt.Fprintf(stderr, "not in the list: %s\n", left)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tDTYPE\tSHAPE\tBYTES\tSHA256\tSTORAGE")
	for _, e := range all {
		storage := cli.Name(e.Storage)
		if e.Storage == "" {
			storage = cli.Name(e.Location)
		}
		if e.Sharing > 0 {
			storage += fmt.Sprintf(" (shared by %d)", e.Sharing)
		}
		fmt.Fprintf(t, "%s\t%s\t%v\t%d\t%.12s\t%s\n", cli.Name(e.Name), e.DType, e.Shape, e.Bytes, e.SHA256, storage)
	}
	return t.Flush()
}

func compare(c *urfave.Context, before string, after *cli.Input, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx := c.Context
	outs, err := pageOutput(c, before, after.Name, stdout)
	if err != nil {
		return err
	}
	defer outs.Discard()
	gate, err := verify.ParseGate(c.String("gate"))
	if err != nil {
		return cli.Usagef("%v", err)
	}
	n, err := classifier.Open(ctx, before, stdin, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	defer n.Close()
	e, err := cli.ReadCheckpoint(after, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	q := verify.Question{Net: n.Net, Before: n.State, After: e.State, Gate: gate, Threads: c.Int("threads")}
	labels := []string{}
	var data *classifier.Data
	if c.IsSet("class") {
		if data, err = classifier.OpenData(c); err != nil {
			return err
		}
		if q.Classes, labels, err = data.Classes(c.String("class"), n.Net.Classes()); err != nil {
			return err
		}
		q.Source, q.Train, q.Test, q.Norm, q.Names = data.Source, data.Train, data.Test, data.Norm, data.Names
		q.Preprocess, q.Notes = data.Preprocess, data.Notes
		if q.TrainBefore, err = verify.Measure(ctx, n.Net, q.Train, q.Classes, q.Norm, q.Threads); err != nil {
			return err
		}
		if err := data.Fit(q.TrainBefore); err != nil {
			return err
		}
		if q.Rules, err = classifier.Rules(c, n, learn.Selection{}, q.TrainBefore.Remain); err != nil {
			return err
		}
	}
	if c.Bool("audit") {
		if err := prepareAudit(c, n, &q, c.Uint64("seed"), c.Bool("retrain"), stderr); err != nil {
			return err
		}
	}
	report, err := judge(c, q, stderr)
	if err != nil {
		return err
	}
	report.Tool, report.Labels = "ptcheck "+cli.Version(), labels
	if report.Files, err = cli.Digests(n.Checkpoint, e); err != nil {
		return err
	}
	if err := errors.Join(n.Unchanged(), e.Unchanged()); err != nil {
		return err
	}
	if err := writePage(c, outs, report, data, n, e); err != nil {
		return err
	}
	if c.Bool("json") {
		err = cli.PrintJSON(stdout, report)
	} else {
		err = printComparison(stdout, report, c.Bool("verbose"))
	}
	if err != nil {
		return err
	}
	return verify.Err(report.AllChecks())
}

// judge is [verify.Judge] with the progress of the audit.
func judge(c *urfave.Context, q verify.Question, stderr io.Writer) (*verify.Report, error) {
	progress := cli.NewProgress(stderr, c.Bool("quiet") || q.Audit == nil)
	defer progress.Done()
	if q.Audit != nil {
		q.Audit.Progress = progress.Update
	}
	return verify.Judge(c.Context, q)
}

// retrainings is how many networks an audit is compared with: enough to see how
// far apart networks are that differ in their seed alone.
const retrainings = 3

// prepareAudit asks for an audit, and trains the networks that it compares with.
func prepareAudit(c *urfave.Context, n *classifier.Network, q *verify.Question, seed uint64, retrain bool, stderr io.Writer) error {
	q.Audit = &verify.AuditOptions{Seed: seed}
	if !retrain {
		return nil
	}
	opts := learn.Options{Classes: q.Classes, Norm: q.Norm, Threads: q.Threads}
	if dir, err := os.UserCacheDir(); err == nil { // whoever has none waits a little longer
		opts.Cache = filepath.Join(dir, "lethe")
	}
	progress := cli.NewProgress(stderr, c.Bool("quiet"))
	defer progress.Done()
	for i := range retrainings {
		opts.Seed = q.Audit.Seed + uint64(i)
		opts.Progress = func(step, steps int, loss float64) {
			progress.Update(i*steps+step, retrainings*steps, fmt.Sprintf("training without the class  loss %.3f", loss))
		}
		sd, recipe, err := learn.Without(c.Context, n.Graph, n.State, q.Train, opts)
		if err != nil {
			return err
		}
		q.Audit.Retrained = append(q.Audit.Retrained, verify.Retrained{State: sd, Recipe: *recipe})
	}
	return nil
}

// printComparison lists what differs, tensor by tensor, and the report.
func printComparison(w io.Writer, r *verify.Report, verbose bool) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tROLE\tSHAPE\tL2\tLARGEST\tSHA256")
	for _, ch := range r.Comparison.Changes {
		if ch.Changed() {
			fmt.Fprintf(t, "%s\t%s\t%v\t%.4g\t%.4g\t%.12s -> %.12s\n", cli.Name(ch.Name), ch.Role, ch.Shape, ch.L2, ch.Max, ch.Before, ch.After)
		} else {
			fmt.Fprintf(t, "%s\t%s\t%v\tsame\tsame\t%.12s\n", cli.Name(ch.Name), ch.Role, ch.Shape, ch.Before)
		}
	}
	t.Flush()
	if _, err := fmt.Fprintln(w, b.String()); err != nil {
		return err
	}
	if err := classifier.PrintReport(w, r); err != nil {
		return err
	}
	return classifier.PrintDetails(w, r, verbose)
}
