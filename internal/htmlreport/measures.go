package htmlreport

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"lethe/report"
	"lethe/verify"
)

// gauge shows one measure between its limits. Its scale is stretched so that
// every zone has the same width in all gauges, the good end on the left.
type gauge struct {
	Name, Unit  string
	Verdict     string
	Good        bool
	Value       string
	Was         string  // "" if there is no value before
	At, WasAt   float64 // where on the scale, 0 to 300
	Ticks       [3]string
	Description string // for those who do not see it
}

// zones are the widths of a gauge's zones: full marks, fewer, none, beyond the
// hard limit.
var zones = [...]float64{120, 75, 60, 45}

// place returns where a value is on the scale of a gauge. best and worst are the
// ends of what the measure can be.
func place(x, best, worst float64, l report.Rule) float64 {
	edges := []float64{best, l.Full, l.None, l.Hard, worst}
	at := 0.0
	for i, width := range zones {
		part := (x - edges[i]) / (edges[i+1] - edges[i])
		if !(part > 0) { // better than the best is the best
			return at
		}
		if part <= 1 {
			return at + part*width
		}
		at += width
	}
	return at
}

func (v *view) measures() {
	d, rules := v.Data, v.RulesOf()
	about := map[string]struct {
		name, unit  string
		was, now    float64
		best, worst float64
	}{
		"target": {"Accuracy on " + v.Class, "target: what is to be forgotten, lower is better", d.TrainBefore.Target, d.TrainAfter.Target, 0, 1},
		"remain": {"Accuracy on the others", "remain: what is to be kept, higher is better", d.TrainBefore.Remain, d.TrainAfter.Remain, 1, 0},
		"KL":     {"Divergence from uniform", "KL in nats on images of the class: 0 is not knowing at all", d.TrainBefore.KL, d.TrainAfter.KL, 0, max(math.Log(float64(len(d.TrainAfter.Confusion))), 1.1*rules.KL.Hard)},
		"L2":     {"Distance of the parameters", "L2: how far the weights moved", 0, v.Comparison.L2, 0, 2 * rules.L2.Hard},
	}
	for _, l := range rules.All() {
		a := about[l.Name]
		g := gauge{
			Name: a.name, Unit: a.unit, Value: fmt.Sprintf("%.4f", a.now), At: place(a.now, a.best, a.worst, l),
			Ticks: [3]string{short(l.Full), short(l.None), short(l.Hard)},
		}
		if l.Name != "L2" {
			g.Was, g.WasAt = fmt.Sprintf("%.4f", a.was), place(a.was, a.best, a.worst, l)
		}
		bound := "at most"
		if l.None < l.Full {
			bound = "at least"
		}
		edge := zones[0]
		switch {
		case g.At <= edge:
			g.Verdict, g.Good = "full marks", true
		case g.At < edge+zones[1]:
			g.Verdict = "fewer marks"
		case g.At <= edge+zones[1]+zones[2]:
			g.Verdict = "no marks"
		default:
			g.Verdict = "beyond the hard limit"
		}
		g.Description = fmt.Sprintf("%s after the edit: %s. Full marks: %s %s; no marks from %s; hard limit %s.", g.Name, g.Value, bound, g.Ticks[0], g.Ticks[1], g.Ticks[2])
		if g.Was != "" {
			g.Description += " Before: " + g.Was + "."
		}
		v.Gauges = append(v.Gauges, g)
	}
	for _, m := range []struct {
		name          string
		before, after *verify.Measures
	}{{"training images", d.TrainBefore, d.TrainAfter}, {"unseen test images", d.TestBefore, d.TestAfter}} {
		if m.before == nil || m.after == nil {
			continue
		}
		v.Rows = append(v.Rows, row{m.name, m.before, m.after})
		classes := v.shown(m.after)
		v.Hidden = len(m.after.Confusion) - len(classes)
		v.Matrices = append(v.Matrices, v.matrix("Before, on "+m.name, m.before, classes), v.matrix("After, on "+m.name, m.after, classes))
	}
	if n := len(v.Matrices); n > 2 { // those that matter; the others are in the report
		v.Matrices = v.Matrices[n-2:]
	}
	for _, p := range d.Predicted {
		if len(d.Predicted) > mostClasses && p.Before == 0 && p.After == 0 {
			v.Nowhere++
			continue
		}
		v.Went = append(v.Went, destination{p.Class, v.label(p.Class), slices.Contains(v.Classes, p.Class), p.Before, p.After, 100 * p.Before, 100 * p.After})
	}
	slices.SortStableFunc(v.Went, func(a, b destination) int {
		switch {
		case a.After > b.After:
			return -1
		case a.After < b.After:
			return 1
		}
		return 0
	})
}

func short(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// row is a set of images and what the networks make of it.
type row struct {
	Name          string
	Before, After *verify.Measures
}

// destination is how many forgotten images are taken for a class.
type destination struct {
	Class              int
	Label              string
	Forgotten          bool
	Before, After      float64 // 0 to 1
	BeforeBar, BarWide float64 // in percent
}

// matrix is a confusion matrix.
type matrix struct {
	Title   string
	Classes []string
	Rows    []matrixRow
}

type matrixRow struct {
	Label     string
	Forgotten bool
	Cells     []cell
}

// cell has a count and how dark it is, 0 to 100, by its share of the row.
type cell struct {
	Count    int
	Heat     float64
	Dark     bool
	Diagonal bool
	Title    string
}

// mostClasses is how many classes are shown whatever is to be said of them.
const mostClasses = 20

// shown returns the classes that a confusion matrix shows: all, or those that matter
// most, the forgotten ones and the classes that their images are taken for most often
// after the edit.
func (v *view) shown(m *verify.Measures) []int {
	classes := make([]int, len(m.Confusion))
	for i := range classes {
		classes[i] = i
	}
	if len(classes) <= mostClasses {
		return classes
	}
	counts := make([]int, len(classes))
	for _, forgotten := range v.Classes {
		for to, n := range m.Confusion[forgotten] {
			counts[to] += n
		}
	}
	for _, forgotten := range v.Classes {
		counts[forgotten] = math.MaxInt
	}
	slices.SortStableFunc(classes, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	classes = classes[:mostClasses]
	slices.Sort(classes)
	return classes
}

// matrix returns the confusion matrix of some classes.
func (v *view) matrix(title string, m *verify.Measures, classes []int) matrix {
	t := matrix{Title: title}
	for _, label := range classes {
		counts := m.Confusion[label]
		t.Classes = append(t.Classes, v.label(label))
		sum := 0
		for _, n := range counts {
			sum += n
		}
		r := matrixRow{Label: v.label(label), Forgotten: slices.Contains(v.Classes, label)}
		for _, to := range classes {
			n, heat := counts[to], 0.0
			if sum > 0 {
				heat = float64(n) / float64(sum)
			}
			r.Cells = append(r.Cells, cell{n, 100 * math.Sqrt(heat), heat > 0.3, label == to,
				fmt.Sprintf("%d of %d images of %s taken for %s", n, sum, v.label(label), v.label(to))})
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}
