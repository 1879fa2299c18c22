package job

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"lethe/internal/terminal"
	"lethe/report"
	"lethe/verify"
)

// PrintReport writes a report for a person.
func PrintReport(w io.Writer, r *verify.Report) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if r.Data != nil {
		score := "no score"
		if r.Score != nil {
			score = fmt.Sprintf("score %.2f of 100", r.Score.Total)
		}
		if r.RulesOf().Aim == report.AimUnseen {
			score += " by the rules of a network that never saw the class,"
		}
		fmt.Fprintf(t, "%s for forgetting %s\n\n", score, terminal.Name(strings.Join(r.Labels, ", ")))
		fmt.Fprintln(t, "\tbefore\tafter\tfull marks")
		before, after := r.Data.TrainBefore, r.Data.TrainAfter
		rules := r.RulesOf()
		fmt.Fprintf(t, "accuracy on the forgotten (target)\t%.4f\t%.4f\t<= %g\n", before.Target, after.Target, rules.Target.Full)
		if r.Score != nil {
			fmt.Fprintf(t, "accuracy on the others (remain)\t%.4f\t%.4f\t>= %s\n", before.Remain, after.Remain, twoDecimals(rules.Remain.Full))
		} else {
			fmt.Fprintf(t, "accuracy on the others (remain)\tnot measured: there was no image of them\t\t>= %s\n", twoDecimals(rules.Remain.Full))
		}
		fmt.Fprintf(t, "divergence from uniform (KL, nats)\t%.4f\t%.4f\t%s\n", before.KL, after.KL, marks(rules.KL))
		fmt.Fprintf(t, "distance of the parameters (L2)\t\t%.4f\t<= %g\n", r.Comparison.L2, rules.L2.Full)
		if test := r.Data.TestAfter; test != nil {
			fmt.Fprintf(t, "on %d unseen images: target\t%.4f\t%.4f\t\n", test.Images, r.Data.TestBefore.Target, test.Target)
			if r.Score != nil {
				fmt.Fprintf(t, "on %d unseen images: remain\t%.4f\t%.4f\t\n", test.Images, r.Data.TestBefore.Remain, test.Remain)
			}
		}
		if r.Method != nil && r.Method.Reference != nil {
			fmt.Fprintf(t, "steered by %v\n", r.Method.Reference)
		}
		fmt.Fprintf(t, "\nmeasured on %d training images (%s)\n", after.Images, r.Data.Source)
	} else {
		fmt.Fprintf(t, "distance of the parameters (L2)\t%.6g\n", r.Comparison.L2)
	}
	for _, c := range r.AllChecks() {
		verdict := "holds"
		if !c.OK {
			verdict = "FAILS: " + terminal.OneLine(c.Detail)
		}
		fmt.Fprintf(t, "%s\t%s\n", c.Name, verdict)
	}
	if r.Parity != nil {
		fmt.Fprintf(t, "ONNX\t%v\n", r.Parity)
	}
	t.Flush()
	_, err := io.WriteString(w, trimLines(b.String()))
	return err
}

// marks says what full marks of a measure take of which less is better.
func marks(r report.Rule) string {
	if r.Full == 0 {
		return "not judged"
	}
	return fmt.Sprintf("<= %g", r.Full)
}

// twoDecimals formats a limit of 0 to 1 with all that it has, two decimals at least.
func twoDecimals(v float64) string {
	if two := fmt.Sprintf("%.2f", v); two == fmt.Sprintf("%g0", v) {
		return two
	}
	return fmt.Sprint(v)
}

// trimLines removes the blanks that a table leaves at the ends of lines.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
