package job

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/scan"
)

// ScanSettings say which files are scanned.
type ScanSettings struct {
	Paths  []string   // files, folders, references to models in registries, or -
	FailOn scan.Level // the least level of a finding that fails
	SARIF  string     // output: the findings for code-scanning dashboards; "" is none
	Force  bool       // replace an existing output
}

// Scanned is what [Scan] found, as a command prints it.
type Scanned struct {
	Verdict string        `json:"verdict"` // the worst of all files
	FailOn  scan.Level    `json:"fail_on"`
	Stopped int           `json:"stopped"` // files that the gate does not let pass
	Files   []ScannedFile `json:"files"`
}

// Err returns the failed check of files that the gate does not let pass, or nil.
func (s *Scanned) Err() error {
	if s.Stopped == 0 {
		return nil
	}
	return stopped{s.Stopped, len(s.Files)}
}

// ScannedFile is what a scan says about one file.
type ScannedFile struct {
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

// verdicts are the verdicts from best to worst.
var verdicts = []string{"clean", "notice", "unknown", "incomplete", "danger"}

// stopped is the error for files that the gate does not let pass.
type stopped struct{ files, all int }

func (s stopped) Error() string {
	return fmt.Sprintf("the scan stops %d of %d files", s.files, s.all)
}

// CheckFailed makes the exit code that of a failed check.
func (stopped) CheckFailed() bool { return true }

// Scan lists what files and folders hold beyond tensors and plain containers. That
// there is something is no error, but see [Scanned.Err].
func Scan(ctx context.Context, s ScanSettings, std stage.Streams) (*Scanned, error) {
	outs := stage.NewOutputs(std.Out, s.Force, s.Paths...)
	defer outs.Discard()
	log, err := outs.Open(ctx, s.SARIF)
	if err != nil {
		return nil, err
	}
	files, err := s.all(ctx, std.In)
	if err != nil {
		return nil, err
	}
	if err := log.Stage(ctx, func(w io.Writer) error { return terminal.PrintJSON(w, sarifLog(files)) }, nil); err != nil {
		return nil, err
	}
	if err := outs.Commit(ctx); err != nil {
		return nil, err
	}
	done := &Scanned{Verdict: verdicts[0], FailOn: s.FailOn, Files: files}
	for _, f := range files {
		if slices.Index(verdicts, f.Verdict) > slices.Index(verdicts, done.Verdict) {
			done.Verdict = f.Verdict
		}
		if f.fails {
			done.Stopped++
		}
	}
	return done, nil
}

// all scans files, and the files of folders in the order of their names.
func (s *ScanSettings) all(ctx context.Context, stdin io.Reader) ([]ScannedFile, error) {
	var files []ScannedFile
	add := func(path string) error {
		f, err := s.file(ctx, path, stdin)
		if err == nil {
			files = append(files, f)
		}
		return err
	}
	for _, path := range s.Paths {
		info, err := os.Stat(path)
		if stage.KindOf(path) == stage.Standard || err != nil || !info.IsDir() {
			if err := add(path); err != nil {
				return nil, err
			}
			continue
		}
		before := len(files)
		err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
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
					if ctx.Err() != nil {
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
func unread(name, why string) ScannedFile {
	return ScannedFile{File: name, Kind: "unread", Verdict: "incomplete", Findings: []scan.Finding{}, Gaps: []scan.Gap{{What: why}}, fails: true}
}

// file scans one file.
func (s *ScanSettings) file(ctx context.Context, path string, stdin io.Reader) (ScannedFile, error) {
	in, err := stage.OpenInput(ctx, path, stdin)
	if err != nil {
		return ScannedFile{}, err
	}
	defer in.Close()
	digest, err := stage.Digest(in, in.Size)
	if err != nil {
		return ScannedFile{}, err
	}
	r, err := scan.File(interruptible{ctx, in}, in.Size)
	if ctx.Err() != nil {
		return ScannedFile{}, ctx.Err()
	}
	if err != nil {
		return ScannedFile{}, fmt.Errorf("%s: %w", in.Name, err)
	}
	return ScannedFile{in.Name, r.Kind, digest.SHA256, r.Bytes, r.Verdict(), append([]scan.Finding{}, r.Findings...), append([]scan.Gap{}, r.Gaps...), r.More, r.Fails(s.FailOn)}, nil
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

// Where says where a finding is.
func Where(x scan.Finding) string {
	s := fmt.Sprintf("byte %d", x.Offset)
	if x.Opcode != "" {
		s += ", " + x.Opcode
	}
	if x.Member != "" {
		s = terminal.Escape(x.Member) + ", " + s
	}
	return s
}
