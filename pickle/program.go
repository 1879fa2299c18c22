package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"lethe/model"
)

// Program is what a .pt2 archive of torch.export holds, in any of its
// generations: the text of the graph, and the tensors that it refers to. It
// reads from the file on demand, which must stay open and unchanged.
type Program struct {
	Member    string           // the record of the graph
	Graph     io.Reader        // JSON, from its start
	State     *model.StateDict // parameters and saved buffers
	Constants *model.StateDict // other tensors; literals of torch 2.1 are in the graph instead
	opts      Options
}

// graphMax bounds the text of a graph; that of resnet18 has 173 kB.
const graphMax = 256 << 20

var notProgram = &model.UnsupportedError{What: "the file is not an exported program", Advice: "write one with torch.export.save"}

// OpenProgram reads a .pt2 archive but for its graph. It reads the whole file
// once, in constant memory, to compare the CRC of every record. Sample inputs,
// custom objects and compiled code are never opened. Errors are those of
// [Decode].
func OpenProgram(r io.ReaderAt, size int64, opts Options) (*Program, error) {
	opts.Limits = opts.Limits.orDefaults()
	if container, err := sniff(r, size); err != nil || container != zipContainer {
		if err == nil {
			err = notProgram
		}
		return nil, err
	}
	a, err := readArchive(r, size, opts.Limits)
	if err != nil {
		return nil, err
	}
	for _, m := range a.members {
		if err := a.verify(m); err != nil {
			return nil, err
		}
	}
	return programOf(a, opts)
}

// Program returns the program in a .pt2 archive, which is unchanged by [Checkpoint.With].
// Other checkpoints have none, which is a [model.UnsupportedError].
func (c *Checkpoint) Program() (*Program, error) {
	if c.container != exportContainer || c.source == nil {
		return nil, notProgram
	}
	return programOf(c.a, Options{Limits: c.source.lim})
}

