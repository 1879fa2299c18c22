package stage

import (
	"io"

	"lethe/internal/terminal"
)

// Streams are what a file named - stands for, and where a job tells how far it is.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Quiet    bool // nothing but errors
}

// Progress returns what shows on s.Err how far a job is.
func (s Streams) Progress() *terminal.Progress { return terminal.NewProgress(s.Err, s.Quiet) }
