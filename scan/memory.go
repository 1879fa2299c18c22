package scan

import (
	"math"
	"strings"
)

// claims says how many elements a call of g makes because a number says so: those
// of a range, of bytes, of a tensor, storage or array of a shape. It is 0 for
// everything else, and the largest number where it cannot be told.
func (g *global) claims(arg *value) int64 {
	switch {
	case g.module == "builtins" && g.name == "range":
		return rangeLength(arg.items)
	case g.module == "builtins" && (g.name == "bytes" || g.name == "bytearray"), g.itemSize() > 0, g.module == "torch.storage" && strings.HasSuffix(g.name, "TypedStorage"),
		strings.HasPrefix(g.module, "torch") && strings.HasSuffix(g.name, "Tensor"):
	case strings.HasPrefix(g.module, "numpy") && (g.name == "ndarray" || g.name == "matrix" || g.name == "bytes_" || g.name == "_reconstruct" || g.name == "_mareconstruct" || g.name == "MaskedArray"):
	default:
		return 0
	}
	if arg.kind != tuple {
		return math.MaxInt64
	}
	n, found := int64(1), false
	for _, x := range arg.items {
		items := []*value{x}
		switch {
		case x.kind == tuple:
			items = x.items
		case x.kind == list && g.module != "builtins", x.kind == object && x.made != nil && (x.made.module == "builtins" || x.made.name == "Size" || x.made.name == "scalar"):
			return math.MaxInt64
		}
		for _, x := range items {
			size, ok := x.count()
			switch {
			case !ok:
				continue
			case size < 0:
				return 0 // every one of them refuses it
			case size > 0 && n > math.MaxInt64/size:
				n = math.MaxInt64
			default:
				n *= size
			}
			found = true
		}
	}
	if !found {
		return 0
	}
	return n
}

// count returns a whole number, the largest for one that is not known; ok is false
// for what is none.
func (v *value) count() (n int64, ok bool) {
	n, ok = v.number()
	switch {
	case v.kind != atom || v == noneValue:
		return 0, false
	case ok:
		return n, true
	case v.known && isInt(v.s) && v.s[0] == '-':
		return -1, true
	}
	return math.MaxInt64, true
}

// rangeLength returns how many numbers range makes of its arguments.
func rangeLength(args []*value) int64 {
	var numbers [3]int64
	for i, x := range args[:min(len(args), 3)] {
		n, ok := x.number()
		switch {
		case x.kind == atom && !ok && x != noneValue:
			if x.known && isInt(x.s) && len(x.s) < 18 {
				for _, digit := range x.s[1:] { // negative, as index does not read those
					n = n*10 - int64(digit-'0')
				}
				break
			}
			return math.MaxInt64
		case !ok:
			return 0
		}
		numbers[i] = n
	}
	from, to, step := numbers[0], numbers[1], numbers[2]
	switch len(args) {
	case 1:
		from, to, step = 0, from, 1
	case 2:
		step = 1
	}
	if step == 0 {
		return 0
	}
	length := (float64(to) - float64(from)) / float64(step)
	return int64(min(max(length, 0), 1<<62))
}

// claimsMax is how many elements a pickle may claim by numbers, beside 64 for each
// of its bytes.
const claimsMax = 1 << 24

// allocate notes what a call makes because a number says so. More than could stand
// in the file is a danger to whoever loads it.
func (m *machine) allocate(g *global, arg *value) {
	n := g.claims(arg)
	if n == 0 {
		return
	}
	if m.claimed = min(m.claimed, math.MaxInt64-n) + n; m.claimed-claimsMax > 64*min(m.p.size, math.MaxInt64/128) {
		m.find(Danger, KindCall, g.String(), "would take memory for more elements than the file holds, because a number says so")
	}
}
