package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lethe/dataset"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/report"
)

// Audit is what attacks on an edited network find, beside what they find on the
// network before the edit and, if there are any, on networks retrained without
// the classes. It is evidence of an edit: a class that a network only hides
// passes every test of its outputs, and not these. Each measure is to be read as
// its distance from the retrained networks, which never saw the classes and know
// something of them all the same.
type Audit struct {
	Seed      uint64          `json:"seed"`                // of every draw
	Retrained []report.Recipe `json:"retrained,omitempty"` // how the networks to compare with were trained
	Measures  []AuditMeasure  `json:"measures"`
}

// AuditMeasure is one measure on the network before the edit, on that after it,
// and on the retrained ones together.
type AuditMeasure struct {
	Name        string    `json:"name"` // for programs; does not change
	Title       string    `json:"title"`
	Definition  string    `json:"definition"`
	Before      *Estimate `json:"before,omitempty"`
	After       *Estimate `json:"after,omitempty"`
	Retrained   *Estimate `json:"retrained,omitempty"`
	NotMeasured string    `json:"not_measured,omitempty"` // the reason; then there are no estimates
}

// Gap returns the value after the edit less that of the retrained networks, and
// whether their intervals lie apart; ok is false if one of the two is missing.
func (m *AuditMeasure) Gap() (gap float64, apart, ok bool) {
	if m.After == nil || m.Retrained == nil {
		return 0, false, false
	}
	return m.After.Value - m.Retrained.Value, !m.After.overlap(m.Retrained), true
}

// Retrained is a network that was trained without the classes.
type Retrained struct {
	State  *model.StateDict
	Recipe report.Recipe
}

// AuditOptions ask [Judge] for an audit.
type AuditOptions struct {
	Seed      uint64
	Retrained []Retrained // up to 10, to compare with; best with different seeds
	// Known is an audit with the same seed, images, networks before the edit and
	// retrained ones, of another edit: its estimates of those are taken over, and
	// only the edited network is measured. nil: everything is measured.
	Known *Audit

	// Progress, if not nil, is called before each measure on each network.
	Progress func(done, total int, title string)
}

// Settings of the measures. They are part of the definitions.
const (
	probeImages   = 1000 // of each class
	probePenalty  = 1    // on standardized features, as C = 1 in scikit-learn
	fewPenalty    = 1    // on the distance from the layer as it is
	fewRuns       = 10
	tuneRate      = 1e-3
	tuneBatch     = 256
	relearnShare  = 0.95 // of the accuracy before the edit
	relearnRuns   = 5
	relearnMost   = 200 // steps
	fineTuneSteps = 200
	fineTuneRuns  = 3
	folds         = 10
	// On the slope alone. Two classes of a multinomial regression share a
	// difference evenly: 2 is 1/C = 1 of a binary one.
	memberPenalty = 2
	intLevels     = 127
)

// auditMeasure is one row of the table of measures.
type auditMeasure struct {
	name, title, definition string
	// unaudited is how a report without an audit names what is missing; "" if
	// the report has it elsewhere.
	unaudited string
	// lacks says what is missing for the measure, or is nil.
	lacks   func(a *auditor) string
	isShare bool // of a range from 0 to 1
	measure func(a *auditor, s *observation) (Estimate, error)
}

