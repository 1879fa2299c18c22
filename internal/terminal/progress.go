package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// How often progress is shown: smooth to the eye on a terminal, sparse in the
// log of a job.
const (
	redraw   = 100 * time.Millisecond
	logEvery = 2 * time.Second
)

// Progress tells a person how far a long run is: a bar on a terminal, a plain
// line now and then elsewhere. It is safe for use by several goroutines.
type Progress struct {
	w     io.Writer // nil if quiet
	width func() int
	every time.Duration
	now   func() time.Time
	start time.Time

	mu     sync.Mutex
	shown  time.Time
	drawn  bool  // the terminal's line has a bar
	unseen *step // the last Update, if it was not shown
}

// step is the arguments of an Update.
type step struct {
	done, total int
	status      string
	at          time.Time
}

// NewProgress returns a progress that is shown on w, usually stderr, or not at
// all if quiet.
func NewProgress(w io.Writer, quiet bool) *Progress {
	if quiet {
		return &Progress{}
	}
	p := &Progress{w: w, every: logEvery, now: time.Now}
	if f, ok := w.(*os.File); ok && Is(f) && os.Getenv("TERM") != "dumb" {
		p.every = redraw
		p.width = func() int {
			if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
				return width
			}
			return 80
		}
	}
	p.start = p.now()
	p.shown = p.start
	return p
}

// Update tells that done of total steps are over (total 0: nobody knows of how
// many) with the measures in status, on one line. Most calls show nothing and
// cost next to nothing, so that it can be called on every step.
func (p *Progress) Update(done, total int, status string) {
	if p.w == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := step{done, total, status, p.now()}
	if now.at.Sub(p.shown) < p.every {
		p.unseen = &now
		return
	}
	p.shown, p.unseen = now.at, nil
	line := p.line(now)
	if p.width == nil {
		fmt.Fprintln(p.w, line)
		return
	}
	// One less than the width: a full line makes some terminals wrap.
	if runes, most := []rune(line), max(p.width()-1, 0); len(runes) > most {
		line = string(runes[:most])
	}
	// Back to the first column, and clear what a longer line left.
	fmt.Fprintf(p.w, "\r%s\x1b[K", line)
	p.drawn = true
}

const barWidth = 24

func (p *Progress) line(s step) string {
	status := OneLine(s.status)
	elapsed := s.at.Sub(p.start).Truncate(time.Second)
	switch {
	case s.total <= 0:
		return fmt.Sprintf("%d steps, %v  %s", s.done, elapsed, status)
	case p.width == nil:
		return fmt.Sprintf("%d/%d steps, %v  %s", s.done, s.total, elapsed, status)
	}
	done := max(0, min(s.done, s.total))
	full := barWidth * done / s.total
	bar := strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full)
	return fmt.Sprintf("[%s] %3d%% %v  %s", bar, 100*done/s.total, elapsed, status)
}

// Done ends the display: on a terminal it clears the line, elsewhere it prints
// the last state if that was not printed yet. Call it also on failure, before
// anything else is printed.
func (p *Progress) Done() {
	if p.w == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
	if p.unseen != nil && p.width == nil {
		fmt.Fprintln(p.w, p.line(*p.unseen))
	}
	p.unseen = nil
}

// Is reports whether a stream is a terminal.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
