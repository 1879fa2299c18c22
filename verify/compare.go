// Package verify judges an edit: what changed between two state dicts, whether
// the invariants of an edit hold, what the edited network still knows, and
// whether an ONNX file computes the same as the weights that it was made from.
//
// It shares no code with package edit: it looks at results alone.
package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// Check is one invariant and whether it holds.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what was found, if it does not hold
}

// Change is what happened to one entry of a state dict. Differences are those
// of the values as float32, which is what a network computes in; pairs in which
// a value is NaN or infinite have none and count as 0 apart.
type Change struct {
	Name   string  `json:"name"`
	Role   string  `json:"role"` // "parameter", "last layer", "buffer", or "other" if the graph does not use it
	DType  string  `json:"dtype"`
	Shape  []int   `json:"shape"`
	L2     float64 `json:"l2"`      // Euclidean norm of the difference
	Max    float64 `json:"max_abs"` // largest absolute difference
	Before string  `json:"sha256_before"`
	After  string  `json:"sha256_after"` // both of the little-endian elements in C order
}

// Changed reports whether any bit differs.
func (c *Change) Changed() bool { return c.Before != c.After }

// Comparison is what differs between a network before and after an edit.
type Comparison struct {
	Checks  []Check  `json:"checks"`
	Changes []Change `json:"changes"` // of what both have in one shape and type, in the order before
	L2      float64  `json:"l2"`      // over the parameters in Changes, last layer included, buffers not
	Layers  []Layer  `json:"layers"`  // the same by node of the graph
}

// Layer is what happened to the parameters of one node of the graph.
type Layer struct {
	Name  string  `json:"name"`
	L2    float64 `json:"l2"`
	Share float64 `json:"share"` // of the squared L2 of all parameters; 0 if nothing moved
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

// invariants lists them in the order of a [Comparison].
var invariants = []string{SameNames, SameShapes, SameDTypes, SameLastLayer, SameBuffers, SameOthers, AllFinite}

// keeps says which invariant keeps the entries of a role bit-identical. Only
// parameters may move.
var keeps = map[string]string{"last layer": SameLastLayer, "buffer": SameBuffers, "other": SameOthers}

// Compare compares two state dicts and applies the invariants of an edit: the
// same names in the same order, shapes and dtypes; the last layer, the buffers
// (running statistics) and whatever the graph does not use bit-identical; and no
// weight of the graph that is NaN or infinite as a float32. An entry of these
// that is missing or has another shape or type is not bit-identical either.
//
// g is the graph of both. A broken invariant is not an error here: [Err] makes
// one of it. An error is a graph whose last layer is not a fully connected one
// ([model.UnsupportedError]) or a tensor that cannot be read. Two tensors are
// held in memory at a time.
func Compare(g *graph.Graph, before, after *model.StateDict) (*Comparison, error) {
	roles, err := roles(g)
	if err != nil {
		return nil, err
	}
	again := aliases(before, roles)
	broken := map[string][]string{SameNames: names(before, after)}
	c := &Comparison{}
	sum, squaresOf := 0.0, map[string]float64{}
	for name, b := range before.All() {
		ch := Change{Name: name, Role: "other", DType: b.DType().String(), Shape: append([]int{}, b.Shape()...)}
		if role, ok := roles[name]; ok {
			ch.Role = role
		}
		breaks := func(what string, checks ...string) {
			for _, check := range checks {
				if check != "" {
					broken[check] = append(broken[check], printable(name)+what)
				}
			}
		}
		a := after.Get(name)
		if a == nil {
			breaks(" is missing", keeps[ch.Role])
			continue
		}
		y, err := a.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%q after the edit: %w", name, err)
		}
		if ch.Role != "other" && !finite(a.DType(), y) {
			breaks("", AllFinite)
		}
		fits := true
		if !slices.Equal(a.Shape(), b.Shape()) {
			breaks(fmt.Sprintf(" is %v, was %v", a.Shape(), b.Shape()), SameShapes, keeps[ch.Role])
			fits = false
		}
		if a.DType() != b.DType() {
			breaks(fmt.Sprintf(" is %v, was %v", a.DType(), b.DType()), SameDTypes, keeps[ch.Role])
			fits = false
		}
		if !fits {
			continue
		}
		x, err := b.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%q before the edit: %w", name, err)
		}
		squares := ch.measure(b.DType(), x, y)
		if ch.Changed() {
			breaks(" "+ch.moved(), keeps[ch.Role])
		}
		if (ch.Role == "parameter" || ch.Role == "last layer") && !again[name] {
			sum += squares
			squaresOf[name] = squares
		}
		c.Changes = append(c.Changes, ch)
	}
	c.L2 = math.Sqrt(sum)
	c.Layers = layers(g, squaresOf, sum)
	for _, name := range invariants {
		c.Checks = append(c.Checks, Check{Name: name, OK: len(broken[name]) == 0, Detail: list(broken[name])})
	}
	return c, nil
}