var auditMeasures = []auditMeasure{
	{
		name: "accuracy", isShare: true, title: "accuracy on the class",
		definition: "share of the unseen images of the class that the network labels rightly; Wilson's interval",
		measure:    func(a *auditor, s *observation) (Estimate, error) { return a.accuracy(best(s.logits, a.k), true), nil },
	},
	{
		name: "others", isShare: true, title: "accuracy on the others",
		definition: "share of the unseen images of all other classes that the network labels rightly; Wilson's interval",
		measure:    func(a *auditor, s *observation) (Estimate, error) { return a.accuracy(best(s.logits, a.k), false), nil },
	},
	{
		name: "kl", title: "divergence from uniform (nats)",
		definition: "mean over the unseen images of the class of the sum over classes c of p(c) log(p(c) K), K classes; normal interval",
		measure:    func(a *auditor, s *observation) (Estimate, error) { return a.divergence(s.logits), nil },
	},
	{
		name: "auc", isShare: true, title: "AUC of the class's logit", unaudited: "AUC of the class's logit",
		definition: "probability that an unseen image of the class has a larger logit of the class (of several classes, the largest of theirs) than one of another class, ties counting one half; DeLong's interval",
		measure:    (*auditor).rank,
	},
	{
		name: "linear_probe", isShare: true, title: "linear probe", unaudited: "linear probe on the penultimate features",
		definition: fmt.Sprintf("accuracy on unseen images of the class of a multinomial logistic regression on the standardized inputs of the last layer, fitted to the first %d training images of every class with penalty %d/2 ||w||^2 on the sum of the losses, intercepts free; Wilson's interval", probeImages, probePenalty),
		measure:    (*auditor).probe,
	},
	nearestMean(0), nearestMean(5),
	{
		name: "neighbours", isShare: true, title: "nearest neighbours", unaudited: "nearest neighbours in the penultimate features",
		definition: fmt.Sprintf("accuracy on unseen images of the class of the majority of the %d nearest of the first %d training images of every class, by Euclidean distance of the standardized inputs of the last layer, ties for the smaller class; Wilson's interval", neighbours, neighbourImages),
		measure:    (*auditor).nearest,
	},
	{
		name: "output_probe", isShare: true, title: "probe of the outputs for the others", unaudited: "class membership by the outputs for the other classes",
		definition: "as linear_probe, of the logits of the other classes less their mean instead of the inputs of the last layer",
		measure:    (*auditor).probeOutputs,
	},
	fewShot(1), fewShot(5), fewShot(20), fewShot(100),
	{
		name: "relearning_steps", title: "relearning (steps)", unaudited: "relearning time",
		definition: fmt.Sprintf("steps of Adam, size %g, on batches of %d training images of all classes, all parameters free and running statistics fixed, until the accuracy on the unseen images of the class is %g of that before the edit; at most %d; mean of %d runs, Student's interval", tuneRate, tuneBatch, relearnShare, relearnMost, relearnRuns),
		measure:    (*auditor).relearn,
	},
	{
		name: "relearning_few", title: "relearning from 20 a class (steps)", unaudited: "relearning from few images",
		definition: fmt.Sprintf("as relearning_steps, on all of %d training images of every class in each step, until the accuracy is %g of that before the edit; mean of %d draws", relearnFew, relearnFewShare, relearnRuns),
		lacks:      func(a *auditor) string { return a.lacksImages(relearnFew) },
		measure:    (*auditor).relearnFromFew,
	},
	{
		name: "fine_tuning", isShare: true, title: "fine-tuning on the others", unaudited: "fine-tuning on the other classes",
		definition: fmt.Sprintf("accuracy on the unseen images of the class after %d steps of Adam, size %g, on batches of %d training images of the other classes, all parameters free and running statistics fixed; mean of %d runs, Student's and Wilson's intervals together", fineTuneSteps, tuneRate, tuneBatch, fineTuneRuns),
		lacks:      (*auditor).lacksOthers,
		measure:    (*auditor).fineTune,
	},
	{
		name: "membership", isShare: true, title: "membership by loss", unaudited: "membership inference",
		definition: fmt.Sprintf("share of training images of the class and as many unseen ones that a logistic regression on the loss, 1/2 w^2 on the sum of its losses, tells apart, each by the regression of the other %d of %d stratified folds; 0.5 is chance; Wilson's interval", folds-1, folds),
		lacks:      (*auditor).lacksMembers,
		measure:    (*auditor).members,
	},
	{
		name: "int8_accuracy", isShare: true, title: "int8: accuracy on the class", unaudited: "effect of rounding to int8",
		definition: "as accuracy, " + int8Rule,
		measure:    func(a *auditor, s *observation) (Estimate, error) { return a.accuracy(best(s.rounded, a.k), true), nil },
	},
	{
		name: "int8_others", isShare: true, title: "int8: accuracy on the others", unaudited: "effect of rounding to int8",
		definition: "as others, " + int8Rule,
		measure: func(a *auditor, s *observation) (Estimate, error) {
			return a.accuracy(best(s.rounded, a.k), false), nil
		},
	},
	{
		name: "int8_kl", title: "int8: divergence from uniform", unaudited: "effect of rounding to int8",
		definition: "as kl, " + int8Rule,
		measure:    func(a *auditor, s *observation) (Estimate, error) { return a.divergence(s.rounded), nil },
	},
	pruned("accuracy", func(a *auditor, logits []float32) Estimate { return a.accuracy(best(logits, a.k), true) }),
	pruned("others", func(a *auditor, logits []float32) Estimate { return a.accuracy(best(logits, a.k), false) }),
}

