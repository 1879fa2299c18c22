package exported

import (
	"fmt"
	"strconv"
)

// outputNames returns a name for each of n outputs, after the structure of
// tuples, lists and dictionaries that the network returns them in: "output" for
// a single tensor, "output_0" and on in a tuple, "pair.0" for an element of a
// tuple under the key "pair" of a dictionary. If the structure is not
// understood, the outputs are numbered.
func outputNames(spec string, n int) []string {
	names := make([]string, 0, n)
	ok := false
	if pair, _ := decodeJSON(spec).([]any); len(pair) == 2 {
		names, ok = leafNames(pair[1], "", names, n, 0)
	}
	seen := map[string]bool{}
	for _, name := range names {
		ok = ok && !seen[name]
		seen[name] = true
	}
	if ok && len(names) == n {
		return names
	}
	names = names[:0]
	for i := range n {
		names = append(names, "output_"+strconv.Itoa(i))
	}
	if n == 1 {
		names[0] = "output"
	}
	return names
}

func leafNames(v any, prefix string, names []string, most, depth int) ([]string, bool) {
	m, ok := v.(map[string]any)
	if !ok || depth > depthMax || len(names) > most {
		return names, false
	}
	children, _ := m["children_spec"].([]any)
	kind, _ := m["type"].(string)
	if m["type"] == nil {
		if prefix == "" {
			prefix = "output"
		}
		return append(names, prefix), len(children) == 0
	}
	var keys []string
	if context, isText := m["context"].(string); isText {
		switch c := decodeJSON(context).(type) {
		case []any:
			keys = texts(c)
		case map[string]any: // of dataclasses and named tuples: the names of fields
			for _, key := range []string{"field_names", "flattened_names"} {
				if list, ok := c[key].([]any); ok {
					keys = texts(list)
				}
			}
		}
	}
	for i, child := range children {
		key := strconv.Itoa(i)
		named := kind != "builtins.tuple" && kind != "builtins.list" && len(keys) == len(children)
		if named {
			key = keys[i]
		}
		path := key
		switch {
		case prefix != "":
			path = prefix + "." + key
		case !named:
			path = "output_" + key
		}
		var ok bool
		if names, ok = leafNames(child, path, names, most, depth+1); !ok {
			return names, false
		}
	}
	return names, true
}

func texts(list []any) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = fmt.Sprint(x)
	}
	return out
}
