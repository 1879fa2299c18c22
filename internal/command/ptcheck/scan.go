package ptcheck

import (
	"fmt"
	"io"
	"strings"

	"lethe/internal/cli"
	"lethe/internal/job"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/scan"
)

import urfave "github.com/urfave/cli/v2"

// scanFiles lists what files and folders hold beyond tensors and plain containers.
func scanFiles(c *urfave.Context, std stage.Streams) error {
	names := make([]string, max(c.NArg(), 1))
	for i := range names {
		names[i] = "in.pt"
	}
	paths, err := cli.Args(c, names...)
	if err != nil {
		return err
	}
	s := job.ScanSettings{Paths: paths, SARIF: c.String("sarif"), Force: c.Bool("force")}
	if s.FailOn, err = scan.ParseLevel(c.String("fail-on")); err != nil {
		return usage.Errorf("--fail-on: %v", err)
	}
	done, err := job.Scan(c.Context, s, std)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = terminal.PrintJSON(std.Out, done)
	} else {
		err = printScan(std.Out, done.Files)
	}
	if err != nil {
		return err
	}
	return done.Err()
}

// printScan writes what was found for a person.
func printScan(w io.Writer, files []job.ScannedFile) error {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s: %s: ", terminal.Escape(f.File), f.Verdict)
		switch f.Verdict {
		case "clean":
			fmt.Fprintf(&b, "%d bytes, all accounted for (%s)\n", f.Bytes, terminal.Escape(f.Kind))
		default:
			fmt.Fprintf(&b, "%s, %d bytes\n", terminal.Escape(f.Kind), f.Bytes)
		}
		for _, x := range f.Findings {
			fmt.Fprintf(&b, "  %-10s  %s: %s (%s)\n", x.Level, terminal.Escape(x.What), terminal.Escape(x.Why), job.Where(x))
		}
		for _, g := range f.Gaps {
			fmt.Fprintf(&b, "  %-10s  %s (%s)\n", "incomplete", terminal.Escape(g.What), job.Where(scan.Finding{Member: g.Member, Offset: g.Offset}))
		}
		if f.More > 0 {
			fmt.Fprintf(&b, "  and %d more\n", f.More)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
