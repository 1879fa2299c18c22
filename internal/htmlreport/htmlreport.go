// Package htmlreport shows a report to people: one page that needs nothing else,
// no script, no font, no picture from elsewhere, so that it reads the same in ten
// years, without a network and on paper.
package htmlreport

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"lethe/internal/drawing"
	"lethe/report"
	"lethe/verify"
)

// Page is what a page shows. What the report does not hold is left out of it.
type Page struct {
	Report  *verify.Report
	Samples []Sample

	// For the command that makes the edit again: the names of its files, and
	// the flags that say how the input was read.
	Input, Output string
	Reading       []string

	Network *drawing.Network // to draw with the change of each layer; may be nil
}

// Sample is one image of a forgotten class.
type Sample struct {
	Pixels        []uint8 // channel by channel, row by row from the top; of a single channel, 255 is ink
	Shape         []int   // channels (1 or 3: red, green and blue), rows, columns
	Unseen        bool    // the edit did not see it
	Label         int
	Before, After int // the classes that the network took it for
}

//go:embed page.html
var source string

//go:embed page.css
var style string

// Write writes the page. Equal reports and samples give equal pages.
func Write(w io.Writer, p Page) error {
	v, err := newView(p)
	if err != nil {
		return err
	}
	functions := template.FuncMap{
		"style":   func() template.CSS { return template.CSS(style) },
		"percent": percent,
		"num":     func(x float64) string { return fmt.Sprintf("%.4f", x) },
		"short":   func(x float64) string { return fmt.Sprintf("%.3g", x) },
		"signed":  func(x float64) string { return fmt.Sprintf("%+.3f", x) },
		"px":      func(x float64) string { return strconv.FormatFloat(math.Round(10*x)/10, 'f', -1, 64) },
	}
	page, err := template.New("page").Funcs(functions).Parse(source)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		return err
	}
	_, err = io.WriteString(w, visible(b.String()))
	return err
}

