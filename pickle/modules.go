package pickle

import (
	"fmt"
	"slices"

	"lethe/file"
	"lethe/model"
)

// moduleWalk lists the parameters and buffers in a tree of modules under the
// names that Module.state_dict gives them.
type moduleWalk struct {
	script bool // the modules are those of TorchScript: their tensors are attributes
	lim    Limits
	cost   uint64
	items  []item
}

// attributes returns the attributes of an instance of an unknown class.
func attributes(v any) map[string]any {
	o, ok := v.(*object)
	if !ok || o.class.use != unlisted {
		return nil
	}
	items, ok := dictItems(o.state())
	if !ok {
		return nil
	}
	m := make(map[string]any, len(items))
	for _, it := range items {
		if name, ok := str(it.key); ok {
			m[name] = it.value
		}
	}
	return m
}

// isModule reports whether a value is a whole pickled torch.nn.Module.
func isModule(v any) bool {
	m := attributes(v)
	for _, name := range []string{"_parameters", "_buffers", "_modules"} {
		if _, ok := dictLen(m[name]); !ok {
			return false
		}
	}
	return true
}

// visit lists the tensors of a module and then those of the modules in it. A
// module that occurs twice counts twice, as for PyTorch; the way there guards
// against one that holds itself.
func (w *moduleWalk) visit(v any, prefix string, way []any) error {
	if slices.Contains(way, v) {
		return nil
	}
	w.cost += 1024 + uint64(2*len(prefix)+32*len(way)+128*len(attributes(v)))
	if err := memory("the names of the model's tensors", w.cost, w.lim); err != nil {
		return err
	}
	way = append(way[:len(way):len(way)], v)
	tensors, inner := []any{v.(*object).state()}, []any{v.(*object).state()}
	var skip *list
	if m := attributes(v); !w.script {
		tensors, inner = []any{m["_parameters"], m["_buffers"]}, []any{m["_modules"]}
		if o, ok := m["_non_persistent_buffers_set"].(*object); ok {
			skip, _ = o.argument(0).(*list)
		}
	}
	for _, d := range tensors {
		items, _ := dictItems(d)
		for _, it := range items {
			name, isString := str(it.key)
			if w.script && isString { // a List[Tensor], a Dict[str, Tensor]
				for key, value := range children(it.value) {
					if label, named := keyText(key); named && asTensor(value) != nil {
						w.cost += 256 + uint64(len(prefix)+len(name)+len(label))
						w.items = append(w.items, item{&text{prefix + name + "." + label}, value})
					}
				}
			}
			if asTensor(it.value) == nil || !isString || skip != nil && slices.ContainsFunc(skip.values, func(v any) bool { s, _ := str(v); return s == name }) {
				continue
			}
			w.cost += 256 + uint64(len(prefix)+len(name))
			w.items = append(w.items, item{&text{prefix + name}, it.value})
		}
	}
	for _, d := range inner {
		items, _ := dictItems(d)
		for _, it := range items {
			name, isString := str(it.key)
			if o, ok := it.value.(*object); !ok || !isString || o.class.use != unlisted || !w.script && !isModule(o) {
				continue
			}
			if err := w.visit(it.value, prefix+name+".", way); err != nil {
				return err
			}
		}
	}
	return nil
}

// openScript reads the weights of a TorchScript archive: the pickle holds the
// attributes of its modules, code/ their Python. Which of the tensors are
// parameters, buffers or plain attributes only the code says, so all of them
// count.
func openScript(a *archive, opts Options) (*Checkpoint, error) {
	settings := Checkpoint{a: a}
	big, err := settings.readSettings()
	if err != nil {
		return nil, err
	}
	if big { // torch.jit.load does not look at the record and reads the elements as they are
		return nil, &model.UnsupportedError{What: "the TorchScript archive says that its elements are big-endian, which PyTorch does not heed",
			Advice: "save it again on a little-endian machine"}
	}
	code, member, err := a.readPickle(opts.Limits)
	if err != nil {
		return nil, err
	}
	b := &builder{a: a, folder: "data/", member: member, lim: opts.Limits, storages: map[string]*storage{}}
	p, err := b.run(code, true, storageID)
	if err != nil {
		return nil, err
	}
	if attributes(p.root) == nil {
		return nil, broken(member, -1, "the pickle holds no module")
	}
	w := moduleWalk{script: true, lim: opts.Limits}
	if err := w.visit(p.root, "", nil); err != nil {
		return nil, err
	}
	constants, err := readConstants(a, opts)
	if err != nil {
		return nil, err
	}
	left := []file.Left{{Name: "code"}}
	if len(w.items) == 0 { // frozen
		w.items = constants
	} else if len(constants) > 0 {
		left = append(left, file.Left{Name: "constants of the code", Tensors: len(constants)})
	}
	var entries []model.Entry
	for _, it := range w.items {
		name, _ := str(it.key)
		entries = append(entries, model.Entry{Name: name, Tensor: asTensor(it.value).Tensor})
	}
	c, err := weights(a, scriptContainer, entries)
	if err == nil {
		c.protocol, c.left = p.protocol, left
	}
	return c, err
}

// readConstants returns the tensors among the constants of the code, under the
// names that the code has for them.
func readConstants(a *archive, opts Options) ([]item, error) {
	m := a.find("constants.pkl")
	if err := memory("the constants", uint64(m.size), opts.Limits); err != nil {
		return nil, err
	}
	code, err := a.read(m)
	if err != nil {
		return nil, err
	}
	b := &builder{a: a, folder: "constants/", member: m.name, lim: opts.Limits, storages: map[string]*storage{}}
	p, err := b.run(code, true, storageID)
	if err != nil {
		return nil, err
	}
	var tensors []item
	for key, value := range children(p.root) {
		if asTensor(value) != nil {
			tensors = append(tensors, item{&text{fmt.Sprintf("CONSTANTS.c%v", key)}, value})
		}
	}
	return tensors, nil
}

// weights returns a checkpoint of the state dict that was found in something
// that Encode cannot write again.
func weights(a *archive, container string, entries []model.Entry) (*Checkpoint, error) {
	if len(entries) == 0 {
		return nil, &model.UnsupportedError{What: "the file holds no tensors", Advice: "give a file that has the weights of a model in it"}
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		return nil, err
	}
	c, err := New(sd)
	if err == nil {
		c.a, c.container, c.left = a, container, []file.Left{{Name: "code"}}
	}
	return c, err
}
