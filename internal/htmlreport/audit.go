package htmlreport

import (
	"fmt"

	"lethe/verify"
)

// audit is one measure of the audit on a scale of its own, 0 to 200.
type audit struct {
	verify.AuditMeasure
	Marks    []mark
	Gap      float64
	Apart    bool
	HasGap   bool
	Low, Top string
}

// mark is a value and its interval on the scale.
type mark struct {
	Who         string // before, after, retrained
	X, From, To float64
	Text        string
	Y           float64
}

func (v *view) audit() {
	for _, m := range v.Report.Audit.Measures {
		a := audit{AuditMeasure: m}
		a.Gap, a.Apart, a.HasGap = m.Gap()
		if a.HasGap {
			v.Compared++
		}
		if a.Apart {
			v.Gaps++
		}
		top := 1.0
		all := []struct {
			who string
			e   *verify.Estimate
		}{{"before", m.Before}, {"after", m.After}, {"retrained", m.Retrained}}
		for _, e := range all {
			if e.e != nil {
				top = max(top, e.e.High)
			}
		}
		x := func(value float64) float64 { return 200 * min(max(value, 0), top) / top }
		for i, e := range all {
			if e.e == nil {
				continue
			}
			sign := ""
			if e.e.AtLeast {
				sign = "≥ "
			}
			a.Marks = append(a.Marks, mark{e.who, x(e.e.Value), x(e.e.Low), x(e.e.High),
				fmt.Sprintf("%s%.3g (%.3g to %.3g)", sign, e.e.Value, e.e.Low, e.e.High), 7 + 10*float64(i)})
		}
		a.Low, a.Top = "0", fmt.Sprintf("%.3g", top)
		v.Audits = append(v.Audits, a)
	}
}
