package pickle

import (
	"fmt"
	"io"

	"lethe/model"
)

// Object reads a pickle that is not a checkpoint, such as a batch of CIFAR, and returns
// what it builds: nil, bool, int, float64, string, a dictionary with strings as keys
// as map[string]any, a list or a tuple as []any, and a numpy array as *model.Tensor.
// Anything else in it is an empty struct. Bytes, and strings of Python 2, are strings
// of a byte for each of their characters up to 0xff (latin1). Values that are one in
// the pickle are one in the result. Errors are those of [Decode].
func Object(r io.ReaderAt, size int64, opts Options) (any, error) {
	opts.Limits = opts.Limits.orDefaults()
	if err := memory("the pickle", uint64(size)/2, opts.Limits); err != nil {
		return nil, err
	}
	code := make([]byte, size)
	if _, err := readFull(r, code, 0); err != nil {
		return nil, err
	}
	b := &builder{size: size, lim: opts.Limits, storages: map[string]*storage{}}
	p, err := b.run(string(code), true, func(any) (any, error) {
		return nil, &model.UnsupportedError{What: "the pickle refers to a tensor of PyTorch, and only arrays of numpy are read here", Advice: "save the data as arrays of numpy, such as with numpy.savez"}
	})
	if err != nil {
		return nil, err
	}
	if p.size != len(code) {
		return nil, broken("", int64(p.size), fmt.Sprintf("%d bytes follow the end of the pickle", len(code)-p.size))
	}
	a := arrays{lim: b.lim, seen: map[any]bool{}}
	if err := a.visit(p.root); err != nil {
		return nil, err
	}
	return plainer{}.plain(p.root), nil
}

// plainer makes plain values of what a pickle built, one for each.
type plainer map[any]any

func (p plainer) plain(v any) any {
	switch v := v.(type) {
	case nil, bool, int, float64:
		return v
	case *text:
		return v.s
	}
	if t := asTensor(v); t != nil {
		return t.Tensor
	}
	switch v.(type) {
	case *dict, *list, *tuple, *object:
		if done, ok := p[v]; ok {
			return done
		}
	}
	var out any = struct{}{}
	if raw, ok := byteString(v); ok {
		out = raw
	} else if items, ok := dictItems(v); ok {
		m := map[string]any{}
		p[v], out = m, m
		for _, it := range items {
			if key, ok := p.plain(it.key).(string); ok {
				m[key] = p.plain(it.value)
			}
		}
	} else if elements, ok := sequence(v); ok {
		s := make([]any, len(elements))
		p[v], out = s, s
		for i, e := range elements {
			s[i] = p.plain(e)
		}
	}
	switch v.(type) {
	case *dict, *list, *tuple, *object:
		p[v] = out
	}
	return out
}

// byteString returns the characters of a bytes object as protocol 2 writes it.
func byteString(v any) (string, bool) {
	o, ok := v.(*object)
	if !ok || o.class.name != "encode" {
		return "", false
	}
	return str(o.argument(0))
}