const int8Rule = "with every weight of a convolution or a fully connected layer rounded to 8 bits: one scale a tensor, the largest magnitude over 127, no zero point; biases, normalization and arithmetic in float32"

func fewShot(images int) auditMeasure {
	return auditMeasure{
		name: fmt.Sprintf("few_shot_%d", images), isShare: true, title: fmt.Sprintf("last layer retuned, %d a class", images),
		unaudited:  "few-shot retuning of the last layer",
		definition: fmt.Sprintf("accuracy on unseen images of the class after the last layer is fitted to %d training images of every class: the smallest sum of their cross-entropies and %d/2 of the squared distance from the layer as it is, intercepts free, inputs scaled so that the mean of their squares over these images is 1; mean of %d draws, Student's and Wilson's intervals together", images, fewPenalty, fewRuns),
		lacks:      func(a *auditor) string { return a.lacksImages(images) },
		measure:    func(a *auditor, s *observation) (Estimate, error) { return a.retune(s, images) },
	}
}

// notMeasured lists what an honest reader of a report must know was not looked
// at.
func notMeasured(a *Audit) []string {
	var list []string
	add := func(what string) {
		if what != "" && !slices.Contains(list, what) {
			list = append(list, what)
		}
	}
	if a == nil {
		for _, m := range auditMeasures {
			add(m.unaudited)
		}
		add(earlierLayers)
	} else {
		for _, m := range a.Measures {
			if m.NotMeasured != "" {
				add(m.Title + ": " + m.NotMeasured)
			}
		}
	}
	if a == nil || len(a.Retrained) == 0 {
		add("comparison with networks retrained without the class")
	}
	add("copies of the weights elsewhere: optimizer state, averages, older versions")
	return list
}

// auditor holds what is the same for every network.
type auditor struct {
	ctx       context.Context
	q         *Edit
	k         int
	forgotten []bool  // by class
	byClass   [][]int // training images
	probed    []int   // training images that the probe is fitted to
	unseen    []int   // all test images
	before    float64 // accuracy on the class before the edit
	seed      uint64
}

// observation is a network and what it makes of the images.
type observation struct {
	net             *nn.Net
	sd              *model.StateDict
	w               []float64 // the last layer, as of regression
	logits, rounded []float32 // of the test images, as it is and rounded to int8
	inputs, probed  []float64 // of the last layer: of the test images and of the auditor's probed ones
	featureNet      *nn.Net
	pruned          []float32 // logits of the test images without the smaller half of the weights; nil: not computed yet
}

func newAuditor(ctx context.Context, q *Edit) *auditor {
	k := q.net.Classes()
	a := &auditor{ctx: ctx, q: q, k: k, seed: q.Audit.Seed, forgotten: make([]bool, k), byClass: make([][]int, k)}
	for _, c := range q.Classes {
		a.forgotten[c] = true
	}
	for i, l := range q.Train.Labels {
		a.byClass[l] = append(a.byClass[l], i)
		if len(a.byClass[l]) <= probeImages {
			a.probed = append(a.probed, i)
		}
	}
	if q.Test != nil {
		a.unseen = all(q.Test)
	}
	return a
}

// all returns the indices of all images.
func all(s *dataset.Set) []int {
	indices := make([]int, s.Len())
	for i := range indices {
		indices[i] = i
	}
	return indices
}

