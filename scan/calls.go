package scan

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// call judges a call of f with a tuple of arguments, and returns its result.
func (m *machine) call(f, arg *value) *value {
	m.out.effects = true
	result := &value{kind: object}
	if f.kind != class {
		switch f.kind {
		case atom, text, blob, array, tuple, list, dict, set, frozen:
			m.fail(fmt.Sprintf("%s cannot be called", f.describe()), false)
		}
		m.find(Danger, KindCall, f.describe(), "calls something that the pickle made or took from elsewhere, so what runs cannot be told")
		return result
	}
	g := f.made
	result.made = g
	if g.rule == nil || !g.direct {
		m.hold(arg)
	}
	if arg.kind != tuple && (arg.kind != list || g.rule != nil) && g.level < Danger {
		m.find(Danger, KindCall, g.String(), "is called with arguments that cannot be told")
		return result
	}
	m.allocate(g, arg)
	switch {
	case g.level == Danger:
		return result // the reference says so
	case g.rule != nil:
		return g.rule(m, g, arg)
	case g.level == Unknown && g.function:
		m.find(Danger, KindCall, g.String(), "would call a function that is not known to be harmless")
	case g.level == Notice && lightningClass(g.module):
		m.find(Unknown, KindCall, g.String(), "would make an object of a class of Lightning, and so run its code")
	case g.level == 0 && (g.module == "builtins"):
		return m.builtin(g, arg)
	}
	return result
}

// builtin returns what a call of a class of Python makes.
func (m *machine) builtin(g *global, arg *value) *value {
	k, ok := map[string]kind{"bytes": blob, "str": text, "tuple": tuple, "list": list, "dict": dict, "set": set, "frozenset": frozen, "bytearray": array,
		"int": atom, "float": atom, "bool": atom, "complex": atom}[g.name]
	if !ok || k == tuple || k == list {
		// What a tuple or a list takes over may hold a function.
		return &value{kind: object, made: g}
	}
	return &value{kind: k}
}

// create judges NEWOBJ and NEWOBJ_EX.
func (m *machine) create(f, arg *value) *value {
	m.out.effects = true
	m.hold(arg)
	if f.kind != class {
		m.find(Danger, KindCall, f.describe(), "makes an object of something that is not a class by name, so what runs cannot be told")
		return &value{kind: object}
	}
	g := f.made
	m.allocate(g, arg)
	switch {
	case g.direct && g.level < Danger:
		m.find(Danger, KindCall, g.String(), "is used as a class, which it is not: "+g.why)
	case g.rule == nil && g.level == 0 && g.module == "builtins":
		return m.builtin(g, arg)
	case g.level == Notice && lightningClass(g.module):
		m.find(Unknown, KindCall, g.String(), "would make an object of a class of Lightning, and so run its code")
	}
	if g.level == 0 && g.module == "torch.nn.parameter" || g.level == 0 && strings.HasSuffix(g.name, "Tensor") {
		return &value{kind: tensor}
	}
	if g.rule != nil && !g.direct && g.name == "dtype" {
		return g.rule(m, g, arg)
	}
	return &value{kind: object, made: g}
}

// buildObject gives an object that a call made its state.
func (m *machine) buildObject(to, state *value) {
	g := to.made
	switch {
	case g == nil || g.level == Danger || g.level == Unknown && g.function:
		m.find(Danger, KindState, to.describe(), "gives state to an object that something unknown made, and so runs its code")
	case strings.HasPrefix(g.module, "joblib."):
		m.fail("joblib writes the bytes of an array into the pickle here, which are not read", false)
	case g.name == "dtype" && g.module == "numpy":
		to.known = false // fields can change what it is
		if state.kind == tuple && len(state.items) >= 5 && state.items[2].kind == atom && state.items[3].kind == atom && state.items[4].kind == atom {
			to.known = true
		}
	}
}

// persistent judges a persistent id, and returns what the loader gives for it.
func (m *machine) persistent(id *value) *value {
	m.out.effects = true
	if id.kind == tuple && len(id.items) > 0 {
		m.hold(id)
		what := id.items[0].s // a string, or the bytes that Python 2 wrote
		switch {
		case what == "storage" && len(id.items) >= 5:
			m.storage(id.items)
			return &value{kind: storage}
		case what == "module" && len(id.items) > 1:
			// torch.load returns the class itself, and compares its source.
			m.find(Notice, KindExternal, id.items[1].describe(), "comes with the source of a class, which torch.load compares and does not run")
			return id.items[1]
		case id.items[0].kind == class:
			return id.items[0] // the tar format of torch before 0.4
		}
	}
	if id.kind == atom || id.kind == text {
		return &value{kind: storage} // the tar format; every other loader refuses it
	}
	m.find(Unknown, KindExternal, id.describe(), "asks the program that loads the file for an object")
	return &value{kind: external}
}

