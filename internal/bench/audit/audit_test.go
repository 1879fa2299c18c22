package main

import (
	"strings"
	"testing"
)

// The table that is printed is the one that is drawn; headings are passed over.
func TestPicture(t *testing.T) {
	points, err := readTable(strings.NewReader(`| edit | apart | accuracy on the class | others | worst of the others | relearning | worst of relearning | distance | seconds |
|---|---|---|---|---|---|---|---|---|
| forget --aim unseen | 8 of 50 | 0.000 | +0.0116 | +0.0047 | 0.76 | 0.42 | 5.6 | 51 |
| a <b> | 1 of 50 | 0.000 | -0.0116 | +0.0047 | 0.10 | 0.42 | 2.5 | 51 |
`))
	if err != nil || len(points) != 2 || points[0] != (point{"forget --aim unseen", 0.0116, 0.76, 5.6}) {
		t.Fatalf("got %+v, %v", points, err)
	}
	svg := picture(points)
	if strings.Count(svg, "<circle") != 4 || strings.Contains(svg, "<b>") || !strings.Contains(svg, "a &lt;b&gt;") {
		t.Errorf("got %s", svg)
	}
}

// Losing the class comes first, and then the others.
func TestBetter(t *testing.T) {
	for _, c := range []struct {
		target, remain, thanTarget, thanRemain float64
		want                                   bool
	}{
		{0.3, 0.5, 2, 0, true},
		{0.005, 0.8, 0.3, 0.9, true},
		{0.3, 0.9, 0.005, 0.8, false},
		{0.009, 0.9, 0, 0.8, true},
		{0, 0.8, 0.009, 0.9, false},
	} {
		if got := better(c.target, c.remain, c.thanTarget, c.thanRemain); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}
