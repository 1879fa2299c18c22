package stage

import (
	"os"
	"sync/atomic"
)

// Stdout is the standard output of a process. It knows whether the outputs of
// the command have their places, so that a result that cannot be printed after
// that does not look like a command that did nothing.
type Stdout struct {
	f         *os.File
	bytes     atomic.Int64
	committed atomic.Bool
}

// NewStdout returns the standard output of the process.
func NewStdout() *Stdout { return &Stdout{f: os.Stdout} }

// Discarded reports whether something was written that nobody gets: the stream was
// closed when the process began.
func (p *Stdout) Discarded() bool { return p.bytes.Load() > 0 && closed(p.f) }

// printError reports a result that could not be printed.
type printError struct {
	committed bool
	err       error
}

func (e *printError) Error() string {
	s := "cannot print the result: " + e.err.Error()
	if e.committed {
		s += "; the outputs are written and complete"
	}
	return s
}

func (e *printError) Unwrap() error { return e.err }

func (p *Stdout) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	p.bytes.Add(int64(n))
	if err != nil {
		err = &printError{p.committed.Load(), Cause(err)}
	}
	return n, err
}
