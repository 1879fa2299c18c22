// Package htmlreport shows a report to people: one page that needs nothing else,
// no script, no font, no picture from elsewhere, so that it reads the same in ten
// years, without a network and on paper.
package htmlreport

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	"lethe/internal/drawing"
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
	Went     []destination
	Nowhere  int // classes that no image is taken for, and that are not shown
	Samples  []picture
	Unseen   bool // the samples are
	Matrices []matrix
	Hidden   int // classes that the matrices leave out
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
	v := &view{Report: r, Class: strings.Join(r.Labels, ", "), Command: command(p)}
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
		var err error
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
	v.course()
	return v, nil
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
