package layers

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lethe/model"
)

// Limits of a description.
const (
	bytesMax        = 1 << 20
	layersMax       = 2000
	alternativesMax = 64
	sizeMax         = 1 << 14
)

// Parse reads a description in YAML; docs/schema/layers-v1.json is its schema.
// An error says the line. Unknown keys, anchors and aliases are refused.
func Parse(r io.Reader) (*Net, error) {
	b, err := io.ReadAll(io.LimitReader(r, bytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(b) > bytesMax {
		return nil, &model.LimitError{What: "size of the description of layers in bytes", Got: uint64(len(b)), Limit: bytesMax}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, broken(nil, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, broken(nil, "it is empty; it needs layers")
	}
	n := &Net{}
	return n, n.parse(doc.Content[0])
}

// broken is the error of a node.
func broken(at *yaml.Node, format string, args ...any) error {
	where := ""
	if at != nil {
		where = fmt.Sprintf("line %d: ", at.Line)
	}
	return &model.FormatError{Format: "layers", Offset: -1, Reason: where + fmt.Sprintf(format, args...)}
}

// pairs calls f with every key of a mapping, none of which occurs twice.
func pairs(n *yaml.Node, what string, f func(key string, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode || n.Anchor != "" {
		return broken(n, "%s must be a mapping of names to values", what)
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || seen[key.Value] {
			return broken(key, "the key %.100q of %s is not a word or occurs twice", key.Value, what)
		}
		if value.Kind == yaml.AliasNode || value.Anchor != "" {
			return broken(value, "anchors and aliases are not supported")
		}
		seen[key.Value] = true
		if err := f(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}

// list returns the members of a sequence, or the node itself as the only one.
func list(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

func (n *Net) parse(top *yaml.Node) error {
	err := pairs(top, "a description of layers", func(key string, value *yaml.Node) error {
		switch key {
		case "input":
			for _, v := range list(value) {
				size, err := integer(v, "a size of the input", 1, 1<<24)
				if err != nil {
					return err
				}
				n.Input = append(n.Input, size)
			}
			if len(n.Input) != 1 && len(n.Input) != 3 {
				return broken(value, "input must be [channels, height, width] or a number of features")
			}
		case "activation":
			for _, v := range list(value) {
				l, err := parseLayer(v)
				if err != nil {
					return err
				}
				if ops[l.Op].kind != plain {
					return broken(v, "%s is not an activation", l.Op)
				}
				n.Activations = append(n.Activations, l)
			}
		case "pooling":
			for _, v := range list(value) {
				if ops[v.Value].kind != window {
					return broken(v, "pooling must be max_pool, avg_pool or a list of both, not %.50q", v.Value)
				}
				n.Poolings = append(n.Poolings, v.Value)
			}
		case "layers":
			if value.Kind != yaml.SequenceNode {
				return broken(value, "layers must be a list")
			}
			for _, v := range value.Content {
				s, err := parseSlot(v)
				if err != nil {
					return err
				}
				n.Slots = append(n.Slots, s)
			}
		default:
			return broken(value, "unknown key %.100q; there are input, activation, pooling and layers", key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return n.complete(top)
}

// complete checks what only the whole description tells.
func (n *Net) complete(top *yaml.Node) error {
	some := func(s Slot) bool { return len(s.Alternatives) > 1 || len(s.Alternatives[0]) > 0 }
	if !slices.ContainsFunc(n.Slots, some) {
		return broken(top, "it has no layers")
	}
	if len(n.Activations) > alternativesMax || len(n.Poolings) > alternativesMax {
		return broken(top, "more than %d alternatives", alternativesMax)
	}
	count := 0
	for _, s := range n.Slots {
		for _, a := range s.Alternatives {
			count += len(a) + 1
			for _, l := range a {
				if l.Op == "activation" && len(n.Activations) == 0 {
					return broken(&yaml.Node{Line: l.Line}, "the file does not say what activation stands for: add activation: relu at the top")
				}
				if l.Op == "pool" && len(n.Poolings) == 0 {
					return broken(&yaml.Node{Line: l.Line}, "the file does not say what pool stands for: add pooling: max_pool at the top")
				}
			}
		}
	}
	if count > layersMax {
		return &model.LimitError{What: "layers of a description with all alternatives", Got: uint64(count), Limit: layersMax}
	}
	return nil
}

// parseSlot reads a member of the list of layers.
func parseSlot(n *yaml.Node) (Slot, error) {
	s := Slot{Line: n.Line}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || n.Content[0].Value != "one_of" {
		l, err := parseLayer(n)
		s.Alternatives = [][]Layer{{l}}
		return s, err
	}
	err := pairs(n, "one_of", func(key string, value *yaml.Node) error {
		if key != "one_of" || value.Kind != yaml.SequenceNode || len(value.Content) == 0 || len(value.Content) > alternativesMax {
			return broken(value, "one_of must be a list of at most %d alternatives, each a layer or a list of layers, and nothing beside it", alternativesMax)
		}
		for _, v := range value.Content {
			var a []Layer
			for _, m := range list(v) {
				l, err := parseLayer(m)
				if err != nil {
					return err
				}
				a = append(a, l)
			}
			s.Alternatives = append(s.Alternatives, a)
		}
		return nil
	})
	return s, err
}

// parseLayer reads a layer: its name alone, or a mapping that begins with it.
func parseLayer(n *yaml.Node) (Layer, error) {
	name, value := n.Value, (*yaml.Node)(nil)
	if n.Kind == yaml.MappingNode && len(n.Content) > 1 {
		name, value = n.Content[0].Value, n.Content[1]
	}
	o, ok := ops[name]
	if !ok || n.Anchor != "" || n.Kind != yaml.ScalarNode && n.Kind != yaml.MappingNode {
		return Layer{}, broken(n, "unknown layer %.100q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(ops)), ", "))
	}
	l := Of(name, "")
	l.Line = n.Line
	if value == nil {
		switch o.kind {
		case weighted:
			return l, broken(n, "%s needs the path of its weights, such as %s: features.0", name, name)
		case window, target, openWindow:
			return l, broken(n, "%s needs a size, such as %s: 2", name, name)
		}
		return l, nil
	}
	strided := false
	err := pairs(n, name, func(key string, value *yaml.Node) (err error) {
		if key == name {
			return l.parseValue(o, value)
		}
		if !slices.Contains(o.params, key) {
			return broken(value, "%s has no setting %.100q; it has %s", name, key, cmp.Or(strings.Join(o.params, ", "), "none"))
		}
		switch key {
		case "stride":
			strided = true
			l.Stride, err = parsePair(value, key, 1)
		case "padding":
			l.Padding, err = parsePair(value, key, 0)
		case "dilation":
			l.Dilation, err = parsePair(value, key, 1)
		case "epsilon":
			l.Number, err = parseNumber(value, key)
			if err == nil && l.Number < 0 {
				err = broken(value, "epsilon is %g, it must not be negative", l.Number)
			}
		case "ceil":
			if err = value.Decode(&l.Ceil); err != nil || value.Tag != "!!bool" {
				err = broken(value, "ceil must be true or false")
			}
		}
		return err
	})
	if (o.kind == window || o.kind == openWindow) && !strided {
		l.Stride = l.Size
	}
	return l, err
}

// parseValue reads what stands after the name of a layer.
func (l *Layer) parseValue(o op, v *yaml.Node) (err error) {
	empty := v.Kind == yaml.ScalarNode && v.Tag == "!!null"
	switch {
	case o.kind == weighted:
		if v.Kind != yaml.ScalarNode || empty {
			return broken(v, "%s needs the path of its weights, such as %s: features.0", l.Op, l.Op)
		}
		l.Module = v.Value
	case o.kind == window, o.kind == target, o.kind == openWindow:
		l.Size, err = parsePair(v, l.Op, 1)
	case o.kind == flattening:
		if l.Last = v.Value == "channels_last"; !l.Last && !empty && v.Value != "channels_first" {
			err = broken(v, "flatten must be channels_first or channels_last")
		}
	case l.HasNumber():
		l.Number, err = parseNumber(v, l.Op)
	case !empty:
		err = broken(v, "%s takes no value", l.Op)
	}
	return err
}

func parseNumber(v *yaml.Node, what string) (x float64, err error) {
	if v.Kind != yaml.ScalarNode || v.Tag != "!!float" && v.Tag != "!!int" || v.Decode(&x) != nil || math.IsNaN(x) || math.Abs(x) > 1e6 {
		return 0, broken(v, "%s must be a number of at most a million, not %.50q", what, v.Value)
	}
	return x, nil
}

func integer(v *yaml.Node, what string, least, most int) (n int, err error) {
	if v.Kind != yaml.ScalarNode || v.Tag != "!!int" || v.Decode(&n) != nil || n < least || n > most {
		return 0, broken(v, "%s must be an integer from %d to %d, not %.50q", what, least, most, v.Value)
	}
	return n, nil
}

// parsePair reads a size of both axes, or a list of one for each.
func parsePair(v *yaml.Node, what string, least int) (p [2]int, err error) {
	members := list(v)
	if len(members) > 2 || len(members) == 0 {
		return p, broken(v, "%s must be a number or a list of two", what)
	}
	for i := range p {
		if p[i], err = integer(members[min(i, len(members)-1)], what, least, sizeMax); err != nil {
			return p, err
		}
	}
	return p, nil
}
