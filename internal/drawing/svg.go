package drawing

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
)

//go:embed style.css
var style string

// Options say what a picture shows beside the structure.
type Options struct {
	// Limit is how many boxes there are at most, beside the inputs; 0 means 48.
	Limit int

	// Changes are distances by which entries of the state dict moved (L2), by
	// their names. If it is not nil, every layer shows its own, and the stronger
	// its colour, the larger its part.
	Changes map[string]float64

	InPage bool // the picture is a part of an HTML page, which names no namespace
}

// SVG writes a picture of the network that needs nothing else. It follows the colours of the
// screen, light or dark. The same network gives the same bytes.
func (n *Network) SVG(w io.Writer, opts Options) error {
	limit := opts.Limit
	if limit == 0 {
		limit = 48
	}
	var l *layout
	for ok := false; !ok; limit /= 2 { // with one box at last, there is no arrow
		n = n.Fold(max(limit, 1))
		l, ok = place(n.Layers)
		if !ok && limit <= 1 {
			n = &Network{Name: n.Name, Parameters: n.Parameters}
		}
	}
	var b strings.Builder
	namespace := ` xmlns="http://www.w3.org/2000/svg"`
	if opts.InPage {
		namespace = ""
	}
	fmt.Fprintf(&b, `<svg%s class="net" width="%s" height="%s" viewBox="0 0 %[2]s %[3]s" role="img" aria-label="%s">`,
		namespace, px(l.wide), px(l.high), text(n.Summary()))
	fmt.Fprintf(&b, "\n<style>%s</style>\n", style)
	for _, row := range l.rows {
		for _, i := range row {
			if i.layer >= 0 {
				arrows(&b, i)
			}
		}
	}
	heat := newHeat(n, opts.Changes)
	for i := range n.Layers {
		n.Layers[i].box(&b, l.boxes[i], heat)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Summary says how large the network is.
func (n *Network) Summary() string {
	name := n.Name
	if name == "" {
		name = "network"
	}
	layers, unit := 0, "layers"
	for _, l := range n.Layers {
		if len(l.Operators) > 0 {
			layers += max(l.Holds, 1)
		}
	}
	if layers == 1 {
		unit = "layer"
	}
	return fmt.Sprintf("%s: %d %s, %s parameters", name, layers, unit, thousands(n.Parameters))
}

// arrows draws the arrows that leave a box.
func arrows(b *strings.Builder, from *item) {
	for _, to := range from.down {
		x, at := from.x, y(from.row)+boxHigh
		fmt.Fprintf(b, `<path class="arrow" d="M%s %s`, px(x), px(at))
		for {
			top := y(to.row)
			if math.Abs(to.x-x) < .05 {
				fmt.Fprintf(b, "V%s", px(top))
			} else {
				mid := (at + top) / 2
				fmt.Fprintf(b, "C%s %s %s %[2]s %[3]s %[4]s", px(x), px(mid), px(to.x), px(top))
			}
			x, at = to.x, top
			if to.layer >= 0 {
				break
			}
			at += boxHigh
			fmt.Fprintf(b, "V%s", px(at))
			to = to.down[0]
		}
		fmt.Fprintf(b, `"/><path class="tip" d="M%s %sl-4-7h8z"/>`+"\n", px(x), px(at))
	}
}

// heat says how strong the colour of a layer is.
type heat struct {
	changes map[string]float64
	most    float64
}

func newHeat(n *Network, changes map[string]float64) *heat {
	if changes == nil {
		return nil
	}
	h := &heat{changes: changes}
	for i := range n.Layers {
		h.most = max(h.most, h.of(&n.Layers[i]))
	}
	return h
}

// of returns by how much the weights of a layer moved.
func (h *heat) of(l *Layer) float64 {
	sum := 0.0
	for _, name := range l.Weights {
		sum += h.changes[name] * h.changes[name]
	}
	return math.Sqrt(sum)
}

// box draws a layer.
func (l *Layer) box(b *strings.Builder, at *item, h *heat) {
	class, fill, moved := "plain", "", 0.0
	switch {
	case len(l.Operators) == 0:
		class = "input"
	case l.Parameters > 0:
		class = "learned"
	}
	size := ""
	if l.Parameters > 0 {
		size = thousands(l.Parameters)
	}
	if h != nil {
		if moved = h.of(l); moved > 0 {
			class = "moved"
			fill = fmt.Sprintf(` style="--h:%s%%"`, px(15+60*moved/h.most))
			size = "L2 " + strconv.FormatFloat(moved, 'g', 3, 64)
		} else if l.Parameters > 0 {
			class, size = "plain", "same"
		}
	}
	x, top := at.x-boxWide/2, y(at.row)
	fmt.Fprintf(b, `<g class="%s"%s><title>%s</title><rect x="%s" y="%s" width="%s" height="%s" rx="6"/>`,
		class, fill, text(l.title(moved)), px(x), px(top), px(boxWide), px(boxHigh))
	line := func(class string, x float64, line int, s string) {
		if s != "" {
			fmt.Fprintf(b, `<text class="%s" x="%s" y="%s">%s</text>`, class, px(x), px(top+2+17*float64(line)), text(s))
		}
	}
	line("name", x+9, 1, end(l.Name, 27))
	line("what", x+9, 2, begin(l.What(), 33))
	line("shape", x+9, 3, begin(l.Output, 32-len(size)))
	line("size", x+boxWide-9, 3, size)
	b.WriteString("</g>\n")
}

// What says what a layer does, in a few words.
func (l *Layer) What() string {
	switch {
	case l.Holds > 1:
		return fmt.Sprintf("%d layers", l.Holds)
	case len(l.Operators) == 0:
		return "input"
	}
	return operators(l.Operators)
}

// operators lists operators in the order in which they run, each once.
func operators(all []string) string {
	var list []string
	seen := map[string]bool{}
	for _, op := range all {
		if !seen[op] {
			seen[op] = true
			list = append(list, op)
		}
	}
	return strings.Join(list, " + ")
}

// title is what a pointer over a box shows.
func (l *Layer) title(moved float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s", l.Name, operators(l.Operators))
	if len(l.Operators) == 0 {
		b.WriteString("input")
	}
	if l.Output != "" {
		fmt.Fprintf(&b, "\noutput %s", l.Output)
	}
	if l.Parameters > 0 {
		fmt.Fprintf(&b, "\n%s parameters", thousands(l.Parameters))
	}
	if moved > 0 {
		fmt.Fprintf(&b, "\nmoved by %.4g (L2)", moved)
	}
	return b.String()
}

// px writes a length with one digit behind the point at most.
func px(x float64) string { return strconv.FormatFloat(math.Round(10*x)/10, 'f', -1, 64) }

// thousands writes a number with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// end keeps the end of a name, begin the beginning, where there is not enough
// room.
func end(s string, room int) string {
	if r := []rune(s); len(r) > room {
		return "…" + string(r[len(r)-max(room-1, 0):])
	}
	return s
}

func begin(s string, room int) string {
	if r := []rune(s); len(r) > room {
		return string(r[:max(room-1, 0)]) + "…"
	}
	return s
}

// text makes a name from a file fit for a page: nothing in it is markup, and
// characters that nobody sees are written as escapes.
func text(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) || r == '\n' {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return html.EscapeString(b.String())
}