// audit runs every measure on the networks before and after the edit and on the
// retrained ones.
func audit(ctx context.Context, q *Edit, after *nn.Net) (*Audit, error) {
	a, opts := newAuditor(ctx, q), q.Audit
	auditMeasures := slices.Concat(auditMeasures, layerProbes(q.net.Graph(), q.Before.state))
	if most := len(student) - 1; len(opts.Retrained) > most {
		return nil, fmt.Errorf("an audit compares with %d retrained networks at most, not with %d", most, len(opts.Retrained))
	}
	result := &Audit{Seed: opts.Seed}
	for _, m := range auditMeasures {
		result.Measures = append(result.Measures, AuditMeasure{Name: m.name, Title: m.title, Definition: m.definition})
	}
	nets := []*nn.Net{q.net, after}
	states := []*model.StateDict{q.Before.state, q.After.state}
	if opts.Known != nil {
		if err := a.takeOver(opts.Known, result, auditMeasures); err != nil {
			return nil, err
		}
		nets, states = nets[1:], states[1:]
	}
	for _, r := range opts.Retrained {
		net, err := nn.Bind(q.net.Graph(), r.State)
		if err != nil {
			return nil, fmt.Errorf("a retrained network: %w", err)
		}
		nets, states = append(nets, net), append(states, r.State)
		result.Retrained = append(result.Retrained, r.Recipe)
	}
	lacks := a.lacksUnseen()
	for i, m := range auditMeasures {
		out := &result.Measures[i]
		if out.NotMeasured = lacks; lacks == "" && m.lacks != nil {
			out.NotMeasured = m.lacks(a)
		}
	}
	if lacks != "" {
		return result, nil
	}
	estimates, err := a.estimate(nets, states, result.Measures, auditMeasures)
	if err != nil {
		return nil, err
	}
	for i, e := range estimates {
		switch out := &result.Measures[i]; {
		case out.NotMeasured != "":
		case opts.Known != nil:
			out.After = &e[0]
		default:
			out.Before, out.After = &e[0], &e[1]
			if len(e) > 2 {
				retrained := combineNetworks(e[2:], auditMeasures[i].isShare)
				out.Retrained = &retrained
			}
		}
	}
	return result, nil
}

// estimate takes the measures on networks, without those that cannot be taken, and
// returns them by measure and network. out says which those are.
func (a *auditor) estimate(nets []*nn.Net, states []*model.StateDict, out []AuditMeasure, measures []auditMeasure) ([][]Estimate, error) {
	estimates := make([][]Estimate, len(measures)) // [measure][network]
	for n, net := range nets {
		if n > 0 && states[n] == states[n-1] { // nothing was edited
			for i, e := range estimates {
				if len(e) > 0 {
					estimates[i] = append(e, e[len(e)-1])
				}
			}
			continue
		}
		s, err := a.observe(net, states[n])
		if err != nil {
			return nil, err
		}
		for i, m := range measures {
			if a.q.Audit.Progress != nil {
				a.q.Audit.Progress(n*len(measures)+i, len(nets)*len(measures), m.title)
			}
			if out[i].NotMeasured != "" {
				continue
			}
			if err := a.ctx.Err(); err != nil {
				return nil, err
			}
			e, err := m.measure(a, s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.title, err)
			}
			estimates[i] = append(estimates[i], e)
			if n == 0 && m.name == "accuracy" && a.q.Audit.Known == nil {
				a.before = e.Value
			}
		}
	}
	return estimates, nil
}

// takeOver gives result the estimates of known for the networks beside the edited
// one. It fails if known is of other measures or another seed.
func (a *auditor) takeOver(known, result *Audit, measures []auditMeasure) error {
	if len(a.q.Audit.Retrained) > 0 {
		return errors.New("an audit that takes over what is known of retrained networks is given such networks too")
	}
	if known.Seed != a.seed || len(known.Measures) != len(measures) {
		return fmt.Errorf("the known audit has seed %d and %d measures, this one %d and %d", known.Seed, len(known.Measures), a.seed, len(measures))
	}
	result.Retrained = known.Retrained
	for i, m := range known.Measures {
		if m.Definition != measures[i].definition {
			return fmt.Errorf("the known audit measures %q in another way", m.Title)
		}
		result.Measures[i].Before, result.Measures[i].Retrained = m.Before, m.Retrained
		if m.Name == "accuracy" && m.Before != nil {
			a.before = m.Before.Value
		}
	}
	return nil
}
