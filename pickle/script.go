package pickle

import (
	"compress/flate"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"lethe/file"
	"lethe/model"
)

const (
	codeMax  = 4 << 20 // bytes of a file of code; all those of a large network have 400 kB
	codesMax = 8 << 20 // bytes of all files that are read
)

// Script returns the module and the code of a TorchScript archive: the module as
// inert values, as the file has it, whatever [Checkpoint.With] changed; the code
// as text, which is read on demand and never run. Other checkpoints have none,
// which is a [model.UnsupportedError].
func (c *Checkpoint) Script() (*file.Script, error) {
	if c.container != scriptContainer || c.source == nil {
		return nil, &model.UnsupportedError{What: "the file is not a TorchScript archive", Advice: "write one with torch.jit.save"}
	}
	a, opts := c.a, Options{Limits: c.source.lim}
	settings := Checkpoint{a: a}
	big, err := settings.readSettings()
	if err != nil {
		return nil, err
	}
	if big {
		return nil, &model.UnsupportedError{What: "the TorchScript archive says that its elements are big-endian", Advice: "save it again on a little-endian machine"}
	}
	s := &file.Script{Code: codeReader(a)}
	for _, name := range []string{versionRecord, newVersion} {
		if text := strings.TrimSpace(settings.settings[name]); text != "" {
			s.Version, _ = strconv.Atoi(text)
		}
	}
	root, err := runRecord(a, "data", opts)
	if err != nil {
		return nil, err
	}
	t := &translator{known: map[any]any{}}
	if s.Root, err = t.value(root); err != nil {
		return nil, err
	}
	if root, err = runRecord(a, "constants", opts); err != nil {
		return nil, err
	}
	constants, err := t.value(root)
	if err != nil {
		return nil, err
	}
	s.Constants, _ = constants.(file.Tuple)
	s.Inputs, err = tracedInputs(a, opts)
	return s, err
}

// Module returns the tree of modules that was saved whole, as inert values: classes
// by their names, and their attributes. It is nil for a state dict.
func (c *Checkpoint) Module() (*file.Object, error) {
	if c.module == nil {
		return nil, nil
	}
	t := &translator{known: map[any]any{}}
	v, err := t.value(c.module)
	o, _ := v.(*file.Object)
	return o, err
}

// runRecord runs the pickle NAME.pkl, whose storages are in the folder NAME.
func runRecord(a *archive, name string, opts Options) (any, error) {
	m := a.find(name + ".pkl")
	if err := memory("the pickle", uint64(m.size), opts.Limits); err != nil {
		return nil, err
	}
	code, err := a.read(m)
	if err != nil {
		return nil, err
	}
	b := &builder{a: a, folder: name + "/", member: m.name, lim: opts.Limits, storages: map[string]*storage{}}
	p, err := b.run(code, true, storageID)
	if err != nil {
		return nil, err
	}
	return p.root, nil
}

// tracedInputs returns the types and shapes of the arguments that the module was
// traced with. Their elements are not in the archive.
func tracedInputs(a *archive, opts Options) ([]file.Input, error) {
	m := a.find("traced_inputs.pkl")
	if m == nil {
		return nil, nil
	}
	if err := memory("the traced inputs", uint64(m.size), opts.Limits); err != nil {
		return nil, err
	}
	code, err := a.read(m)
	if err != nil {
		return nil, err
	}
	p, err := scan(code, m.name, opts.Limits, true, storageID)
	if err != nil {
		return nil, err
	}
	if err := finish(p.root, opts.Limits.Depth); err != nil {
		return nil, err
	}
	items, _ := dictItems(p.root)
	for _, it := range items {
		if name, _ := str(it.key); name != "forward" {
			continue
		}
		elements, ok := sequence(untagged(it.value))
		if !ok {
			return nil, nil
		}
		inputs := []file.Input{}
		for _, e := range elements {
			inputs = append(inputs, inputOf(e))
		}
		return inputs, nil
	}
	return nil, nil
}

// untagged returns the container that TorchScript has wrapped to say its type.
func untagged(v any) any {
	for {
		o, ok := v.(*object)
		if !ok || o.class.use != tagged {
			return v
		}
		v = o.argument(0)
	}
}