// storage notes a storage: ('storage', class, key, location, elements).
func (m *machine) storage(id []*value) {
	key, ok := id[2].str()
	if n, isInt := id[2].number(); isInt {
		key, ok = fmt.Sprint(n), true
	}
	s := storageID{key: key, size: -1}
	if id[1].kind == class {
		s.item = id[1].made.itemSize()
	}
	if n, isInt := id[4].number(); isInt && s.item > 0 {
		if s.size = math.MaxInt64; n >= 0 && n < 1<<58 {
			s.size = n * s.item
		}
	}
	if ok && !m.ids[key] {
		m.ids[key] = true
		m.out.storages = append(m.out.storages, s)
	}
}

// callNew is for functions that make an object from plain arguments.
func callNew(m *machine, g *global, arg *value) *value { return &value{kind: object, made: g} }

func callTensor(m *machine, g *global, arg *value) *value { return &value{kind: tensor} }

// callSame is for functions that return their first argument.
func callSame(m *machine, g *global, arg *value) *value {
	if len(arg.items) == 0 {
		return &value{kind: object, made: g}
	}
	for _, x := range arg.items[1:] {
		m.hold(x)
	}
	return arg.items[0]
}

// tensorFunctions reports whether f is a function of torch that makes a tensor
// from plain arguments.
func tensorFunction(f *value) bool {
	return f.kind == class && f.made.module == "torch._utils" && f.made.level == 0 && strings.HasPrefix(f.made.name, "_rebuild_")
}

// callFromType: (function, class, arguments of the function, state).
func callFromType(m *machine, g *global, arg *value) *value {
	if len(arg.items) != 4 || !tensorFunction(arg.items[0]) {
		m.find(Danger, KindCall, g.String(), "calls a function that is none of torch's own functions that make tensors")
		return &value{kind: object, made: g}
	}
	m.hold(arg.items[1:]...)
	if t := arg.items[1]; t.kind != class {
		m.find(Danger, KindCall, g.String(), "makes a tensor of a class that cannot be told")
	} else if t.made.level == Unknown {
		return &value{kind: object, made: t.made}
	}
	return &value{kind: tensor}
}

// plainBases are the classes that objects of protocol 0 and 1 are built on.
var plainBases = map[string]bool{"object": true, "dict": true, "list": true, "tuple": true, "set": true, "frozenset": true, "int": true, "float": true,
	"str": true, "bytes": true, "complex": true}

// callReconstructor: (class, base class, state of the base class).
func callReconstructor(m *machine, g *global, arg *value) *value {
	if len(arg.items) != 3 || arg.items[0].kind != class || arg.items[1].kind != class || arg.items[1].made.module != "builtins" || !plainBases[arg.items[1].made.name] {
		m.find(Danger, KindCall, g.String(), "makes an object of something that is not a class by name, or on a class that is not plain")
		return &value{kind: object, made: g}
	}
	return m.create(arg.items[0], m.args(arg.items[2:]))
}

// callNewobj: (class, arguments...).
func callNewobj(m *machine, g *global, arg *value) *value {
	if len(arg.items) == 0 {
		return &value{kind: object, made: g}
	}
	return m.create(arg.items[0], m.args(arg.items[1:]))
}

// noneType is the class of None.
var noneType = &global{module: "builtins", name: "NoneType"}

// callType is type(x): the class of a constant is harmless.
func callType(m *machine, g *global, arg *value) *value {
	if len(arg.items) == 1 && (arg.items[0].kind == atom || arg.items[0].kind == object && arg.items[0].made == g) {
		return &value{kind: class, made: noneType}
	}
	m.find(Danger, KindCall, g.String(), "would make a new class, or take the class of an object")
	return &value{kind: attr}
}

// callGetattr: (object, name).
func callGetattr(m *machine, g *global, arg *value) *value {
	m.hold(arg.items...)
	if len(arg.items) < 2 {
		return &value{kind: attr}
	}
	name, ok := arg.items[1].str()
	of := arg.items[0]
	if !ok || strings.HasPrefix(name, "__") || of.kind != class && of.kind != object || of.made == nil || of.made.level != Unknown {
		m.find(Danger, KindCall, fmt.Sprintf("getattr(%s, %q)", of.describe(), name), "would reach for an attribute that is not in the list of the harmless")
	}
	return &value{kind: attr}
}

