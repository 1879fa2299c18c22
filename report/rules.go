// Package report holds what is said about an edit: so far the rules that it is
// measured by.
package report

// Rule is the rule of a task for one measure: full marks up to Full, none from
// None on, linear between, and the edit is broken beyond Hard. If None is below
// Full, more is better.
type Rule struct {
	Name             string // "target", "remain", "L2" or "KL"
	Full, None, Hard float64
}

// MoreIsBetter reports whether a larger value of the measure is better.
func (r Rule) MoreIsBetter() bool { return r.None < r.Full }

// Rules are the rules of a task, one for each measure.
type Rules struct {
	Target Rule // accuracy on the forgotten classes, 0 to 1
	Remain Rule // accuracy on all other classes together, 0 to 1
	L2     Rule // distance of the parameters from the original ones
	KL     Rule // mean divergence from uniform on images of the forgotten classes, nats
}

// FashionMNIST are the rules of the Fashion-MNIST class-forgetting task.
var FashionMNIST = Rules{
	Target: Rule{"target", 0.09, 0.30, 0.5},
	Remain: Rule{"remain", 0.90, 0.87, 0.75},
	L2:     Rule{"L2", 1.3, 3, 8},
	KL:     Rule{"KL", 0.2, 0.5, 1.75},
}

// All returns the rules in the order in which they are shown.
func (r Rules) All() []Rule { return []Rule{r.Target, r.Remain, r.L2, r.KL} }

// Limits are the bounds of an edit. Of a judgement, what is 0 stays as the task
// has it.
type Limits struct {
	Target float64 `json:"target"` // largest accuracy on the forgotten classes, 0 to 1
	KL     float64 `json:"kl"`     // largest mean divergence from uniform on their images, nats
	L2     float64 `json:"l2"`     // largest distance from the original parameters
}

// FullMarks returns the limits within which an edit has full marks, but for the
// accuracy on the other classes, which is not limited but aimed for.
func (r Rules) FullMarks() Limits {
	return Limits{Target: r.Target.Full, KL: r.KL.Full, L2: r.L2.Full}
}