func inputOf(v any) (in file.Input) {
	o, ok := v.(*object)
	if !ok || o.class.use != rebuilds {
		return in
	}
	r, isStorage := o.argument(0).(*reference)
	sizes, isTuple := o.argument(2).(*tuple)
	if !isStorage || !isTuple || r.id.Len() < 2 {
		return in
	}
	for _, e := range *sizes {
		n, ok := e.(int)
		if !ok || n < 0 {
			return file.Input{}
		}
		in.Shape = append(in.Shape, n)
	}
	if g, ok := r.id.Get(1).(*global); ok {
		in.DType = g.dtype
	}
	return in
}

// codeReader returns a function that reads files of code.
func codeReader(a *archive) func(name string) (string, error) {
	var total int64
	return func(name string) (string, error) {
		m := a.find("code/" + name)
		if m == nil {
			return "", nil
		}
		total += m.size
		if err := within("size of the code", "bytes", "", uint64(max(m.size, total)), codesMax); err != nil {
			return "", err
		}
		if err := within("size of a file of code", "bytes", "", uint64(m.size), codeMax); err != nil {
			return "", err
		}
		if m.method == 0 {
			return a.read(m)
		}
		packed := io.NewSectionReader(a.r, m.data, m.packed)
		text, err := io.ReadAll(io.LimitReader(flate.NewReader(packed), m.size+1))
		if err != nil || int64(len(text)) != m.size {
			return "", broken(m.name, -1, fmt.Sprintf("the compressed code does not unpack to the %d bytes that the archive says", m.size))
		}
		return string(text), a.compareCRC(m, crc32.ChecksumIEEE([]byte(text)))
	}
}

// translator makes plain values of those of a pickle. What is one object there
// stays one.
type translator struct{ known map[any]any }

func (t *translator) value(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, float64:
		return v, nil
	case int:
		return int64(v), nil
	case *text:
		return v.s, nil
	case *tuple:
		if known, ok := t.known[v]; ok {
			return known, nil
		}
		list, err := t.all(*v)
		t.known[v] = file.Tuple(list)
		return file.Tuple(list), err
	}
	if known, ok := t.known[v]; ok {
		return known, nil
	}
	if x := asTensor(v); x != nil {
		t.known[v] = x.Tensor
		return x.Tensor, nil
	}
	if o, ok := v.(*object); ok && o.class.use == tagged {
		inner, err := t.value(o.argument(0))
		t.known[v] = inner
		return inner, err
	}
	if elements, ok := sequence(v); ok {
		l := &file.List{}
		t.known[v] = l
		var err error
		l.Values, err = t.all(elements)
		return l, err
	}
	if items, ok := dictItems(v); ok {
		d := &file.Dict{}
		t.known[v] = d
		for _, it := range items {
			key, err := t.value(it.key)
			if err != nil {
				return nil, err
			}
			value, err := t.value(it.value)
			if err != nil {
				return nil, err
			}
			d.Keys, d.Values = append(d.Keys, key), append(d.Values, value)
		}
		return d, nil
	}
	switch v := v.(type) {
	case *object:
		o := &file.Object{Class: v.class.String(), Attrs: map[string]any{}}
		t.known[v] = o
		return o, t.attributes(o, v.state())
	case *global:
		return &file.Object{Class: v.String(), Attrs: map[string]any{}}, nil
	}
	return &file.Object{Class: fmt.Sprintf("%T", v), Attrs: map[string]any{}}, nil
}

func (t *translator) all(values []any) ([]any, error) {
	out := make([]any, len(values))
	for i, v := range values {
		var err error
		if out[i], err = t.value(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// attributes takes over the attributes of an object. Another state than a
// dictionary, which classes with __getstate__ have, is not understood.
func (t *translator) attributes(o *file.Object, state any) error {
	items, ok := dictItems(state)
	if !ok && state != nil {
		o.Class += " with __getstate__"
		return nil
	}
	for _, it := range items {
		name, ok := str(it.key)
		if !ok {
			continue
		}
		value, err := t.value(it.value)
		if err != nil {
			return err
		}
		o.Names, o.Attrs[name] = append(o.Names, name), value
	}
	return nil
}