// layers adds up the squared differences of the parameters of every node. One
// that several nodes share belongs to the first.
func layers(g *graph.Graph, squares map[string]float64, total float64) []Layer {
	all, seen := []Layer{}, map[string]bool{}
	params := ops.Parameters(g)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		sum, own := 0.0, 0
		for _, name := range n.Inputs {
			if slices.Contains(params, name) && !seen[name] {
				seen[name] = true
				sum += squares[name]
				own++
			}
		}
		if own == 0 {
			continue
		}
		l := Layer{Name: n.Name, L2: math.Sqrt(sum)}
		if total > 0 {
			l.Share = sum / total
		}
		all = append(all, l)
	}
	return all
}

// roles returns the role of every entry that the graph uses.
func roles(g *graph.Graph) (map[string]string, error) {
	last, err := ops.LastLayer(g)
	if err != nil {
		return nil, err
	}
	roles := map[string]string{}
	for _, name := range ops.Parameters(g) {
		roles[name] = "parameter"
	}
	for _, name := range ops.Buffers(g) {
		roles[name] = "buffer"
	}
	for _, name := range last {
		roles[name] = "last layer"
	}
	return roles, nil
}

// aliases gives other names of what the graph uses its role, and returns them: they
// are the same numbers in the file, so that they change together, and count once.
func aliases(sd *model.StateDict, roles map[string]string) map[string]bool {
	again := map[string]bool{}
	firsts := sd.Aliases()
	for name, first := range firsts {
		if roles[first] == "" && roles[name] != "" { // the graph knows it by a later name
			roles[first], again[first] = roles[name], true
		}
	}
	for name, first := range firsts {
		if role := roles[first]; role != "" && roles[name] == "" {
			roles[name], again[name] = role, true
		}
	}
	return again
}

// names lists how the names of two state dicts differ.
func names(before, after *model.StateDict) []string {
	var diff []string
	for name := range before.All() {
		if after.Get(name) == nil {
			diff = append(diff, printable(name)+" is missing")
		}
	}
	for name := range after.All() {
		if before.Get(name) == nil {
			diff = append(diff, printable(name)+" is new")
		}
	}
	if len(diff) == 0 && !slices.Equal(before.Names(), after.Names()) {
		diff = append(diff, "the order differs")
	}
	return diff
}

// printable returns a name as it is, or quoted if it holds what a terminal could
// take for an order: it comes from a file.
func printable(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

// list joins what is wrong, in a form that stays short.
func list(broken []string) string {
	const most = 4
	if n := len(broken); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(broken[:most], ", "), n-most)
	}
	return strings.Join(broken, ", ")
}

// measure fills in the differences and digests of a change between the elements
// x and y, and returns the sum of the squared differences.
func (c *Change) measure(dtype model.DType, x, y []byte) (squares float64) {
	c.Before, c.After = digest(x), digest(y)
	if !c.Changed() || !dtype.IsFloat() {
		return 0
	}
	for lo, hi := range blocks(dtype, x) {
		p, q := floats(dtype, x[lo:hi]), floats(dtype, y[lo:hi])
		for i := range p {
			if !isFinite(p[i]) || !isFinite(q[i]) {
				continue
			}
			d := math.Abs(float64(p[i]) - float64(q[i]))
			squares += float64(d * d)
			c.Max = math.Max(c.Max, d)
		}
	}
	c.L2 = math.Sqrt(squares)
	return squares
}

// finite reports whether no element is NaN or infinite; only floating-point types
// have such elements that matter to a network.
func finite(dtype model.DType, b []byte) bool {
	if !dtype.IsFloat() {
		return true
	}
	for lo, hi := range blocks(dtype, b) {
		for _, v := range floats(dtype, b[lo:hi]) {
			if !isFinite(v) {
				return false
			}
		}
	}
	return true
}

func isFinite(v float32) bool { return v-v == 0 }

// blocks cuts elements into ranges of bytes that are small beside a tensor, so
// that no second copy of one is made to do arithmetic on it.
func blocks(dtype model.DType, b []byte) iter.Seq2[int, int] {
	size := dtype.Size() << 14
	return func(yield func(lo, hi int) bool) {
		for lo := 0; lo < len(b) && yield(lo, min(lo+size, len(b))); lo += size {
		}
	}
}

// floats converts little-endian elements of a floating-point type. They are in
// memory and of the right type, so it cannot fail.
func floats(dtype model.DType, b []byte) []float32 {
	t, err := model.NewTensor(dtype, []int{len(b) / dtype.Size()}, nil, 0, model.BytesStorage(b))
	if err != nil {
		panic(err)
	}
	v, err := t.Float32s()
	if err != nil {
		panic(err)
	}
	return v
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