// visible writes characters that nobody sees, or that change the order of those
// around them, as \u escapes: names and labels come from files. The page itself has
// none but line breaks, tabs and the fixed blank.
func visible(page string) string {
	var b strings.Builder
	b.Grow(len(page))
	for _, r := range page {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' || r == '\u00a0' {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

func percent(x float64) string { return fmt.Sprintf("%.1f\u00a0%%", 100*x) }

// view is the report as the template wants it.
type view struct {
	*verify.Report
	Title    string
	Class    string // the forgotten ones
	Gauges   []gauge
	Rows     []row
	Went     []share
	Samples  []picture
	Unseen   bool // the samples are
	Matrices []matrix
	Layers   []bar
	Drawing  template.HTML // of the network; "" if it is not there
	Tensors  []tensor
	Charts   []chart
	Steps    int
	Audits   []audit
	Gaps     int // audit measures that lie apart from the retrained networks
	Compared int
	Command  string
	Failed   []verify.Check
}

func newView(p Page) (*view, error) {
	r := p.Report
	v := &view{Report: r, Class: strings.Join(r.Labels, ", ")}
	var err error
	if v.Command, err = command(p); err != nil {
		return nil, err
	}
	if v.Class == "" {
		v.Class = "no class"
	}
	v.Title = "What was edited"
	if len(r.Labels) > 0 {
		v.Title = "Forgetting " + v.Class
	}
	for _, c := range r.AllChecks() {
		if !c.OK {
			v.Failed = append(v.Failed, c)
		}
	}
	v.changes()
	if p.Network != nil {
		if v.Drawing, err = draw(p.Network, r); err != nil {
			return nil, err
		}
	}
	if r.Data != nil {
		v.measures()
		v.samples(p.Samples)
	}
	if r.Audit != nil {
		v.audit()
	}
	return v, v.course()
}

// draw returns the picture of the network with the change of each layer.
func draw(n *drawing.Network, r *verify.Report) (template.HTML, error) {
	moved := map[string]float64{}
	for _, c := range r.Comparison.Changes {
		moved[c.Name] = c.L2
	}
	var b strings.Builder
	err := n.SVG(&b, drawing.Options{Changes: moved, InPage: true})
	return template.HTML(b.String()), err // names are escaped there
}

// label is the name of a class as far as the report has one.
func (v *view) label(class int) string {
	if d := v.Data; d != nil && class < len(d.Predicted) && d.Predicted[class].Label != "" {
		return d.Predicted[class].Label
	}
	return fmt.Sprintf("class %d", class)
}

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
		v.Matrices = append(v.Matrices, v.matrix("Before, on "+m.name, m.before), v.matrix("After, on "+m.name, m.after))
	}
	if n := len(v.Matrices); n > 2 { // those that matter; the others are in the report
		v.Matrices = v.Matrices[n-2:]
	}
	for _, p := range d.Predicted {
		v.Went = append(v.Went, share{p.Class, v.label(p.Class), slices.Contains(v.Classes, p.Class), p.Before, p.After, 100 * p.Before, 100 * p.After})
	}
	slices.SortStableFunc(v.Went, func(a, b share) int {
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

// share is how many forgotten images are taken for a class.
type share struct {
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

func (v *view) matrix(title string, m *verify.Measures) matrix {
	t := matrix{Title: title}
	for label, counts := range m.Confusion {
		t.Classes = append(t.Classes, v.label(label))
		sum := 0
		for _, n := range counts {
			sum += n
		}
		r := matrixRow{Label: v.label(label), Forgotten: slices.Contains(v.Classes, label)}
		for to, n := range counts {
			heat := 0.0
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

// picture is a sample as a data URL.
type picture struct {
	URL           template.URL
	Label         string
	Before, After string
	Right         bool // still taken for what it is
}

func (v *view) samples(all []Sample) {
	for _, s := range all {
		v.Unseen = s.Unseen
		v.Samples = append(v.Samples, picture{
			URL: dataURL(s), Label: v.label(s.Label), Before: v.label(s.Before), After: v.label(s.After), Right: s.After == s.Label,
		})
	}
}

func dataURL(s Sample) template.URL {
	var b bytes.Buffer
	if err := png.Encode(&b, drawn(s)); err != nil {
		panic(err) // to memory, of an image that is not empty
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()))
}

// drawn returns a sample as a picture: the ink of a grey one is black.
func drawn(s Sample) image.Image {
	rows, cols := s.Shape[1], s.Shape[2]
	frame, plane := image.Rect(0, 0, cols, rows), rows*cols
	if s.Shape[0] != 3 {
		ink := image.NewGray(frame)
		for i, p := range s.Pixels[:plane] {
			ink.Pix[i] = 255 - p
		}
		return ink
	}
	colours := image.NewRGBA(frame)
	for i := range plane {
		copy(colours.Pix[4*i:], []uint8{s.Pixels[i], s.Pixels[plane+i], s.Pixels[2*plane+i], 255})
	}
	return colours
}

// bar is a layer and its share of the change.
type bar struct {
	Name  string
	L2    float64
	Share float64 // 0 to 1
	Wide  float64 // in percent of the largest
}

// tensor is one entry of the state dict.
type tensor struct {
	verify.Change
	Heat  float64 // 0 to 100, of the L2 for each element beside the largest
	Dark  bool
	Dims  string
	Each  float64 // root mean square of the change of an element
	Moved bool
}

func (v *view) changes() {
	top := 0.0
	for _, l := range v.Comparison.Layers {
		top = max(top, l.Share)
	}
	for _, l := range v.Comparison.Layers {
		b := bar{Name: l.Name, L2: l.L2, Share: l.Share}
		if top > 0 {
			b.Wide = 100 * l.Share / top
		}
		v.Layers = append(v.Layers, b)
	}
	most := 0.0
	for _, c := range v.Comparison.Changes {
		n, dims := 1, []string{}
		for _, d := range c.Shape {
			n *= d
			dims = append(dims, strconv.Itoa(d))
		}
		t := tensor{Change: c, Moved: c.Changed(), Dims: strings.Join(dims, " × ")}
		if n > 0 {
			t.Each = c.L2 / math.Sqrt(float64(n))
		}
		most = max(most, t.Each)
		v.Tensors = append(v.Tensors, t)
	}
	for i := range v.Tensors {
		if t := &v.Tensors[i]; most > 0 {
			t.Heat = 100 * t.Each / most
			t.Dark = t.Heat > 55
		}
	}
}

// chart is one measure over the steps of the edit, 320 wide and 120 high.
type chart struct {
	Name, Points string
	Limit        float64 // height of the limit for full marks
	LimitText    string
	Top, Last    string
	LastX, LastY float64
	Description  string
}

// point is what is read of the course of an edit.
type point struct {
	Step   int     `json:"step"`
	Target float64 `json:"target"`
	Remain float64 `json:"remain"`
	KL     float64 `json:"kl"`
	L2     float64 `json:"l2"`
}

// course draws how the measures evolved. A report holds the course as whatever
// the edit gave it, so it is read as JSON.
func (v *view) course() error {
	if v.Course == nil {
		return nil
	}
	b, err := json.Marshal(v.Course)
	if err != nil {
		return err
	}
	var points []point
	if err := json.Unmarshal(b, &points); err != nil {
		return fmt.Errorf("the course of the edit in the report: %w", err)
	}
	if len(points) == 0 || points[len(points)-1].Step <= 0 {
		return nil
	}
	v.Steps = points[len(points)-1].Step
	values := map[string]func(p point) float64{
		"target": func(p point) float64 { return p.Target }, "remain": func(p point) float64 { return p.Remain },
		"L2": func(p point) float64 { return p.L2 }, "KL": func(p point) float64 { return p.KL },
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
	return nil
}

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

// method is what of the settings of an edit is flags of the command. A report
// holds them as whatever the edit gave it, so they are read as JSON.
type method struct {
	Limits report.Limits `json:"limits"`
	Prefer string        `json:"prefer"`
	Aim    report.Aim    `json:"aim"`

	MaxLoss  float64  `json:"max_loss"` // 0: the default
	Selected bool     `json:"selected"` // that of Trained
	Trained  []string `json:"trained"`
}

// command returns the command line that makes the edit again, or "" if the
// report is not of a command that made one.
func command(p Page) (string, error) {
	r := p.Report
	if r.Method == nil || r.Data == nil {
		return "", nil
	}
	b, err := json.Marshal(r.Method)
	if err != nil {
		return "", err
	}
	var m method
	if err := json.Unmarshal(b, &m); err != nil {
		return "", fmt.Errorf("the method of the edit in the report: %w", err)
	}
	classes := make([]string, len(r.Classes))
	for i, c := range r.Classes {
		classes[i] = strconv.Itoa(c)
	}
	words := []string{"forget", "--class", strings.Join(classes, ","), "--seed", strconv.FormatUint(r.Seed, 10), "--gate", string(r.Gate)}
	switch {
	case strings.Contains(r.Data.Source, "--forget-only"):
		words = append(words, "--forget-only", "DIR")
	case strings.Contains(r.Data.Source, "--data"):
		words = append(words, "--data", "DIR")
	}
	if m.Aim != "" {
		words = append(words, "--aim", string(m.Aim))
	}
	words = append(words, r.Data.Preprocess.Words()...)
	if r.Data.Scale != 0 {
		words = append(words, "--scale", fmt.Sprint(r.Data.Scale))
	}
	words = append(words, "--mean", fmt.Sprint(r.Data.Mean), "--std", fmt.Sprint(r.Data.Std))
	if m.Aim != report.AimUnseen {
		words = append(words, "--prefer", m.Prefer)
	}
	words = append(words, "--max-target", fmt.Sprint(m.Limits.Target))
	if m.Aim != report.AimUnseen {
		words = append(words, "--max-kl", fmt.Sprint(m.Limits.KL))
	}
	words = append(words, "--budget-l2", fmt.Sprint(m.Limits.L2))
	if m.MaxLoss > 0 {
		words = append(words, "--max-loss", fmt.Sprint(m.MaxLoss))
	}
	if m.Selected {
		for _, name := range m.Trained {
			words = append(words, "--train", name)
		}
	}
	if r.OwnRules {
		words = append(words, "--rules", "FILE")
	}
	if _, ok := r.Files["onnx"]; !ok {
		words = append(words, "--no-onnx")
	}
	words = append(words, p.Reading...)
	words = append(words, cmp.Or(p.Input, "in.pt"), cmp.Or(p.Output, "out.pt"))
	for i, word := range words {
		words[i] = shellWord(word)
	}
	return strings.Join(words, " "), nil
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shellWord writes a word so that a shell takes it for that word alone, on one
// line and without characters that a person does not see.
func shellWord(s string) string {
	switch {
	case plainWord.MatchString(s):
		return s
	case !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' || c == '\'' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}
