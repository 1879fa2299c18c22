package evidence

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"lethe/internal/strictjson"
)

// mutant is a JSON text that differs in one place.
type mutant struct {
	path string
	text []byte
}

// mutants returns a text for every value in it that is another one, by a little
// if it is a fraction, for every member that is missing, for every object with
// one more, and for every list with one entry more or less.
func mutants(text []byte) []mutant {
	tree, err := strictjson.Parse(text)
	if err != nil {
		panic(err)
	}
	var all []mutant
	add := func(path string) {
		b, err := appendCanonical(nil, tree)
		if err != nil {
			panic(err)
		}
		all = append(all, mutant{path, b})
	}
	var walk func(path string, v any, set func(any))
	walk = func(path string, v any, set func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				at, old := join(path, name), v[name]
				walk(at, old, func(x any) { v[name] = x })
				delete(v, name)
				add(at + " missing")
				v[name] = old
			}
			v["mutant"] = json.Number("1")
			add(path + " with a member more")
			delete(v, "mutant")
		case []any:
			for i := range v {
				if i > 0 && i < len(v)-1 && len(v) > 4 {
					continue // of one kind with its neighbours
				}
				walk(fmt.Sprintf("%s[%d]", path, i), v[i], func(x any) { v[i] = x })
			}
			set(append(slices.Clone(v), json.Number("1")))
			add(path + " with one more")
			if len(v) > 0 {
				set(v[1:])
				add(path + " with one less")
			}
			set(v)
		case string:
			other := "x" + v
			if v != "" {
				// Of the same length, so that no length gives it away.
				b := []byte(v)
				b[len(b)/2] ^= 1
				other = string(b)
			}
			set(other)
			add(path)
			set(v)
		case json.Number:
			x, err := v.Float64()
			if err != nil {
				panic(err)
			}
			set(json.Number(fmt.Sprint(x + 1)))
			if x != float64(int64(x)) {
				set(json.Number(fmt.Sprint(x * (1 + 1e-9))))
			}
			add(path)
			set(v)
		case bool:
			set(!v)
			add(path)
			set(v)
		case nil:
			set("x")
			add(path)
			set(nil)
		}
	}
	walk("", tree, func(any) {})
	return all
}
