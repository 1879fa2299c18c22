package ptcheck

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/cli"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/scan"
)

// scanned is what a scan says about one file, as --json prints it.
type scanned struct {
	File     string         `json:"file"`
	Kind     string         `json:"kind"`
	SHA256   string         `json:"sha256,omitempty"`
	Bytes    int64          `json:"bytes"`
	Verdict  string         `json:"verdict"` // clean, notice, unknown, incomplete or danger
	Findings []scan.Finding `json:"findings"`
	Gaps     []scan.Gap     `json:"gaps"` // what could not be read
	More     int            `json:"more"` // findings and gaps beyond the first thousand of each

	fails bool
}

// stopped is the error for files that the gate does not let pass.
type stopped struct{ files, all int }

func (s stopped) Error() string {
	return fmt.Sprintf("the scan stops %d of %d files", s.files, s.all)
}

// CheckFailed makes the exit code that of a failed check.
func (stopped) CheckFailed() bool { return true }

// scanFiles lists what files and folders hold beyond tensors and plain
// containers.
func scanFiles(c *urfave.Context, stdin io.Reader, stdout io.Writer) error {
	names := make([]string, max(c.NArg(), 1))
	for i := range names {
		names[i] = "in.pt"
	}
	paths, err := cli.Args(c, names...)
	if err != nil {
		return err
	}
	failOn, err := scan.ParseLevel(c.String("fail-on"))
	if err != nil {
		return usage.Errorf("--fail-on: %v", err)
	}
	sarif := c.String("sarif")
	outs, err := stage.NewOutputs(c.Context, stdout, c.Bool("force"), paths, sarif)
	if err != nil {
		return err
	}
	defer outs.Discard()
	files, err := scanAll(c, paths, stdin, failOn)
	if err != nil {
		return err
	}
	if sarif != "" {
		if err := outs.Stage(c.Context, sarif, func(w io.Writer) error { return terminal.PrintJSON(w, sarifLog(files)) }, nil); err != nil {
			return err
		}
		if err := outs.Commit(c.Context); err != nil {
			return err
		}
	}
	if err := printScan(stdout, files, c.Bool("json"), failOn); err != nil {
		return err
	}
	failing := 0
	for _, f := range files {
		if f.fails {
			failing++
		}
	}
	if failing > 0 {
		return stopped{failing, len(files)}
	}
	return nil
}

// scanAll scans files, and the files of folders in the order of their names.
func scanAll(c *urfave.Context, paths []string, stdin io.Reader, failOn scan.Level) ([]scanned, error) {
	var files []scanned
	add := func(path string) error {
		f, err := scanOne(c, path, stdin, failOn)
		if err == nil {
			files = append(files, f)
		}
		return err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if path == "-" || err != nil || !info.IsDir() {
			if err := add(path); err != nil {
				return nil, err
			}
			continue
		}
		before := len(files)
		err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			switch {
			case c.Context.Err() != nil:
				return c.Context.Err()
			case err != nil:
				files = append(files, unread(name, "cannot be opened: "+reason(err)))
			case d.IsDir():
			case d.Type()&fs.ModeSymlink != 0:
				if !leadsInside(path, name) {
					files = append(files, unread(name, "a symbolic link that leads out of the folder or nowhere, and is not followed"))
				}
			case !d.Type().IsRegular():
				files = append(files, unread(name, "neither a file nor a folder"))
			default:
				if err := add(name); err != nil {
					if c.Context.Err() != nil {
						return err
					}
					files = append(files, unread(name, "cannot be read: "+reason(err)))
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			files = append(files, unread(path, "a folder without files"))
		}
	}
	return files, nil
}

// reason is an error without the path.
func reason(err error) string {
	if p, ok := err.(*fs.PathError); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// leadsInside reports whether a symbolic link leads to something in the folder,
// which is scanned there.
func leadsInside(folder, link string) bool {
	top, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return false
	}
	to, err := filepath.EvalSymlinks(link)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(top, to)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// unread is a file that could not be looked at.
func unread(name, why string) scanned {
	return scanned{File: name, Kind: "unread", Verdict: "incomplete", Findings: []scan.Finding{}, Gaps: []scan.Gap{{What: why}}, fails: true}
}

func scanOne(c *urfave.Context, path string, stdin io.Reader, failOn scan.Level) (scanned, error) {
	in, err := stage.OpenInput(c.Context, path, stdin)
	if err != nil {
		return scanned{}, err
	}
	defer in.Close()
	digest, err := stage.Digest(in, in.Size)
	if err != nil {
		return scanned{}, err
	}
	r, err := scan.File(interruptible{c.Context, in}, in.Size)
	if c.Context.Err() != nil {
		return scanned{}, c.Context.Err()
	}
	if err != nil {
		return scanned{}, fmt.Errorf("%s: %w", in.Name, err)
	}
	return scanned{in.Name, r.Kind, digest.SHA256, r.Bytes, r.Verdict(), append([]scan.Finding{}, r.Findings...), append([]scan.Gap{}, r.Gaps...), r.More, r.Fails(failOn)}, nil
}

// interruptible reads until the command is interrupted.
type interruptible struct {
	ctx context.Context
	io.ReaderAt
}

func (r interruptible) ReadAt(b []byte, at int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReaderAt.ReadAt(b, at)
}

// verdicts are the verdicts from best to worst.
var verdicts = []string{"clean", "notice", "unknown", "incomplete", "danger"}

func printScan(w io.Writer, files []scanned, json bool, failOn scan.Level) error {
	if json {
		worst, failing := "clean", 0
		for _, f := range files {
			if slices.Index(verdicts, f.Verdict) > slices.Index(verdicts, worst) {
				worst = f.Verdict
			}
			if f.fails {
				failing++
			}
		}
		return terminal.PrintJSON(w, struct {
			Verdict string     `json:"verdict"` // the worst of all files
			FailOn  scan.Level `json:"fail_on"`
			Stopped int        `json:"stopped"` // files that the gate does not let pass
			Files   []scanned  `json:"files"`
		}{worst, failOn, failing, files})
	}
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s: %s: ", shown(f.File), f.Verdict)
		switch f.Verdict {
		case "clean":
			fmt.Fprintf(&b, "%d bytes, all accounted for (%s)\n", f.Bytes, shown(f.Kind))
		default:
			fmt.Fprintf(&b, "%s, %d bytes\n", shown(f.Kind), f.Bytes)
		}
		for _, x := range f.Findings {
			fmt.Fprintf(&b, "  %-10s  %s: %s (%s)\n", x.Level, shown(x.What), shown(x.Why), place(x))
		}
		for _, g := range f.Gaps {
			fmt.Fprintf(&b, "  %-10s  %s (%s)\n", "incomplete", shown(g.What), place(scan.Finding{Member: g.Member, Offset: g.Offset}))
		}
		if f.More > 0 {
			fmt.Fprintf(&b, "  and %d more\n", f.More)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// place says where a finding is.
func place(x scan.Finding) string {
	s := fmt.Sprintf("byte %d", x.Offset)
	if x.Opcode != "" {
		s += ", " + x.Opcode
	}
	if x.Member != "" {
		s = shown(x.Member) + ", " + s
	}
	return s
}

// shown escapes what a terminal would not print as it is: control characters,
// and those that change the direction of text.
func shown(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), `\\`, `\`)
}
