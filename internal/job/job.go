// Package job is what the commands do that know networks and images, without their
// flags: settings in, files written, a report or a plan out. What a person is to
// read of it is printed by the command. A command that only moves weights, such as
// ptconvert, does without it and all that is below.
package job

import (
	"lethe/internal/network"
	"lethe/pickle"
)

// Reading says how a model is read.
type Reading struct {
	pickle.Options
	Like, Layers string // see [network.Hints]; for edits and what judges them

	Flags []string // the same as a person writes it, for the command that repeats an edit
}

// files returns what is read beside a network, which no output may replace.
func (r Reading) files() []string { return []string{r.Like, r.Layers} }

// hints returns what a person says of a network; images are those that it takes.
func (r Reading) hints(images func() (*Data, error)) network.Hints {
	return network.Hints{Like: r.Like, Layers: r.Layers, Sample: func() ([]int, error) {
		d, err := images()
		if err != nil || d == nil {
			return nil, err
		}
		return d.Train.Shape, nil
	}}
}
