// Package report holds the parts of a report that need no network to be understood:
// the rules and limits of a task, the settings and the course of an edit, digests of
// files, and how networks to compare with were trained.
package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"lethe/internal/strictjson"
	"lethe/model"
)

// Rule is the rule of a task for one measure: full marks up to Full, none from
// None on, linear between, and the edit is broken beyond Hard. If None is below
// Full, more is better.
type Rule struct {
	Name string  `json:"-"` // "target", "remain", "L2" or "KL"
	Full float64 `json:"full"`
	None float64 `json:"none"`
	Hard float64 `json:"hard"`
}

// MoreIsBetter reports whether a larger value of the measure is better.
func (r Rule) MoreIsBetter() bool { return r.None < r.Full }

// Mark returns the mark of a value, 0 to 100; 0 of NaN.
func (r Rule) Mark(v float64) float64 {
	if share := (r.None - v) / (r.None - r.Full); share > 0 { // not so for NaN
		return 100 * min(1, share)
	}
	return 0
}

// Broken reports whether a value is beyond the hard limit; NaN is.
func (r Rule) Broken(v float64) bool {
	if r.MoreIsBetter() {
		return !(v >= r.Hard)
	}
	return !(v <= r.Hard)
}

// Aim is what an edit is to make of a network.
type Aim string

// The aims.
const (
	AimUniform Aim = "uniform" // on images of the class all classes are about as probable
	AimUnseen  Aim = "unseen"  // the network is as if it had never seen the class
)

// Rules are the rules of a task, one for each measure. A measure whose rule is
// zero is not judged.
type Rules struct {
	Aim    Aim  `json:"aim,omitempty"` // "": AimUniform
	Target Rule `json:"target"`        // accuracy on the forgotten classes, 0 to 1
	Remain Rule `json:"remain"`        // accuracy on all other classes together, 0 to 1
	L2     Rule `json:"l2"`            // Euclidean distance of all parameters from the original ones
	KL     Rule `json:"kl,omitzero"`   // mean of log K + sum of p log p over the K probabilities p, on images of the forgotten classes, nats
}

// FashionMNIST are the rules of the Fashion-MNIST class-forgetting task.
var FashionMNIST = Rules{
	Target: Rule{"target", 0.09, 0.30, 0.5},
	Remain: Rule{"remain", 0.90, 0.87, 0.75},
	L2:     Rule{"L2", 1.3, 3, 8},
	KL:     Rule{"KL", 0.2, 0.5, 1.75},
}

// What full marks of a task take that has no rules of its own.
const (
	shareOfChance  = 0.9   // accuracy on the forgotten classes, of 1 / K
	shareOfEntropy = 0.2   // divergence, of log K / log 10
	remainLoss     = 0.005 // accuracy on the others, below that before the edit
	shareOfNorm    = 0.05  // distance, of the norm of what may move
)

// RulesFor returns the rules of a task without rules of its own: classes is the
// number of classes of the network, at least 2, remain its accuracy on the
// classes that it is to keep, 0 to 1, and norm the Euclidean norm of the
// parameters that may move. The values without marks and the hard limits have
// the proportion to those of full marks that they have in [FashionMNIST]; where
// that would take the accuracy on few classes to 1 or more, the proportion is
// that of the distance from 1. Every number has four digits, so that it is the
// same on every machine and can be copied from a report.
func RulesFor(classes int, remain, norm float64) Rules {
	k := float64(classes)
	ours := FashionMNIST
	target := func(v float64) float64 {
		aim := shareOfChance / k
		return digits(min(v/ours.Target.Full*aim, 1-(1-v)/(1-ours.Target.Full)*(1-aim)))
	}
	scaled := func(r Rule, full float64) Rule {
		return Rule{r.Name, digits(full), digits(full * r.None / r.Full), digits(full * r.Hard / r.Full)}
	}
	return Rules{
		Target: Rule{ours.Target.Name, target(ours.Target.Full), target(ours.Target.None), target(ours.Target.Hard)},
		Remain: scaled(ours.Remain, max(remain-remainLoss, remainLoss)),
		L2:     scaled(ours.L2, shareOfNorm*norm),
		KL:     scaled(ours.KL, shareOfEntropy*math.Log(k)/math.Ln10),
	}
}

// What full marks take of an edit with [AimUnseen].
const (
	unseenTarget = 0.01 // accuracy on the forgotten classes: a network that never saw them names none
	unseenLoss   = 0.01 // accuracy on the others, below that before the edit
	unseenShare  = 0.75 // distance, of the hard limit of the task
)

// Unseen returns the rules of an edit with [AimUnseen], where task are those of
// one with [AimUniform] and remain is the accuracy before the edit on the classes
// that are to remain, 0 to 1. There is no rule for the divergence from uniform: a
// network that never saw a class is sure of what it takes its images for. How
// near an edit came to such a network is for the audit to say.
func Unseen(task Rules, remain float64) Rules {
	full := digits(max(remain-unseenLoss, 0))
	return Rules{
		Aim:    AimUnseen,
		Target: Rule{task.Target.Name, unseenTarget, task.Target.None, task.Target.Hard},
		Remain: Rule{task.Remain.Name, full, digits(full * task.Remain.None / task.Remain.Full), digits(full * task.Remain.Hard / task.Remain.Full)},
		L2:     Rule{task.L2.Name, digits(unseenShare * task.L2.Hard), task.L2.Hard, task.L2.Hard},
	}
}

