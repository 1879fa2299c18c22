package layers

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// String returns the layer as it stands in a file, in one line.
func (l Layer) String() string {
	o := ops[l.Op]
	var parts []string
	add := func(key, value string) { parts = append(parts, key+": "+value) }
	switch {
	case o.kind == weighted:
		add(l.Op, word(l.Module))
	case o.kind == window, o.kind == target, o.kind == openWindow:
		add(l.Op, spell(l.Size))
	case o.kind == flattening && l.Last:
		add(l.Op, "channels_last")
	case l.HasNumber():
		add(l.Op, strconv.FormatFloat(l.Number, 'g', -1, 64))
	default:
		return l.Op
	}
	usual := [2]int{1, 1}
	if o.kind == window || o.kind == openWindow {
		usual = l.Size
	}
	if l.Stride != usual && l.Stride != [2]int{} && o.kind != target {
		add("stride", spell(l.Stride))
	}
	if l.Padding != [2]int{} {
		add("padding", spell(l.Padding))
	}
	if l.Dilation != [2]int{1, 1} && l.Dilation != [2]int{} {
		add("dilation", spell(l.Dilation))
	}
	if l.Ceil {
		add("ceil", "true")
	}
	if l.Op == "batch_norm" && l.Number != o.number {
		add("epsilon", strconv.FormatFloat(l.Number, 'g', -1, 64))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// spell writes two sizes.
func spell(p [2]int) string {
	if p[0] == p[1] {
		return strconv.Itoa(p[0])
	}
	return fmt.Sprintf("[%d, %d]", p[0], p[1])
}

// word quotes a path unless it is a plain word of YAML.
func word(s string) string {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r != '.' && (r < '0' || r > '9')) {
			return strconv.Quote(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	return s
}

// alternative writes a list of layers in one line.
func alternative(a []Layer) string {
	if len(a) == 1 {
		return a[0].String()
	}
	return inList(a)
}

// Text writes layers in one line.
func Text(list []Layer) string { return strings.Trim(inList(list), "[]") }

// inList writes layers as a list in one line.
func inList(a []Layer) string {
	words := make([]string, len(a))
	for i, l := range a {
		words[i] = l.String()
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// Encode writes the description in YAML, with a comment at every choice that is
// open, and the given ones, of one line each, at its head.
func (n *Net) Encode(w io.Writer, comments ...string) error {
	var b strings.Builder
	for _, c := range comments {
		fmt.Fprintf(&b, "# %s\n", c)
	}
	switch len(n.Input) {
	case 0:
	case 1:
		fmt.Fprintf(&b, "input: %d\n", n.Input[0])
	default:
		fmt.Fprintf(&b, "input: %s\n", strings.Join(strings.Fields(fmt.Sprint(n.Input)), ", "))
	}
	mark := func(count int) string {
		if count > 1 {
			return " # open: leave one"
		}
		return ""
	}
	if len(n.Activations) > 0 {
		fmt.Fprintf(&b, "activation: %s%s\n", inList(n.Activations), mark(len(n.Activations)))
	}
	if len(n.Poolings) > 0 {
		fmt.Fprintf(&b, "pooling: [%s]%s\n", strings.Join(n.Poolings, ", "), mark(len(n.Poolings)))
	}
	b.WriteString("layers:\n")
	for _, s := range n.Slots {
		if len(s.Alternatives) == 1 {
			for _, l := range s.Alternatives[0] {
				text := l.String()
				fmt.Fprintf(&b, "  - %s\n", text)
			}
			continue
		}
		b.WriteString("  - one_of: # open: leave one\n")
		for _, a := range s.Alternatives {
			fmt.Fprintf(&b, "      - %s\n", alternative(a))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
