// Package verify judges an edit: what changed between two state dicts, whether
// the invariants of an edit hold, what the edited network still knows, and
// whether an ONNX file computes the same as the weights that it was made from.
//
// It shares no code with package edit: it looks at results alone.
package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/model"
)

// Check is one invariant and whether it holds.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what was found, if it does not hold
}

// Change is what happened to one entry of a state dict.
type Change struct {
	Name   string  `json:"name"`
	Role   string  `json:"role"` // "parameter", "last layer", "buffer", or "other" if the graph does not use it
	DType  string  `json:"dtype"`
	Shape  []int   `json:"shape"`
	L2     float64 `json:"l2"`      // Euclidean norm of the difference
	Max    float64 `json:"max_abs"` // largest absolute difference
	Before string  `json:"sha256_before"`
	After  string  `json:"sha256_after"`
}

// Changed tells whether any bit differs.
func (c *Change) Changed() bool { return c.Before != c.After }

// Comparison is what differs between a network before and after an edit.
type Comparison struct {
	Checks  []Check  `json:"checks"`
	Changes []Change `json:"changes"` // in the order of the state dict before
	L2      float64  `json:"l2"`      // over the parameters of the graph, buffers not counted
}

// moved says by how much, where a number can say it.
func (c *Change) moved() string {
	if c.Max == 0 {
		return "changed"
	}
	return fmt.Sprintf("moved by up to %.3g", c.Max)
}

// The names of the invariants.
const (
	SameNames     = "same names"
	SameShapes    = "same shapes"
	SameDTypes    = "same dtypes"
	SameLastLayer = "last layer bit-identical"
	SameBuffers   = "buffers bit-identical"
	SameOthers    = "other entries bit-identical"
	AllFinite     = "all weights finite"
)

// Compare compares two state dicts and applies the invariants of an edit: the
// same names in the same order, shapes and dtypes; the last layer, the buffers
// (running statistics) and whatever the graph does not use bit-identical; and no
// weight that is NaN or infinite. g is the graph of both. A broken invariant is
// not an error here: see [Comparison.Err].
func Compare(g *model.Graph, before, after *model.StateDict) (*Comparison, error) {
	last, err := g.LastLayer()
	if err != nil {
		return nil, err
	}
	c := &Comparison{}
	check := func(name string, broken []string) {
		c.Checks = append(c.Checks, Check{Name: name, OK: len(broken) == 0, Detail: list(broken)})
	}
	check(SameNames, names(before, after))
	params, buffers := g.Parameters(), g.Buffers()
	var shapes, dtypes, lasts, bufs, others, infinite []string
	sum := 0.0
	for name, b := range before.All() {
		a := after.Get(name)
		if a == nil {
			continue
		}
		if !slices.Equal(a.Shape(), b.Shape()) {
			shapes = append(shapes, fmt.Sprintf("%s is %v, was %v", name, a.Shape(), b.Shape()))
			continue
		}
		if a.DType() != b.DType() {
			dtypes = append(dtypes, fmt.Sprintf("%s is %v, was %v", name, a.DType(), b.DType()))
			continue
		}
		ch := Change{Name: name, Role: "other", DType: b.DType().String(), Shape: b.Shape()}
		broken := &others
		switch {
		case slices.Contains(last, name):
			ch.Role, broken = "last layer", &lasts
		case slices.Contains(buffers, name):
			ch.Role, broken = "buffer", &bufs
		case slices.Contains(params, name):
			ch.Role, broken = "parameter", nil
		}
		squares, finite, err := ch.measure(b, a)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		if !finite {
			infinite = append(infinite, name)
		}
		if broken != nil && ch.Changed() {
			*broken = append(*broken, name+" "+ch.moved())
		}
		if slices.Contains(params, name) {
			sum += squares
		}
		c.Changes = append(c.Changes, ch)
	}
	c.L2 = math.Sqrt(sum)
	check(SameShapes, shapes)
	check(SameDTypes, dtypes)
	check(SameLastLayer, lasts)
	check(SameBuffers, bufs)
	check(SameOthers, others)
	check(AllFinite, infinite)
	return c, nil
}

// names lists how the names of two state dicts differ.
func names(before, after *model.StateDict) []string {
	var diff []string
	for name := range before.All() {
		if after.Get(name) == nil {
			diff = append(diff, name+" is missing")
		}
	}
	for name := range after.All() {
		if before.Get(name) == nil {
			diff = append(diff, name+" is new")
		}
	}
	if len(diff) == 0 && !slices.Equal(before.Names(), after.Names()) {
		diff = append(diff, "the order differs")
	}
	return diff
}

// list joins what is wrong, in a form that stays short.
func list(broken []string) string {
	const most = 4
	if n := len(broken); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(broken[:most], ", "), n-most)
	}
	return strings.Join(broken, ", ")
}

// measure fills in the differences and digests of a change, and returns the sum
// of the squared differences. Numbers that are not real have no L2: they count
// as 0 apart.
func (c *Change) measure(before, after *model.Tensor) (squares float64, finite bool, err error) {
	x, err := before.Bytes()
	if err != nil {
		return 0, false, err
	}
	y, err := after.Bytes()
	if err != nil {
		return 0, false, err
	}
	c.Before, c.After = digest(x), digest(y)
	if !before.DType().IsFloat() {
		return 0, true, nil
	}
	p, err := after.Float32s()
	if err != nil {
		return 0, false, err
	}
	finite = true
	for _, v := range p {
		finite = finite && !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0)
	}
	if bytes.Equal(x, y) {
		return 0, finite, nil
	}
	q, err := before.Float32s()
	if err != nil {
		return 0, false, err
	}
	for i := range p {
		d := math.Abs(float64(p[i]) - float64(q[i]))
		squares += float64(d * d)
		c.Max = math.Max(c.Max, d)
	}
	c.L2 = math.Sqrt(squares)
	return squares, finite, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
