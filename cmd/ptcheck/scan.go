package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/cli"
	"lethe/pickle"
	"lethe/safetensors"
	"lethe/verify"
)

// finding is one line of the scan.
type finding struct {
	Kind   string `json:"kind"`
	What   string `json:"what"`
	Opcode string `json:"opcode,omitempty"`
	Member string `json:"member,omitempty"`
	Offset int64  `json:"offset"`
}

// found is the error for a file with findings.
type found int

func (n found) Error() string {
	return fmt.Sprintf("%d findings beyond tensors and plain containers", int(n))
}

// CheckFailed makes the exit code that of a failed check.
func (found) CheckFailed() bool { return true }

// scan lists what a file holds beyond tensors and plain containers.
func scan(c *urfave.Context, path string, stdin io.Reader, stdout io.Writer) error {
	in, err := cli.OpenInput(c.Context, path, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	digest, err := cli.Digest(in, in.Size)
	if err != nil {
		return err
	}
	findings, err := findings(in, cli.ReadOptions(c))
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	if err := printFindings(stdout, c.Bool("json"), digest, findings); err != nil {
		return err
	}
	if len(findings) > 0 {
		return fmt.Errorf("%s: %w", in.Name, found(len(findings)))
	}
	return nil
}

func findings(in *cli.Input, opts pickle.Options) ([]pickle.Finding, error) {
	if !safetensors.Sniff(in, in.Size) {
		return pickle.Scan(in, in.Size, opts)
	}
	_, err := safetensors.Inspect(in, in.Size, safetensors.Options{}) // it has no place for anything else
	return nil, err
}

func printFindings(w io.Writer, json bool, digest verify.Digest, findings []pickle.Finding) error {
	lines := []finding{}
	for _, f := range findings {
		lines = append(lines, finding(f))
	}
	if json {
		return cli.PrintJSON(w, struct {
			SHA256   string    `json:"sha256"`
			Bytes    int64     `json:"bytes"`
			Findings []finding `json:"findings"`
		}{digest.SHA256, digest.Bytes, lines})
	}
	if len(lines) == 0 {
		_, err := fmt.Fprintln(w, "tensors and plain containers only")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tWHAT\tOPCODE\tMEMBER\tBYTE")
	for _, f := range lines {
		opcode, member := f.Opcode, f.Member
		if opcode == "" {
			opcode = "-"
		}
		if member == "" {
			member = "-"
		}
		fmt.Fprintf(t, "%s\t%q\t%s\t%q\t%d\n", f.Kind, f.What, opcode, member, f.Offset)
	}
	return t.Flush()
}
