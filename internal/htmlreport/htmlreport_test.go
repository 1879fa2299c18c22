package htmlreport

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"lethe/internal/drawing"
	"lethe/report"
	"lethe/verify"
)

// pages are those of a report as forget writes it, the same with an audit and a
// failed check, and the least that a report can hold.
func pages(t testing.TB) map[string]Page {
	t.Helper()
	read := func() *verify.Report {
		b, err := os.ReadFile("../../evidence/testdata/report.json")
		if err != nil {
			t.Fatal(err)
		}
		r := new(verify.Report)
		if err := json.Unmarshal(b, r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	ink := make([]uint8, 28*28)
	for i := range ink {
		ink[i] = uint8(i)
	}
	samples := []Sample{
		{Pixels: ink, Shape: []int{1, 28, 28}, Unseen: true, Label: 1, Before: 1, After: 0},
		{Pixels: ink, Shape: []int{1, 28, 28}, Unseen: true, Label: 1, Before: 1, After: 1},
	}
	audited := read()
	audited.Passed = false
	audited.Checks = []verify.Check{{Name: "gate full", Detail: "target 0.5 is over 0.09"}}
	e := func(v, low, high float64) *verify.Estimate {
		return &verify.Estimate{Value: v, Low: low, High: high, N: 100}
	}
	audited.Audit = &verify.Audit{Measures: []verify.AuditMeasure{
		{Name: "accuracy", Title: "accuracy on the class", Definition: "share of <images>", Before: e(.9, .8, .95), After: e(.1, .05, .2), Retrained: e(0, 0, .01)},
		{Name: "auc", Title: "AUC", Definition: "rank", Before: e(.9, .8, .95), After: e(.6, .5, .7), Retrained: e(.6, .4, .8)},
		{Name: "relearning_steps", Title: "relearning", Definition: "steps", Before: e(0, 0, 0), After: &verify.Estimate{Value: 200, Low: 150, High: 200, AtLeast: true}},
		{Name: "membership", Title: "membership", Definition: "loss", NotMeasured: "there are 3 pairs"},
	}}
	least := &verify.Report{Schema: verify.ReportSchema, Tool: report.Tool{Name: "ptcheck", Version: "devel"}, Comparison: &verify.Comparison{}}
	network := &drawing.Network{Name: "<b>", Parameters: 168, Layers: []drawing.Layer{{Name: "in"},
		{Name: "block1.0", Operators: []string{"Conv"}, Output: "N × 6", Parameters: 150, Weights: []string{"block1.0.weight"}, Inputs: []int{0}}}}
	return map[string]Page{"forget": {Report: read(), Samples: samples, Network: network}, "audit": {Report: audited, Samples: samples}, "least": {Report: least}}
}

func render(t testing.TB, p Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	all := pages(t)
	for name, want := range map[string][]string{
		"forget": {"<title>Forgetting class 1 – passed</title>", "No audit was run", "taken for class 0", "bit-identical",
			"forget --class 1 --seed 0 --gate none --data DIR --mean 0.286 --std 0.353 --prefer retain --max-target 0.09 --max-kl 0.2 --budget-l2 1.3 in.pt out.pt", `alt="image of class 1"`, "The first 2 unseen images"},
		"audit": {"– failed</title>", "target 0.5 is over 0.09", "in 1 of 2 measures", "gap &#43;0.100, apart", "share of &lt;images&gt;", "≥ 200", "Not measured: there are 3 pairs."},
		"least": {"<title>What was edited – failed</title>", "Nothing was measured"},
	} {
		text := render(t, all[name])
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is not in the page", name, w)
			}
		}
		if again := render(t, all[name]); again != text {
			t.Errorf("%s: two pages of one report differ", name)
		}
		// Nothing that html/template refused to write, and nothing from outside.
		for _, bad := range []string{"ZgotmplZ", "http:", "https:", `="//`, "url(", "@import", "<script", "NaN", "%!"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: %q is in the page", name, bad)
			}
		}
	}
}

// An edit with the aim unseen is told by its own rules.
func TestPageUnseen(t *testing.T) {
	p := pages(t)["forget"]
	const says = "by the rules of a network that never saw the class"
	if text := render(t, p); strings.Contains(text, says) || !strings.Contains(text, "Four measures") || !strings.Contains(text, "the first in the file") {
		t.Error("the page of an edit with the aim uniform speaks of others")
	}
	rules := report.Unseen(report.FashionMNIST, 0.9)
	p.Report.Rules, p.Report.Classes = &rules, []int{0, 1}
	if text := render(t, p); !strings.Contains(text, says) || !strings.Contains(text, "Three measures") || !strings.Contains(text, "the first of each class in the file") {
		t.Error("the page of an edit of two classes with the aim unseen does not say so")
	}
}

// Names come from files and stay text.
func TestPageEscapes(t *testing.T) {
	p := pages(t)["forget"]
	const bad = `<script>alert(1)</script>"'`
	p.Report.Tool.Name, p.Report.Labels, p.Report.NotMeasured, p.Report.Architecture = bad, []string{bad}, []string{bad}, bad
	p.Report.Comparison.Changes[0].Name = bad
	p.Report.Data.Predicted[0].Label, p.Report.Data.Source = bad, report.Source(bad)
	if text := render(t, p); strings.Contains(text, "<script") {
		t.Error("a name became a script")
	}
}

