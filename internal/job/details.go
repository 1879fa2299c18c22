package job

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"lethe/internal/terminal"
	"lethe/verify"
)

// PrintDetails writes what [PrintReport] leaves out: how far each layer moved,
// where the forgotten images go, the audit and what was not measured; and, if
// verbose, the confusion matrices.
func PrintDetails(w io.Writer, r *verify.Report, verbose bool) error {
	var b strings.Builder
	if r.Comparison.L2 > 0 {
		printLayers(&b, r.Comparison)
	}
	if r.Data != nil {
		printPredicted(&b, r.Data)
		if verbose {
			printConfusion(&b, "before", r.Data.TrainBefore)
			printConfusion(&b, "after", r.Data.TrainAfter)
		}
	}
	if r.Audit != nil {
		printAudit(&b, r.Audit)
	}
	if r.Data != nil {
		b.WriteString("\nnot measured:\n")
		for _, what := range r.NotMeasured {
			fmt.Fprintf(&b, "  %s\n", terminal.OneLine(what))
		}
	}
	_, err := io.WriteString(w, trimLines(b.String()))
	return err
}

func printLayers(b *strings.Builder, c *verify.Comparison) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nlayer\tL2\tshare of squared L2")
	for _, l := range c.Layers {
		fmt.Fprintf(t, "%s\t%.4f\t%.1f %%\n", terminal.Name(l.Name), l.L2, 100*l.Share)
	}
	t.Flush()
}

// printPredicted lists the classes that most of the forgotten images go to.
func printPredicted(b *strings.Builder, d *verify.Data) {
	const most = 4
	all := slices.Clone(d.Predicted)
	slices.SortStableFunc(all, func(p, q verify.Predicted) int {
		switch {
		case p.After > q.After:
			return -1
		case p.After < q.After:
			return 1
		}
		return 0
	})
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nforgotten images are taken for\tbefore\tafter")
	for _, p := range all[:min(most, len(all))] {
		fmt.Fprintf(t, "%d %s\t%.4f\t%.4f\n", p.Class, terminal.Name(p.Label), p.Before, p.After)
	}
	t.Flush()
}

func printConfusion(b *strings.Builder, when string, m *verify.Measures) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(b, "\ntraining images %s the edit, a row for each label, a column for each prediction:\n", when)
	for c := range m.Confusion {
		fmt.Fprintf(t, "\t%d", c)
	}
	fmt.Fprintln(t, "\t")
	for label, row := range m.Confusion {
		fmt.Fprintf(t, "%d\t", label)
		for _, n := range row {
			fmt.Fprintf(t, "%d\t", n)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func printAudit(b *strings.Builder, a *verify.Audit) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\naudit on unseen images, 95 % intervals\tbefore\tafter")
	if len(a.Retrained) > 0 {
		fmt.Fprint(t, "\tretrained\tgap")
	}
	fmt.Fprintln(t)
	for i := range a.Measures {
		m := &a.Measures[i]
		if m.NotMeasured != "" {
			fmt.Fprintf(t, "%s\tnot measured\n", m.Title)
			continue
		}
		digits := 3
		if m.Name == "relearning_steps" {
			digits = 1
		}
		fmt.Fprintf(t, "%s\t%s\t%s", m.Title, estimate(m.Before, digits), estimate(m.After, digits))
		if gap, apart, ok := m.Gap(); ok {
			mark := ""
			if apart {
				mark = " *"
			}
			fmt.Fprintf(t, "\t%s\t%+.*f%s", estimate(m.Retrained, digits), digits, gap, mark)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	if len(a.Retrained) > 0 {
		r := a.Retrained[0]
		fmt.Fprintf(b, "gap: after less retrained; * where the intervals lie apart\nretrained: %d networks, without the class, on %d images in %d steps\n", len(a.Retrained), r.Images, r.Steps)
	} else {
		b.WriteString("no comparison with retrained networks was made: --retrain\n")
	}
	b.WriteString("This is evidence of an edit, not of erasure.\n")
}

// estimate writes a value and its interval.
func estimate(e *verify.Estimate, digits int) string {
	sign := ""
	if e.AtLeast {
		sign = ">="
	}
	return fmt.Sprintf("%s%.*f (%.*f-%.*f)", sign, digits, e.Value, digits, e.Low, digits, e.High)
}