// programOf takes the program from an archive whose records have been compared
// with their CRC.
func programOf(a *archive, opts Options) (p *Program, err error) {
	p = &Program{opts: opts}
	switch a.kind {
	case oldExport:
		err = p.openOld(a)
	case exportArchive:
		err = p.openNew(a)
	default:
		err = notProgram
	}
	if err == nil {
		err = p.state(a)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// graph takes the text of the graph from a record.
func (p *Program) graph(a *archive, m *member) error {
	p.Member, p.Graph = m.name, a.open(m)
	return within("size of the program's graph", "bytes", "", uint64(m.size), graphMax)
}

// openOld takes the graph and the constants from an archive of torch up to 2.7.
func (p *Program) openOld(a *archive) (err error) {
	if err := p.graph(a, a.find(oldProgram)); err != nil {
		return err
	}
	p.Constants, err = p.nested(a, a.find("serialized_constants.pt"))
	return err
}

// openNew takes them from an archive of torch 2.8 and later.
func (p *Program) openNew(a *archive) (err error) {
	graph, err := p.only(a, "models/*.json")
	if err != nil {
		return err
	}
	if graph == nil {
		if slices.ContainsFunc(a.members, func(m *member) bool { return strings.HasPrefix(m.name, a.root+"/data/aotinductor/") }) {
			return &model.UnsupportedError{What: "the .pt2 archive is a package of AOTInductor: it holds machine code and no graph",
				Advice: "save the exported program itself with torch.export.save"}
		}
		return broken("", -1, "the .pt2 archive has no graph: no record models/NAME.json")
	}
	if err := p.graph(a, graph); err != nil {
		return err
	}
	p.Constants, err = p.tensors(a, "constants")
	return err
}

// state takes the state dict from an archive.
func (p *Program) state(a *archive) (err error) {
	if a.kind == exportArchive {
		p.State, err = p.tensors(a, "weights")
		return err
	}
	m := a.find("serialized_state_dict.pt")
	if m == nil {
		m = a.find("serialized_state_dict.json") // torch 2.1: a file of torch.save in spite of its name
	}
	if m == nil {
		return broken("", -1, "the program of torch.export has no record serialized_state_dict.pt")
	}
	p.State, err = p.nested(a, m)
	return err
}

// only returns the one record whose name fits a pattern, or nil.
func (p *Program) only(a *archive, pattern string) (found *member, err error) {
	for _, m := range a.members {
		if ok, _ := path.Match(a.root+"/"+pattern, m.name); !ok {
			continue
		}
		if found != nil {
			return nil, &model.UnsupportedError{What: "the .pt2 archive holds several programs", Advice: "export them one by one"}
		}
		found = m
	}
	return found, nil
}

// tensors reads data/KIND: a nested file of torch.save (torch 2.8), or raw
// records with a list of the views over them.
func (p *Program) tensors(a *archive, kind string) (*model.StateDict, error) {
	settings := Checkpoint{a: a}
	big, err := settings.readSettings()
	if err != nil {
		return nil, err
	}
	if m, err := p.only(a, "data/"+kind+"/*.pt"); err != nil || m != nil {
		if err != nil {
			return nil, err
		}
		return p.nested(a, m)
	}
	config, err := p.only(a, "data/"+kind+"/*_config.json")
	if err != nil {
		return nil, err
	}
	if config == nil {
		return model.NewStateDict()
	}
	if big {
		return nil, &model.UnsupportedError{What: "the .pt2 archive has big-endian weights", Advice: "export it on a little-endian machine"}
	}
	listed, err := readWeights(a, config, p.opts.Limits)
	if err != nil {
		return nil, err
	}
	stored := map[string]*model.Storage{}
	bound := builder{lim: p.opts.Limits}
	var entries []model.Entry
	for _, w := range listed {
		if w.Pickle && kind == "constants" || strings.HasPrefix(w.Path, "custom_obj_") || strings.HasPrefix(w.Path, "opaque_obj_") {
			continue // never opened; the graph says if it is needed
		}
		t, err := w.tensor(a, kind, stored)
		if err == nil {
			err = bound.expand(t)
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, model.Entry{Name: w.name, Tensor: t})
	}
	return model.NewStateDict(entries...)
}

// nested returns the tensors of a dictionary that torch.save wrote into a
// record. A record that is missing or empty has none.
func (p *Program) nested(a *archive, m *member) (*model.StateDict, error) {
	if m == nil || m.size == 0 {
		return model.NewStateDict()
	}
	root, err := p.load(a.open(m), m.size)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", m.name, err)
	}
	items, ok := dictItems(root)
	if !ok {
		return nil, broken(m.name, -1, "it holds no dictionary of tensors")
	}
	var entries []model.Entry
	for _, it := range items {
		if name, ok := str(it.key); ok {
			if t := asTensor(it.value); t != nil {
				entries = append(entries, model.Entry{Name: name, Tensor: t.Tensor})
			}
		}
	}
	return model.NewStateDict(entries...)
}

// load returns the object of a file of torch.save inside the archive.
func (p *Program) load(r io.ReaderAt, size int64) (any, error) {
	head := make([]byte, 4)
	if _, err := r.ReadAt(head, 0); err != nil || le.Uint32(head) != localSig {
		return nil, broken("", 0, "it is not a zip archive")
	}
	a, err := readArchive(r, size, p.opts.Limits)
	if err != nil {
		return nil, err
	}
	if a.kind != checkpointArchive {
		return nil, broken("", -1, "it is not a checkpoint")
	}
	for _, m := range a.members {
		if err := a.verify(m); err != nil {
			return nil, err
		}
	}
	settings := Checkpoint{a: a}
	big, err := settings.readSettings()
	if err != nil {
		return nil, err
	}
	code, member, err := a.readPickle(p.opts.Limits)
	if err != nil {
		return nil, err
	}
	b := &builder{a: a, folder: "data/", member: member, lim: p.opts.Limits, big: big, storages: map[string]*storage{}}
	run, err := b.run(code, false, storageID)
	if err != nil {
		return nil, err
	}
	return run.root, nil
}

// Unpack returns the tensor in a file of torch.save that is part of a graph.
func (p *Program) Unpack(file []byte) (*model.Tensor, error) {
	root, err := p.load(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, err
	}
	t := asTensor(root)
	if t == nil {
		return nil, errors.New("it holds something else than a tensor")
	}
	return t.Tensor, nil
}
