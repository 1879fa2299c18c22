package canary

import (
	"encoding/binary"
	"fmt"
)

func str(s string) node { return func(a *asm) { a.text(s) } }
func num(v int) node    { return func(a *asm) { a.integer(v) } }
func raw(s string) node { return func(a *asm) { a.op(s) } }

func tuple(ns ...node) node { return func(a *asm) { a.tuple(ns...) } }

func global(module, name string) node { return func(a *asm) { a.global(module, name) } }

// dotted reaches a name through a module that only imports it. It needs
// protocol 4, whatever the style says.
func dotted(module, path string) node {
	return func(a *asm) {
		if a.proto < 4 {
			a.op("\x80\x04")
		}
		a.text(module)
		a.text(path)
		a.op("\x93")
	}
}

func list(ns ...node) node {
	return func(a *asm) {
		a.op("(")
		a.all(ns...)
		a.op("l")
	}
}

// dict takes keys and values in turn.
func dict(ns ...node) node {
	return func(a *asm) {
		a.op("(")
		a.all(ns...)
		a.op("d")
	}
}

func reduce(f, args node) node {
	return func(a *asm) {
		a.put(f)
		a.put(args)
		a.op("R")
	}
}

func call(f node, args ...node) node { return reduce(f, tuple(args...)) }

// obj and inst call what is no class too, if there are arguments.
func obj(f node, args ...node) node {
	return func(a *asm) {
		a.op("(")
		a.put(f)
		a.all(args...)
		a.op("o")
	}
}

func inst(module, name string, args ...node) node {
	return func(a *asm) {
		a.op("(")
		a.all(args...)
		a.op("i" + module + "\n" + name + "\n")
	}
}

func newObj(class node, args ...node) node {
	return func(a *asm) {
		a.put(class)
		a.put(tuple(args...))
		a.op("\x81")
	}
}

func newObjEx(class, args, kwargs node) node {
	return func(a *asm) {
		a.all(class, args, kwargs)
		a.op("\x92")
	}
}

func build(object, state node) node {
	return func(a *asm) {
		a.all(object, state)
		a.op("b")
	}
}

// slots is a state that sets attributes, whether there is a __dict__ or not.
func slots(ns ...node) node { return tuple(raw("N"), dict(ns...)) }

func appendTo(object node, items ...node) node {
	return func(a *asm) {
		a.put(object)
		for _, n := range items {
			a.put(n)
			a.op("a")
		}
	}
}

func appendsTo(object node, items ...node) node {
	return func(a *asm) {
		a.put(object)
		a.op("(")
		a.all(items...)
		a.op("e")
	}
}

func addItems(object node, items ...node) node {
	return func(a *asm) {
		a.put(object)
		a.op("(")
		a.all(items...)
		a.op("\x90")
	}
}

func setItem(object, key, value node) node {
	return func(a *asm) {
		a.all(object, key, value)
		a.op("s")
	}
}

func setItems(object node, kv ...node) node {
	return func(a *asm) {
		a.put(object)
		a.op("(")
		a.all(kv...)
		a.op("u")
	}
}

// seq runs several nodes and leaves the value of the last.
func seq(ns ...node) node {
	return func(a *asm) {
		for i, n := range ns {
			a.put(n)
			if i < len(ns)-1 {
				a.op("0")
			}
		}
	}
}

// persistent hands the value to persistent_load.
func persistent(id node) node {
	return func(a *asm) {
		a.put(id)
		a.op("Q")
	}
}

func extension(code int) node {
	return func(a *asm) {
		switch a.rng.IntN(3) {
		case 0:
			a.op("\x82" + string([]byte{byte(code)}))
		case 1:
			a.op("\x83" + string(binary.LittleEndian.AppendUint16(nil, uint16(code))))
		default:
			a.op("\x84")
			a.u32(code)
		}
	}
}

// octets is an object of type bytes.
func octets(b []byte) node {
	return func(a *asm) {
		switch {
		case a.bytes == "latin1":
			var s []rune
			for _, c := range b {
				s = append(s, rune(c))
			}
			a.op("c_codecs\nencode\n(")
			a.op("X")
			a.u32(len(string(s)))
			a.op(string(s))
			a.text("latin1")
			a.op("tR")
		case a.bytes == "8e":
			a.op("\x8e")
			a.u64(len(b))
			a.op(string(b))
		case a.bytes == "C" && len(b) < 256:
			a.op("C" + string([]byte{byte(len(b))}) + string(b))
		default:
			a.op("B")
			a.u32(len(b))
			a.op(string(b))
		}
	}
}

// value makes a node of a constant of Go.
func value(v any) node {
	switch v := v.(type) {
	case node:
		return v
	case string:
		return str(v)
	case int:
		return num(v)
	case []byte:
		return octets(v)
	case bool:
		return raw(map[bool]string{true: "\x88", false: "\x89"}[v])
	case nil:
		return raw("N")
	case []any:
		return list(values(v)...)
	}
	panic(fmt.Sprintf("no node for %T", v))
}

func values(vs []any) []node {
	var ns []node
	for _, v := range vs {
		ns = append(ns, value(v))
	}
	return ns
}
