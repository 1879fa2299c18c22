package ops

import (
	"slices"
	"strings"

	"lethe/graph"
)

// stringnormalizerOp changes the case of strings and removes some of them.
var stringnormalizerOp = &Operator{
	Name: "StringNormalizer", Since: 10,
	inputs: []input{data("X", texts)},
	attrs: []attr{stringAttr("case_change_action", "NONE", "LOWER", "UPPER"), intAttr("is_case_sensitive", 0),
		noDefault("locale", graph.StringAttr), noDefault("stopwords", graph.StringsAttr)},
	infer: func(f *inference) {
		if x := f.input(0).shape; len(x) == 1 || len(x) == 2 {
			shape := slices.Clone(x)
			shape[len(x)-1] = f.unknown(0, len(x)-1)
			f.set(0, f.input(0).dtype, shape)
			return
		}
		f.set(0, f.input(0).dtype, nil)
	},
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) != 1 && (len(x.shape) != 2 || x.shape[0] != 1) {
			c.fail("the strings have shape %v, not [n] or [1 n]", x.shape)
		}
		fold := func(s string) string {
			if c.flag("is_case_sensitive") {
				return s
			}
			return strings.ToLower(s)
		}
		stop := map[string]bool{}
		for _, s := range c.attr("stopwords").Strings() {
			stop[fold(s)] = true
		}
		var kept []string
		for _, s := range x.data.(vec[string]) {
			if stop[fold(s)] {
				continue
			}
			switch c.text("case_change_action") {
			case "LOWER":
				s = strings.ToLower(s)
			case "UPPER":
				s = strings.ToUpper(s)
			}
			kept = append(kept, s)
		}
		if len(kept) == 0 {
			kept = []string{""}
		}
		shape := slices.Clone(x.shape)
		shape[len(shape)-1] = len(kept)
		c.set(0, Strings(shape, kept))
	},
}
