package drawing

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table writes the layers, a line for each, and how many parameters there are.
// Show makes names from a file fit to be printed.
func (n *Network) Table(w io.Writer, show func(string) string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LAYER\tOPERATORS\tOUTPUT\tPARAMETERS\tREADS")
	for i, l := range n.Layers {
		output := strings.ReplaceAll(l.Output, "×", "x")
		if output == "" {
			output = "?"
		}
		var reads []string
		for _, in := range l.Inputs {
			if in != i-1 || len(l.Inputs) > 1 { // a chain goes without saying
				reads = append(reads, show(n.Layers[in].Name))
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", show(l.Name), show(l.What()), show(output), l.Parameters, strings.Join(reads, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s\n", show(n.Summary()))
	return err
}
