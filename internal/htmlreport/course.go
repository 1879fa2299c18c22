package htmlreport

import (
	"fmt"
	"strings"

	"lethe/report"
)

// chart is one measure over the steps of the edit, 320 wide and 120 high.
type chart struct {
	Name, Points string
	Limit        float64 // height of the limit for full marks
	LimitText    string
	Top, Last    string
	LastX, LastY float64
	Description  string
}

// course draws how the measures evolved.
func (v *view) course() {
	points := v.Report.Course
	if len(points) == 0 || points[len(points)-1].Step <= 0 {
		return
	}
	v.Steps = points[len(points)-1].Step
	values := map[string]func(p report.Point) float64{
		"target": func(p report.Point) float64 { return p.Target }, "remain": func(p report.Point) float64 { return p.Remain },
		"L2": func(p report.Point) float64 { return p.L2 }, "KL": func(p report.Point) float64 { return p.KL },
	}
	for _, l := range v.RulesOf().All() {
		value := values[l.Name]
		top := l.Full
		for _, p := range points {
			top = max(top, value(p))
		}
		low := 0.0
		if l.None < l.Full { // only the upper part tells anything
			low = l.Hard
			for _, p := range points {
				low = min(low, value(p))
			}
		}
		height := func(x float64) float64 { return 110 - 100*(x-low)/(top-low) }
		var path []string
		for _, p := range points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", 310*float64(p.Step)/float64(v.Steps), height(value(p))))
		}
		last := points[len(points)-1]
		v.Charts = append(v.Charts, chart{
			Name: l.Name, Points: strings.Join(path, " "), Limit: height(l.Full), LimitText: short(l.Full),
			Top: fmt.Sprintf("%.3g", top), Last: fmt.Sprintf("%.3f", value(last)), LastX: 310, LastY: height(value(last)),
			Description: fmt.Sprintf("%s over %d steps: from %.3f to %.3f; full marks at %s.", l.Name, v.Steps, value(points[0]), value(last), short(l.Full)),
		})
	}
}
