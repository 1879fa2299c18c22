// Package job is what the commands do that know networks and images, without their
// flags: settings in, files written, a report or a plan out. What a person is to
// read of it is printed by the command. A command that only moves weights, such as
// ptconvert, does without it and all that is below.
package job

import (
	"lethe/pickle"
)

// Reading says how a model is read.
type Reading struct {
	pickle.Options
	Flags []string // the same as a person writes it, for the command that repeats an edit
}
