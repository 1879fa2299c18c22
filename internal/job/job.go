// Package job is what the commands do that know networks and images, without their
// flags: settings in, files written, a report or a plan out. What a person is to
// read of it is printed by the command. A command that only moves weights, such as
// ptconvert, does without it and all that is below.
package job

import (
	"io"

	"lethe/internal/terminal"
	"lethe/pickle"
)

// Streams are what a file named - stands for, and where a job tells how far it is.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Quiet    bool // nothing but errors
}

// Reading says how a model is read.
type Reading struct {
	pickle.Options
	Flags []string // the same as a person writes it, for the command that repeats an edit
}

// progress returns what shows on s.Err how far a job is.
func (s Streams) progress() *terminal.Progress { return terminal.NewProgress(s.Err, s.Quiet) }
