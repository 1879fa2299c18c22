package pickle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"lethe/file"
	"lethe/model"
)

// oldProgram is the record by which a .pt2 of torch up to 2.7 is known.
const oldProgram = "serialized_exported_program.json"

// exportTypes are the element types of torch.export's schema (ScalarType).
var exportTypes = map[int]model.DType{
	1: model.Uint8, 2: model.Int8, 3: model.Int16, 4: model.Int32, 5: model.Int64, 6: model.Float16, 7: model.Float32, 8: model.Float64,
	9: model.Complex32, 10: model.Complex64, 11: model.Complex128, 12: model.Bool, 13: model.BFloat16, 28: model.Uint16,
	29: model.Float8E4M3FN, 30: model.Float8E5M2, 31: model.Float8E4M3FNUZ, 32: model.Float8E5M2FNUZ, 33: model.Float8E8M0FNU,
	34: model.Uint32, 35: model.Uint64,
}

const stridedLayout = 7 // of the same schema

// exportWeight is an entry of data/weights/NAME_weights_config.json.
type exportWeight struct {
	name   string
	Path   string `json:"path_name"`
	Pickle bool   `json:"use_pickle"`
	Meta   struct {
		DType   int         `json:"dtype"`
		Sizes   []exportInt `json:"sizes"`
		Strides []exportInt `json:"strides"`
		Offset  exportInt   `json:"storage_offset"`
		Layout  int         `json:"layout"`
	} `json:"tensor_meta"`
}

// exportInt is a number that could also be an expression.
type exportInt struct {
	Int *int `json:"as_int"`
}

// keys returns the keys of a JSON object in their order.
func keys(b []byte) (names []string, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		names = append(names, fmt.Sprint(key))
	}
	return names, nil
}

// openExport reads the state dict of a .pt2.
func openExport(a *archive, opts Options) (*Checkpoint, error) {
	p := &Program{opts: opts}
	if err := p.state(a); err != nil {
		return nil, err
	}
	c, err := New(p.State) // which may be empty: a program can do without weights
	if err == nil {
		c.a, c.container, c.left = a, exportContainer, []file.Left{{Name: "code"}}
	}
	return c, err
}

// readWeights returns the weights that a configuration lists, in its order,
// which is that of the state dict.
func readWeights(a *archive, config *member, lim Limits) ([]exportWeight, error) {
	// What reading takes: so much for each byte, and for each weight.
	const forByte, forWeight = 12, 1536
	if err := memory("the list of weights", forByte*uint64(config.size), lim); err != nil {
		return nil, err
	}
	text, err := a.read(config)
	if err != nil {
		return nil, err
	}
	bad := func(err error) error { return broken(config.name, -1, err.Error()) }
	var outer struct{ Config json.RawMessage }
	if err := json.Unmarshal([]byte(text), &outer); err != nil {
		return nil, bad(err)
	}
	names, err := keys(outer.Config)
	if err != nil {
		return nil, bad(err)
	}
	if err := memory("the list of weights", forByte*uint64(config.size)+forWeight*uint64(len(names)), lim); err != nil {
		return nil, err
	}
	var weights map[string]exportWeight
	if err := json.Unmarshal(outer.Config, &weights); err != nil {
		return nil, bad(err)
	}
	if len(names) != len(weights) {
		return nil, bad(errors.New("the name of a weight occurs twice"))
	}
	var listed []exportWeight
	for _, name := range names {
		w := weights[name]
		w.name = name
		listed = append(listed, w)
	}
	return listed, nil
}

// tensor returns the view of a record of data/KIND that w describes.
func (w *exportWeight) tensor(a *archive, kind string, stored map[string]*model.Storage) (*model.Tensor, error) {
	m := a.find("data/" + kind + "/" + w.Path)
	d := exportTypes[w.Meta.DType]
	switch {
	case w.Pickle || d == model.Invalid || w.Meta.Layout != stridedLayout:
		return nil, &model.UnsupportedError{What: fmt.Sprintf("%q has type %d and layout %d of torch.export or is pickled, and only dense tensors of the usual types are read", w.name, w.Meta.DType, w.Meta.Layout), Advice: resave}
	case m == nil:
		return nil, broken("", -1, fmt.Sprintf("the archive has no record data/%s/%s for %q", kind, w.Path, w.name))
	}
	bad := func(reason string) error { return broken(m.name, -1, fmt.Sprintf("%q over it: %s", w.name, reason)) }
	known := func(list []exportInt) (numbers []int, ok bool) {
		numbers = []int{}
		for _, n := range list {
			if n.Int == nil || len(numbers) == dimsMax {
				return nil, false
			}
			numbers = append(numbers, *n.Int)
		}
		return numbers, true
	}
	shape, isShape := known(w.Meta.Sizes)
	strides, isStrides := known(w.Meta.Strides)
	if !isShape || !isStrides || w.Meta.Offset.Int == nil {
		return nil, bad("a size, a stride or the offset is not a number but a symbol, or there are too many")
	}
	if stored[w.Path] == nil {
		stored[w.Path] = model.NewStorage(a.open(m), m.size)
	}
	t, err := model.NewTensor(d, shape, strides, *w.Meta.Offset.Int, stored[w.Path])
	if f := (*model.FormatError)(nil); errors.As(err, &f) {
		err = bad(f.Reason)
	}
	return t, err
}
