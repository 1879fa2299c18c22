package canary

import "math/rand/v2"

// A spelling changes a style.
type spelling struct {
	name  string
	apply func(*style)
}

// spellings lists ways to write the same program; each is used with others at
// random.
var spellings = []spelling{
	{"protocol 0", func(s *style) { *s = style{proto: -1, str: "V", num: "I", memo: "p"} }},
	{"protocol 0, strings", func(s *style) { *s = style{proto: -1, str: "S", num: "L", tuple: "t"} }},
	{"protocol 1", func(s *style) { *s = style{proto: -1, str: "X", num: "K", memo: "q", tuple: "t"} }},
	{"protocol 2", func(s *style) { *s = style{proto: 2, str: "X", num: "K", memo: "q", tuple: "short"} }},
	{"protocol 2 of Python 2", func(s *style) {
		*s = style{proto: 2, str: "U", num: "K", memo: "q", tuple: "short", python: "2"}
	}},
	{"protocol 3", func(s *style) { *s = style{proto: 3, str: "X", num: "K", memo: "q", tuple: "short", bytes: "C"} }},
	{"protocol 4", func(s *style) {
		*s = style{proto: 4, frame: "right", str: "8c", num: "K", memo: "94", global: "stack", tuple: "short", bytes: "C"}
	}},
	{"protocol 5", func(s *style) {
		*s = style{proto: 5, frame: "right", str: "8c", num: "M", memo: "94", global: "stack", tuple: "short", bytes: "8e"}
	}},
	{"protocol 5 without frames", func(s *style) { s.proto, s.frame, s.global = 5, "", "stack" }},
	{"PROTO of another protocol", func(s *style) { s.proto = 1 }},
	{"no PROTO", func(s *style) { s.proto = -1 }},
	{"a frame too short", func(s *style) { s.frame = "short" }},
	{"a frame too long", func(s *style) { s.frame = "long" }},
	{"many frames", func(s *style) { s.frame = "many" }},
	{"STACK_GLOBAL", func(s *style) { s.global = "stack" }},
	{"STACK_GLOBAL with the memo", func(s *style) { s.global = "stackmemo" }},
	{"STACK_GLOBAL of made strings", func(s *style) { s.global = "rot13" }},
	{"names of Python 2", func(s *style) { s.python, s.proto, s.global = "2", 2, "text" }},
	{"indices with a sign", func(s *style) { s.memo = "p+" }},
	{"indices with an underscore", func(s *style) { s.memo = "p_" }},
	{"indices with blanks", func(s *style) { s.memo = "p " }},
	{"indices with zeros", func(s *style) { s.memo = "p0" }},
	{"indices of four bytes", func(s *style) { s.memo = "r" }},
	{"junk", func(s *style) { s.junk = 2 }},
	{"some junk", func(s *style) { s.junk = 6 }},
	{"unicode escapes", func(s *style) { s.str = "V\\u" }},
	{"escapes of strings", func(s *style) { s.str = "S\\x" }},
	{"BINSTRING", func(s *style) { s.str = "T" }},
	{"SHORT_BINSTRING", func(s *style) { s.str = "U" }},
	{"BINUNICODE8", func(s *style) { s.str = "8d" }},
	{"hexadecimal integers", func(s *style) { s.num = "I0x" }},
	{"integers with blanks", func(s *style) { s.num = "I " }},
	{"LONG", func(s *style) { s.num = "L" }},
	{"LONG1", func(s *style) { s.num = "L1" }},
	{"LONG4", func(s *style) { s.num = "L4" }},
	{"nested marks", func(s *style) { s.tuple = "marks" }},
	{"bytes of Latin-1", func(s *style) { s.bytes = "latin1" }},
	{"BINBYTES8", func(s *style) { s.bytes = "8e" }},
}

// spell returns a style with the spelling and one or two more.
func spell(rng *rand.Rand, first spelling) (style, string) {
	st := style{proto: 2, str: "X", num: "K", memo: "q", tuple: "short"}
	name := first.name
	others := make([]spelling, rng.IntN(3))
	for i := range others {
		others[i] = spellings[rng.IntN(len(spellings))]
		others[i].apply(&st)
		name += ", " + others[i].name
	}
	first.apply(&st)
	return st, name
}

// hosts lists what a pickle holds around the call.
var hosts = []struct {
	name string
	wrap func(n node, tensors bool) node
}{
	{"alone", func(n node, _ bool) node { return n }},
	{"in a dictionary", func(n node, t bool) node { return dict(str("epoch"), num(3), str("x"), n, str("state_dict"), state(t)) }},
	{"after the weights", func(n node, t bool) node { return dict(str("state_dict"), state(t), str("x"), n) }},
	{"popped", func(n node, t bool) node { return seq(n, state(t)) }},
	{"in a state dict", func(n node, t bool) node { return setItem(state(t), str("bias"), n) }},
	{"as metadata", func(n node, t bool) node {
		return build(state(t), dict(str("_metadata"), dict(str(""), dict(str("version"), n))))
	}},
	{"in a tuple", func(n node, t bool) node { return tuple(list(num(1), n), state(t)) }},
}

// state is a state dict: with one tensor if there is a storage for it.
func state(tensors bool) node {
	empty := call(global("collections", "OrderedDict"))
	if !tensors {
		return setItem(empty, str("weight"), list(num(1), num(2)))
	}
	storage := persistent(tuple(str("storage"), global("torch", "FloatStorage"), str("0"), str("cpu"), num(4)))
	tensor := call(global("torch._utils", "_rebuild_tensor_v2"), storage, num(0), tuple(num(4)), tuple(num(1)), raw("\x89"), empty)
	return setItem(empty, str("weight"), tensor)
}
