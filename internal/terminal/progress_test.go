package terminal

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock returns a progress whose time passes by hand; width 0 is not a terminal.
func clock(w *bytes.Buffer, width int) (*Progress, func(time.Duration)) {
	now := time.Unix(1000, 0)
	p := NewProgress(w, false)
	p.now = func() time.Time { return now }
	p.start, p.shown = now, now
	if width > 0 {
		p.every, p.width = redraw, func() int { return width }
	}
	return p, func(d time.Duration) { now = now.Add(d) }
}

func TestProgressLog(t *testing.T) {
	var b bytes.Buffer
	p, pass := clock(&b, 0)
	for i := 1; i <= 50; i++ {
		pass(100 * time.Millisecond)
		p.Update(i, 50, "KL 0.5")
	}
	p.Done()
	p.Done()
	want := "20/50 steps, 2s  KL 0.5\n40/50 steps, 4s  KL 0.5\n50/50 steps, 5s  KL 0.5\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", &b, want)
	}
}

func TestProgressShort(t *testing.T) {
	var b bytes.Buffer
	p, _ := clock(&b, 0)
	p.Done()
	if b.Len() > 0 {
		t.Errorf("nothing happened: got %q", &b)
	}
	p.Update(3, 0, "a\nb\x1b")
	p.Done()
	if want := "3 steps, 0s  a b\\x1b\n"; b.String() != want {
		t.Errorf("got %q, want %q", &b, want)
	}
}

// The last state is printed once.
func TestProgressShown(t *testing.T) {
	var b bytes.Buffer
	p, pass := clock(&b, 0)
	p.Update(1, 2, "a")
	pass(logEvery)
	p.Update(2, 2, "b")
	p.Done()
	if want := "2/2 steps, 2s  b\n"; b.String() != want {
		t.Errorf("got %q, want %q", &b, want)
	}
}

func TestProgressTerminal(t *testing.T) {
	var b bytes.Buffer
	p, pass := clock(&b, 60)
	p.Update(0, 4, "too early")
	pass(time.Second)
	p.Update(1, 4, "KL 0.5")
	p.Update(2, 4, "too early")
	pass(time.Second)
	p.Update(9, 4, strings.Repeat("ü", 80))
	p.Update(9, 4, "too early")
	p.Done()
	want := "\r[======                  ]  25% 1s  KL 0.5\x1b[K" +
		"\r[" + strings.Repeat("=", 24) + "] 100% 2s  " + strings.Repeat("ü", 59-36) + "\x1b[K" +
		"\r\x1b[K"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", &b, want)
	}
}

func TestProgressQuiet(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, true)
	p.Update(1, 2, "x")
	p.Done()
	if b.Len() > 0 {
		t.Errorf("got %q", &b)
	}
}

func TestProgressConcurrent(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, false)
	p.every = 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 100 {
				p.Update(i, 100, "x")
			}
		})
	}
	wg.Wait()
	p.Done()
	if n := strings.Count(b.String(), "\n"); n != 400 {
		t.Errorf("got %d lines, want 400", n)
	}
}

func BenchmarkProgressUpdate(b *testing.B) {
	var out bytes.Buffer
	p := NewProgress(&out, false)
	for i := 0; b.Loop(); i++ {
		p.Update(i, 1<<30, "KL 0.5")
	}
}
