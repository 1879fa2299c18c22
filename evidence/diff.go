package evidence

import (
	"encoding/json"
	"fmt"
)

// mostDifferences bounds how many differences are told; one is enough to refuse.
const mostDifferences = 10

// differences compares two values of [strictjson.Parse] and returns where what is claimed
// is not what was found, at most [mostDifferences].
func differences(claimed, found any) []string {
	var d comparison
	d.compare("", claimed, found)
	return d.list
}

type comparison struct{ list []string }

func (d *comparison) add(path, format string, args ...any) {
	if path == "" {
		path = "the whole"
	}
	if len(d.list) < mostDifferences {
		d.list = append(d.list, path+" "+fmt.Sprintf(format, args...))
	}
}

func (d *comparison) compare(path string, claimed, found any) {
	switch c := claimed.(type) {
	case map[string]any:
		if f, ok := found.(map[string]any); ok {
			for _, name := range sortedNames(c) {
				at := join(path, name)
				if _, ok := f[name]; !ok {
					d.add(at, "is claimed and nothing such was found")
					continue
				}
				d.compare(at, c[name], f[name])
			}
			for _, name := range sortedNames(f) {
				if _, ok := c[name]; !ok {
					d.add(join(path, name), "is %s and is not claimed", shortened(f[name]))
				}
			}
			return
		}
	case []any:
		if f, ok := found.([]any); ok {
			if len(c) != len(f) {
				d.add(path, "has %d entries, found %d", len(c), len(f))
				return
			}
			for i := range c {
				d.compare(fmt.Sprintf("%s[%d]", path, i), c[i], f[i])
			}
			return
		}
	case json.Number:
		// 1 and 1.0 are one number.
		if f, ok := found.(json.Number); ok {
			x, err1 := appendNumber(nil, c)
			y, err2 := appendNumber(nil, f)
			if err1 == nil && err2 == nil && string(x) == string(y) {
				return
			}
		}
	default:
		switch found.(type) {
		case map[string]any, []any: // no values to compare
		default:
			if claimed == found {
				return
			}
		}
	}
	d.add(path, "is %s, found %s", shortened(claimed), shortened(found))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// shortened writes a value for a message.
func shortened(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return fmt.Sprintf("an object of %d members", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case string:
		return fmt.Sprintf("%.80q", v)
	}
	return fmt.Sprintf("%.80v", v)
}