// The page is well-formed: every element is closed, every reference to a part of
// it has its part, every part its own name, and headings have no gaps.
func TestPageWellFormed(t *testing.T) {
	for name, p := range pages(t) {
		d := xml.NewDecoder(strings.NewReader(render(t, p)))
		ids, refs := map[string]bool{}, []string{}
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			start, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			described := false
			for _, a := range start.Attr {
				switch {
				case a.Name.Local == "id" && ids[a.Value]:
					t.Errorf("%s: two parts are called %s", name, a.Value)
				case a.Name.Local == "id":
					ids[a.Value] = true
				case a.Name.Local == "aria-labelledby":
					refs = append(refs, a.Value)
				case a.Name.Local == "href" && strings.HasPrefix(a.Value, "#"):
					refs = append(refs, a.Value[1:])
				}
				described = described || a.Value != "" && (a.Name.Local == "alt" || a.Name.Local == "aria-label" || a.Name.Local == "aria-hidden")
			}
			if (start.Name.Local == "img" || start.Name.Local == "svg") && !described {
				t.Errorf("%s: a picture without words: %v", name, start.Attr)
			}
		}
		for _, ref := range refs {
			if !ids[ref] {
				t.Errorf("%s: there is no part %q", name, ref)
			}
		}
	}
}

func TestPlace(t *testing.T) {
	l := report.Rule{Full: 0.09, None: 0.30, Hard: 0.5}
	more := report.Rule{Full: 0.90, None: 0.87, Hard: 0.75}
	for _, c := range []struct {
		x, best, worst float64
		l              report.Rule
		want           float64
	}{
		{0, 0, 1, l, 0}, {-1, 0, 1, l, 0}, {0.09, 0, 1, l, 120}, {0.045, 0, 1, l, 60}, {0.3, 0, 1, l, 195}, {0.5, 0, 1, l, 255}, {1, 0, 1, l, 300}, {2, 0, 1, l, 300},
		{1, 1, 0, more, 0}, {0.95, 1, 0, more, 60}, {0.9, 1, 0, more, 120}, {0.75, 1, 0, more, 255}, {0, 1, 0, more, 300},
	} {
		if got := place(c.x, c.best, c.worst, c.l); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%v: got %v, want %v", c.x, got, c.want)
		}
	}
}

// The command on the page has the flags that say how the input was read, and
// whatever a shell could take for its own is quoted.
func TestCommand(t *testing.T) {
	p := pages(t)["forget"]
	p.Input, p.Output, p.Reading = "a b.pt", "c\n'.pt", []string{"--key", "ema/$x", "--inert"}
	got := command(p)
	if !strings.HasSuffix(got, ` --key 'ema/$x' --inert 'a b.pt' $'c\012\047.pt'`) {
		t.Errorf("got %s", got)
	}
	for _, flag := range []string{"--class 1 ", "--seed 0 ", "--gate ", "--mean ", "--std ", "--prefer ", "--max-target ", "--max-kl ", "--budget-l2 "} {
		if !strings.Contains(got, " "+flag) {
			t.Errorf("no %sin %s", flag, got)
		}
	}
	p.Report.Data.Source = report.SourceForgetOnly
	if got := command(p); !strings.Contains(got, " --forget-only DIR ") {
		t.Errorf("no --forget-only in %s", got)
	}
	p.Report.Data.Source = "images of --data and of a library" // a sentence of somebody
	if got := command(p); strings.Contains(got, "DIR") {
		t.Errorf("a flag was read out of a sentence: %s", got)
	}
	if got := command(Page{Report: pages(t)["least"].Report}); got != "" {
		t.Errorf("a report without an edit: got %q", got)
	}
}

// Of many classes the page shows the forgotten one and those that its images go to.
func TestPageOfManyClasses(t *testing.T) {
	const classes, forgotten = 100, 42
	p := pages(t)["forget"]
	r := p.Report
	r.Classes, r.Labels = []int{forgotten}, []string{"class 42"}
	d := r.Data
	d.TestBefore, d.TestAfter = nil, nil
	d.Predicted = nil
	confusion := func(to func(label int) int) [][]int {
		m := make([][]int, classes)
		for label := range m {
			m[label] = make([]int, classes)
			m[label][to(label)] = 5
		}
		return m
	}
	before := confusion(func(label int) int { return label })
	after := confusion(func(label int) int {
		if label == forgotten {
			return 77
		}
		return label
	})
	d.TrainBefore.Confusion, d.TrainAfter.Confusion = before, after
	for c := range classes {
		shares := verify.Predicted{Class: c}
		switch c {
		case forgotten:
			shares.Before = 1
		case 77:
			shares.After = 1
		}
		d.Predicted = append(d.Predicted, shares)
	}
	text := render(t, p)
	for _, want := range []string{"any of the other 98 classes", "80 classes are left out", "5 of 5 images of class 42 taken for class 77", "5 of 5 images of class 77 taken for class 77"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if n := strings.Count(text, `class="matrix"`); n != 2 || strings.Count(text, "images of class 99 taken") != 0 {
		t.Errorf("%d matrices; a class that no image goes to is in them", n)
	}
}
