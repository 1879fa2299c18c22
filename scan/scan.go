package scan

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Level says how bad a finding is.
type Level uint8

// The levels, from harmless to worst.
const (
	Notice  Level = iota + 1 // known and harmless, more than a state dict needs
	Unknown                  // neither known to be harmless nor to do harm
	Danger                   // would run code, changes the process, or has a second reading
)

var levelNames = map[Level]string{Notice: "notice", Unknown: "unknown", Danger: "danger"}

func (l Level) String() string { return levelNames[l] }

// MarshalText makes JSON show the name of a level.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// ParseLevel reads the name of a level.
func ParseLevel(s string) (Level, error) {
	for l, name := range levelNames {
		if name == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("level %q is not notice, unknown or danger", s)
}

// Kind is the kind of a finding.
type Kind string

// The kinds of findings.
const (
	KindGlobal   Kind = "global"       // a pickle refers to a class or a function
	KindCall     Kind = "call"         // a pickle calls something
	KindState    Kind = "state"        // a pickle changes a class, a function or a foreign object
	KindSpelling Kind = "spelling"     // an instruction that two unpicklers read differently
	KindExternal Kind = "external"     // what it means is decided by the program that loads the file
	KindBytes    Kind = "bytes"        // bytes that belong to nothing
	KindReadings Kind = "two readings" // two loaders see different contents
	KindMember   Kind = "member"       // a member that the archive has no place for
	KindNesting  Kind = "nesting"      // archives within archives
	KindCode     Kind = "code"         // source or machine code
	KindFormat   Kind = "format"       // a format that is known and not read in detail
)

// Finding is something in a file beyond tensors and plain containers.
type Finding struct {
	Level  Level  `json:"level"`
	Kind   Kind   `json:"kind"`
	What   string `json:"what"`             // the full name of a global, or what is there, as the file spells it
	Why    string `json:"why"`              // in plain words: what it would do
	Member string `json:"member"`           // path of the member; members of nested archives after "!"; "" for the file itself
	Offset int64  `json:"offset"`           // in the member, in bytes
	Opcode string `json:"opcode,omitempty"` // name of the pickle instruction
}

// Gap is a part of a file that could not be read to its end.
type Gap struct {
	What   string `json:"what"` // the reason
	Member string `json:"member"`
	Offset int64  `json:"offset"`
}

// Result is what a scan says about one file.
type Result struct {
	Kind     string // the format, such as "checkpoint of torch.save"
	Bytes    int64
	Findings []Finding // in the order of the file; a repeated one is listed once
	Gaps     []Gap     // what could not be read; a file with gaps is never clean
	More     int       // findings and gaps beyond the first thousand of each
}

// Worst is the highest level of all findings, 0 if there is none.
func (r *Result) Worst() (worst Level) {
	for _, f := range r.Findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// Verdict is one word about the file: "danger", "incomplete" (something could
// not be read), "unknown", "notice" or "clean".
func (r *Result) Verdict() string {
	worst := r.Worst()
	switch {
	case worst == Danger:
		return "danger"
	case len(r.Gaps) > 0 || r.More > 0:
		return "incomplete"
	case worst > 0:
		return worst.String()
	}
	return "clean"
}

// Fails reports whether a gate that lets pass what is below the level stops the
// file: a finding of the level or above, or anything that could not be read.
func (r *Result) Fails(on Level) bool {
	return r.Worst() >= on || len(r.Gaps) > 0 || r.More > 0
}

// listMax is how many findings of a file are kept: more than anyone reads.
const listMax = 1000

// Bounds of the work on one file. All grow with its size alone, so that time
// and memory are linear in it.
const (
	depthMax   = 2         // archives within archives
	inflateMax = 256 << 20 // bytes of one compressed member, which are held in memory
	slack      = 64 << 20  // work that even the smallest file may cause
	workFactor = 8         // bytes read for each byte of the file
)

// errBudget ends the work on a file that asks for too much of it.
var errBudget = errors.New("the file asks for more work than its size allows")

// File scans a file of size bytes. The error is only for a file that cannot be
// read; whatever is wrong in it is in the result. File runs nothing.
func File(r io.ReaderAt, size int64) (*Result, error) {
	w := &walk{res: &Result{Bytes: size}, seen: map[string]bool{}, budget: slack}
	if size > (math.MaxInt64-slack)/workFactor {
		return nil, fmt.Errorf("a file of %d bytes", size)
	}
	w.budget += size * workFactor
	w.res.Kind = w.file(part{src: &counted{r, w}, size: size})
	if w.err != nil {
		return nil, w.err
	}
	slices.SortStableFunc(w.res.Findings, func(a, b Finding) int { return cmp.Compare(b.Level, a.Level) })
	return w.res, nil
}

// walk is the work on one file.
type walk struct {
	res    *Result
	seen   map[string]bool // findings that are listed
	budget int64           // bytes that may still be read or inflated
	spent  bool            // the budget was exceeded, and that was said
	err    error           // of reading the file
	last   *input          // of the last pickle: the next one often starts in its buffer
}

// part is a file, or a member of one.
type part struct {
	src    io.ReaderAt
	size   int64
	member string // path of the member, "" for the file
	depth  int    // number of archives around it
	script bool   // it belongs to a TorchScript archive
}

// inside is the name of a member of p.
func (p part) inside(name string) string {
	if p.member == "" {
		return name
	}
	return p.member + "!" + name
}

func (w *walk) find(f Finding) {
	key := fmt.Sprint(f.Level, f.Kind, "\x00", f.What, "\x00", f.Why, "\x00", f.Member)
	if w.seen[key] {
		return
	}
	if len(w.res.Findings) >= listMax && (f.Level < Danger || w.res.Worst() == Danger) {
		w.res.More++
		return
	}
	w.seen[key] = true
	f.What = clip(f.What)
	w.res.Findings = append(w.res.Findings, f)
}

func (w *walk) gap(p part, offset int64, format string, args ...any) {
	if len(w.res.Gaps) >= listMax {
		w.res.More++
		return
	}
	w.res.Gaps = append(w.res.Gaps, Gap{clip(fmt.Sprintf(format, args...)), p.member, offset})
}

// clip bounds a text that holds something from a file.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:most], len(s))
}

// counted takes what is read from the budget of a walk.
type counted struct {
	r io.ReaderAt
	w *walk
}

func (c *counted) ReadAt(b []byte, at int64) (int, error) {
	if !c.w.spend(int64(len(b))) {
		return 0, errBudget
	}
	return c.r.ReadAt(b, at)
}

// spend takes n bytes of work from the budget.
func (w *walk) spend(n int64) bool {
	w.budget -= n
	if w.budget < 0 && !w.spent {
		w.spent = true
		w.gap(part{}, 0, "%v: its parts overlap, or are packed more than %d times", errBudget, workFactor)
	}
	return w.budget >= 0
}

// read fills b from offset at of a part, and reports whether it could.
func (w *walk) read(p part, b []byte, at int64) bool {
	if at < 0 || at > p.size || int64(len(b)) > p.size-at {
		return false
	}
	n, err := p.src.ReadAt(b, at)
	if n == len(b) {
		return true
	}
	w.fail(p, at, err)
	return false
}

// fail records why reading ended early.
func (w *walk) fail(p part, at int64, err error) {
	switch {
	case errors.Is(err, errBudget):
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		w.gap(p, at, "the file ends while it is read")
	case w.err == nil:
		w.err = err
	}
}

// head returns up to n bytes from the start of a part.
func (w *walk) head(p part, n int64) []byte {
	b := make([]byte, min(n, p.size))
	if !w.read(p, b, 0) {
		return nil
	}
	return b
}

// section is a range of a part, as a part of its own.
func (p part) section(at, size int64) part {
	p.src, p.size = io.NewSectionReader(p.src, at, size), size
	return p
}
