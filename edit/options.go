package edit

import (
	"errors"
	"fmt"
	"math"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/report"
)

// Options say what to forget and how.
type Options struct {
	Classes []int         // to forget; at least one class must remain
	Norm    dataset.Norm  // of the pixels, as in training
	Seed    uint64        // of every random draw
	Threads int           // goroutines; 0: one for each processor. The result does not depend on it
	Limits  report.Limits // bounds of the edit; one that is 0 is that for full marks by the rules
	Train   []string      // names of the only parameters that may move, also their beginnings up to a dot, and patterns as of [path.Match]; none: all
	Freeze  []string      // names of parameters that stay as they are, likewise
	Rules   report.Rules  // of the task; none: those that follow from the network
	// ForgetOnly learns from the images of the forgotten classes alone. What the
	// network says of distorted ones stands in for images of the other classes.
	ForgetOnly bool
	Aim        report.Aim // what the network is to become; "": report.AimUniform
	// Reference are the weights of a network with the same graph that was trained
	// without the classes; an edit with [report.AimUnseen] steers by it. nil: it
	// steers by constants.
	Reference *model.StateDict
	MaxLoss   float64    // what the accuracy on the others may lose on images that no step learned from, above 0; 0: DefaultMaxLoss
	Prefer    Preference // what is improved within the limits; "": PreferRetain

	// Progress, if not nil, is called after every step with the measures so far.
	Progress func(p Point, steps int)
}

// checkLimits refuses limits that nothing can meet or that limit nothing.
func checkLimits(l report.Limits) error {
	switch {
	case !(l.Target > 0 && l.Target < 1):
		return fmt.Errorf("--max-target: the largest accuracy on the class is %v: it must be above 0 and below 1", l.Target)
	case !(l.KL > 0) || math.IsInf(l.KL, 0):
		return fmt.Errorf("--max-kl: the largest divergence is %v: it must be a positive number", l.KL)
	case !(l.L2 > 0) || math.IsInf(l.L2, 0):
		return fmt.Errorf("--budget-l2: the largest distance is %v: it must be a positive number", l.L2)
	}
	return nil
}

// Preference is what an edit improves once it is within its limits.
type Preference = report.Preference

// The preferences.
const (
	PreferRetain  = report.PreferRetain
	PreferMinimal = report.PreferMinimal
)

// What a report says of an edit.
type (
	Method = report.Method
	Point  = report.Point
)

// Check refuses options that make no sense whatever the network and the images.
func (o *Options) Check() error {
	switch o.Aim {
	case "", report.AimUniform, report.AimUnseen:
	default:
		return fmt.Errorf("unknown aim %q: there are %s and %s", o.Aim, report.AimUniform, report.AimUnseen)
	}
	switch o.Prefer {
	case "", PreferRetain, PreferMinimal:
	default:
		return fmt.Errorf("unknown preference %q: there are %s and %s", o.Prefer, PreferRetain, PreferMinimal)
	}
	if o.Aim == report.AimUnseen && len(o.Train)+len(o.Freeze) > 0 {
		return fmt.Errorf("the aim %s takes every parameter before the last layer: none can be chosen (--train, --freeze)", o.Aim)
	}
	if !(o.MaxLoss >= 0 && o.MaxLoss <= 1) {
		return fmt.Errorf("--max-loss: the largest loss of the others is %v: it must be above 0 and at most 1", o.MaxLoss)
	}
	return checkLimits(o.Limits.Or(report.FashionMNIST.FullMarks()))
}

// CheckInputs refuses a network and images that these options cannot work on.
func (o *Options) CheckInputs(g *graph.Graph, sd *model.StateDict, set *dataset.Set) error {
	net, err := nn.BindLogits(g, sd)
	if err != nil {
		return err
	}
	return o.checkInputs(net, set)
}

func (o *Options) checkInputs(net *nn.Net, set *dataset.Set) error {
	if err := set.CheckNetwork(net.InputShape(), net.Classes()); err != nil {
		return err
	}
	for _, c := range o.Classes {
		if c < 0 || c >= net.Classes() {
			return fmt.Errorf("class %d does not exist: the network has classes 0 to %d", c, net.Classes()-1)
		}
	}
	forget, others := set.Split(o.Classes...)
	switch {
	case o.ForgetOnly && len(forget) == 0:
		return errors.New("the data has no image to forget")
	case !o.ForgetOnly && (len(forget) == 0 || len(others) == 0):
		return fmt.Errorf("the data has %d images to forget and %d others: both are needed", len(forget), len(others))
	}
	_, _, err := learn.Movable(net.Graph(), learn.Selection{Train: o.Train, Freeze: o.Freeze})
	return err
}