// callLoadBytes: (bytes of a checkpoint).
func callLoadBytes(m *machine, g *global, arg *value) *value {
	var inner part
	ok := len(arg.items) == 1 && arg.items[0].kind == blob
	switch {
	case ok && arg.items[0].size > 0:
		inner = m.p.section(arg.items[0].n, arg.items[0].size)
	case ok && len(arg.items[0].items) == 1 && arg.items[0].items[0].size > 0:
		var b []byte
		if b, ok = m.latin1(arg.items[0].items[0]); ok {
			inner = part{src: bytes.NewReader(b), size: int64(len(b))}
		}
	default:
		ok = false
	}
	if !ok {
		m.find(Danger, KindCall, g.String(), "would load a checkpoint from bytes that the pickle computes")
		return &value{kind: object, made: g}
	}
	inner.member, inner.depth = m.p.inside(fmt.Sprintf("bytes before %d", m.op)), m.p.depth+1
	m.nested = append(m.nested, inner)
	return &value{kind: external}
}

// plainCodecs are the encodings of text that pickles of bytes use.
var plainCodecs = map[string]bool{"latin1": true, "latin-1": true, "iso-8859-1": true, "utf-8": true, "utf8": true, "ascii": true, "us-ascii": true}

// callEncode: (text, encoding).
func callEncode(m *machine, g *global, arg *value) *value {
	if len(arg.items) > 1 {
		if name, ok := arg.items[1].str(); !ok || !plainCodecs[strings.ToLower(name)] {
			m.find(Unknown, KindCall, g.String(), "uses a codec that is not one of plain text: "+clip(name))
			return &value{kind: object, made: g} // some codecs give text
		}
	}
	v := &value{kind: blob}
	if len(arg.items) == 2 && arg.items[0].kind == text && strings.HasPrefix(strings.ToLower(arg.items[1].s), "latin") {
		v.items = arg.items[:1]
	}
	return v
}

// latin1 returns the bytes that a string in the stream has in Latin-1.
func (m *machine) latin1(v *value) ([]byte, bool) {
	b, ok := m.w.all(m.p.section(v.n, v.size), inflateMax)
	if !ok || !m.w.spend(2*int64(len(b))) {
		return nil, false
	}
	s := string(b)
	if v.escaped {
		if s, ok = rawUnicode(s); !ok {
			return nil, false
		}
	}
	b = b[:0]
	for _, r := range s {
		if r > 0xff {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, true
}

// callDtype: (code, ...): the value keeps the code.
func callDtype(m *machine, g *global, arg *value) *value {
	v := &value{kind: object, made: g}
	if len(arg.items) > 0 {
		v.s, v.known = arg.items[0].str()
	}
	return v
}

// callScalar: (dtype, bytes). One that holds objects comes with a pickle.
func callScalar(m *machine, g *global, arg *value) *value {
	m.hold(arg.items...)
	if len(arg.items) > 0 {
		t := arg.items[0]
		plain := t.kind == object && t.known && plainDtype(t.s)
		if t.kind == class && t.made.level < Unknown {
			plain = true
		}
		if !plain {
			m.find(Danger, KindCall, g.String(), "its element type can hold objects, which numpy loads from a pickle of their own")
		}
	}
	return &value{kind: object, made: g}
}

// plainDtype reports whether the code of an element type is of numbers, dates
// or text.
func plainDtype(s string) bool {
	s = strings.TrimLeft(s, "<>=|")
	return s != "" && strings.Contains("?bBhHiIlLqQefdgFDGSUaMm", s[:1]) && strings.Trim(s[1:], "0123456789[]nsumhDWMYpfa") == "" || s != "" && strings.Trim(s, "ifucb0123456789") == ""
}

// callGenerator: (name of a bit generator, the function that makes it).
func callGenerator(m *machine, g *global, arg *value) *value {
	for i, x := range arg.items {
		ok := i == 0 && (x.kind == text || x.kind == object || x.kind == class && x.made.level <= Notice) ||
			i > 0 && x.kind == class && x.made.name == "__bit_generator_ctor" && x.made.level == Notice
		if !ok {
			m.find(Danger, KindCall, g.String(), "would call a function that is not numpy's own")
		}
	}
	return &value{kind: object, made: g}
}