// digits rounds v to four significant digits.
func digits(v float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return r
}

// maxRules bounds the text of rules, in bytes.
const maxRules = 64 << 10

// ParseRules reads the rules of somebody's own, JSON such as
//
//	{"target": {"full": 0.05, "none": 0.2, "hard": 0.3}, "l2": {"full": 2, "none": 4, "hard": 9}}
//
// with the members target, remain, l2 and kl. A measure that is not there keeps
// its rule of base. Unknown members, missing numbers, and rules whose three
// values are not in order or that no edit could ever meet or break are a
// [model.FormatError], and so is a rule for kl where base has the aim [AimUnseen].
func ParseRules(text []byte, base Rules) (Rules, error) {
	if len(text) > maxRules {
		return Rules{}, &model.LimitError{What: "the text of the rules", Unit: "bytes", Got: uint64(len(text)), Limit: maxRules}
	}
	var own map[string]map[string]float64
	if err := strictjson.DecodeKnown(text, &own); err != nil {
		return Rules{}, fmt.Errorf("rules: %w; they are as {\"l2\": {\"full\": 2, \"none\": 4, \"hard\": 9}}, with the measures target, remain, l2 and kl", err)
	}
	places := map[string]*Rule{"target": &base.Target, "remain": &base.Remain, "l2": &base.L2, "kl": &base.KL}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		place := places[name]
		if place == nil {
			return Rules{}, wrong("there is no measure %.100q: there are target, remain, l2 and kl", name)
		}
		if name == "kl" && base.Aim == AimUnseen {
			return Rules{}, wrong("kl: the divergence from uniform is not judged where the aim is %s", AimUnseen)
		}
		r := Rule{Name: place.Name}
		values := map[string]*float64{"full": &r.Full, "none": &r.None, "hard": &r.Hard}
		for _, member := range slices.Sorted(maps.Keys(own[name])) {
			if values[member] == nil {
				return Rules{}, wrong("%s has a member %.100q: there are full, none and hard", name, member)
			}
			*values[member] = own[name][member]
		}
		if len(own[name]) != len(values) {
			return Rules{}, wrong("%s needs all of full, none and hard", name)
		}
		*place = r
	}
	return base, base.Check()
}

// Check refuses rules whose values are not in order, or that no edit could ever
// meet or break, with a [model.FormatError].
func (r Rules) Check() error {
	for _, x := range r.All() {
		v, most := []float64{x.Full, x.None, x.Hard}, math.MaxFloat64
		switch x.Name {
		case "remain": // the only one of which more is better
			v = []float64{-x.Full, -x.None, -x.Hard}
			fallthrough
		case "target":
			most = 1
		}
		if !(v[0] < v[1] && v[1] <= v[2]) {
			return wrong("%s: full %g, none %g and hard %g are not in the order of full marks, none, and the hard limit", x.Name, x.Full, x.None, x.Hard)
		}
		for _, v := range []float64{x.Full, x.None, x.Hard} {
			if !(v >= 0 && v <= most) || v == 0 && x.Name != "remain" {
				return wrong("%s: full %g, none %g and hard %g: an edit cannot have such a value", x.Name, x.Full, x.None, x.Hard)
			}
		}
	}
	return nil
}

func wrong(format string, args ...any) error {
	return &model.FormatError{Format: "rules", Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// All returns the rules of the measures that are judged, in the order in which
// they are shown.
func (r Rules) All() []Rule {
	r.Target.Name, r.Remain.Name, r.L2.Name, r.KL.Name = "target", "remain", "L2", "KL" // which JSON does not hold
	all := []Rule{r.Target, r.Remain, r.L2, r.KL}
	return slices.DeleteFunc(all, func(x Rule) bool { return x == Rule{Name: x.Name} })
}

// Limits are the bounds of an edit. A bound that is 0 is that of the rules of the
// task.
type Limits struct {
	Target float64 `json:"target"` // largest accuracy on the forgotten classes, 0 to 1
	KL     float64 `json:"kl"`     // largest mean divergence from uniform on their images, nats, see [Rules]
	L2     float64 `json:"l2"`     // largest Euclidean distance from the original parameters
}

// FullMarks returns the limits within which an edit has full marks. The accuracy on
// the other classes has no limit: an edit makes it as high as it can.
func (r Rules) FullMarks() Limits {
	return Limits{Target: r.Target.Full, KL: r.KL.Full, L2: r.L2.Full}
}

// Or returns the limits with those that are 0 taken from other.
func (l Limits) Or(other Limits) Limits {
	return Limits{Target: cmp.Or(l.Target, other.Target), KL: cmp.Or(l.KL, other.KL), L2: cmp.Or(l.L2, other.L2)}
}
