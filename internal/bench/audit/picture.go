package main

import (
	"bufio"
	"cmp"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// point is an edit in the picture.
type point struct {
	name                         string
	others, relearning, distance float64
}

// readTable reads the table of edits that [run] prints; other lines are passed over.
func readTable(r io.Reader) ([]point, error) {
	var points []point
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		cells := strings.Split(strings.Trim(lines.Text(), "| "), "|")
		if len(cells) != 9 {
			continue
		}
		var v [9]float64
		var err error
		for _, i := range []int{3, 5, 7} {
			if v[i], err = strconv.ParseFloat(strings.TrimSpace(cells[i]), 64); err != nil {
				break // a heading
			}
		}
		if err == nil {
			points = append(points, point{strings.TrimSpace(cells[0]), v[3], v[5], v[7]})
		}
	}
	return points, lines.Err()
}

// picture draws the points twice: what the others gain, and the distance, over the
// steps of relearning as a share of those of retrained networks.
func picture(points []point) string {
	const width, height, left, top = 420, 300, 60, 30
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", 2*(width+left)+20, height+top+50)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	panels := []struct {
		title string
		of    func(p point) float64
	}{
		{"accuracy on the others, unseen images, change in points", func(p point) float64 { return 100 * p.others }},
		{"distance of the parameters", func(p point) float64 { return p.distance }},
	}
	for n, panel := range panels {
		x0 := left + n*(width+left)
		low, high := 0.0, 0.0
		for _, p := range points {
			low, high = min(low, panel.of(p)), max(high, panel.of(p))
		}
		margin := 0.08 * max(high-low, 1e-9)
		low, high = low-margin, high+margin
		at := func(v float64) float64 { return top + (high-v)/(high-low)*height }
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="13">%s</text>`+"\n", x0, top-12, panel.title)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#999"/>`+"\n", x0, top, width, height)
		fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#ccc"/>`+"\n", x0, at(0), width)
		for i := range 5 {
			v := low + margin + float64(i)/4*(high-low-2*margin)
			fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%.1f</text>`+"\n", x0-5, at(v)+4, v)
		}
		for _, share := range []float64{0.03, 0.1, 0.3, 1, 3} {
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", float64(x0)+across(share)*width, top+height+15, share)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">steps until the class is back, as a share of those of a retrained network</text>`+"\n", x0+width/2, top+height+33)
		points = slices.SortedFunc(slices.Values(points), func(a, b point) int { return cmp.Compare(panel.of(b), panel.of(a)) })
		below := map[string]float64{} // where the last name is, on each side
		for _, p := range points {
			x, y := float64(x0)+across(p.relearning)*width, at(panel.of(p))
			colour, anchor, dx := "#777", "start", 7.0
			if strings.Contains(p.name, "forget") {
				colour = "#c33"
			}
			if p.relearning > 0.5 {
				anchor, dx = "end", -7
			}
			below[anchor] = max(y+4, below[anchor]+12)
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/><text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n",
				x, y, colour, x+dx, below[anchor], anchor, html.EscapeString(strings.Trim(p.name, "`")))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// across returns where a share of the steps lies on an axis from 0 to 1, which is
// logarithmic from 0.02 to 5.
func across(share float64) float64 {
	return math.Log(min(max(share, 0.02), 5)/0.02) / math.Log(5/0.02)
}
