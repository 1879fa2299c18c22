package scan

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// layout is a kind of archive, with the names that its members can have.
type layout struct {
	kind   string
	script bool // its pickles may name classes of TorchScript
	torch  bool // torch reads it, which finds names without regard to case
	// role says what a member is, by its name without the root.
	role func(name string) role
}

// role is what a loader does with a member.
type role uint8

const (
	nothing role = iota // no loader knows a member of that name
	raw                 // the bytes of a storage
	pickled             // a pickle
	any_                // whatever its contents say
	small_              // a short text that the loader reads itself
	source              // TorchScript
	program             // JSON of an exported program
	config              // JSON that says which members are pickles
	native              // machine code
)

// The archives that loaders know, in the order in which they are told apart.
var (
	checkpointLayout = &layout{kind: "checkpoint of torch.save", torch: true, role: checkpointRole}
	scriptLayout     = &layout{kind: "TorchScript archive", torch: true, script: true, role: scriptRole}
	exportLayout     = &layout{kind: "exported program (.pt2)", torch: true, script: true, role: exportRole}
	oldExportLayout  = &layout{kind: "exported program of torch before 2.8", torch: true, role: oldExportRole}
	packageLayout    = &layout{kind: "torch.package archive", torch: true, role: packageRole}
	kerasLayout      = &layout{kind: "Keras model", role: func(string) role { return any_ }}
	plainLayout      = &layout{kind: "zip archive", role: func(string) role { return any_ }}
)

var metaNames = map[string]bool{"byteorder": true, "version": true, ".data/serialization_id": true, ".data/version": true, ".format_version": true,
	".storage_alignment": true}

func checkpointRole(name string) role {
	switch {
	case name == "data.pkl":
		return pickled
	case metaNames[name]:
		return small_
	case strings.HasPrefix(name, "data/") && name != "data/":
		return raw
	}
	return nothing
}

func scriptRole(name string) role {
	switch {
	case name == "data.pkl" || name == "constants.pkl" || name == "bytecode.pkl" || name == "mobile_debug_handles.pkl" || name == "metadata.pkl" || name == "traced_inputs.pkl" ||
		name == "attributes.pkl" || strings.HasPrefix(name, "code/") && strings.HasSuffix(name, ".debug_pkl"):
		return pickled
	case metaNames[name]:
		return small_
	case name == "model.json":
		return any_
	case strings.HasPrefix(name, "data/") || strings.HasPrefix(name, "constants/") || strings.HasPrefix(name, "tensors/") || strings.HasPrefix(name, "traced_inputs/"):
		return raw
	case strings.HasPrefix(name, "code/"):
		return source
	case strings.HasPrefix(name, "extra/"):
		return any_
	}
	return nothing
}

func exportRole(name string) role {
	base := path.Base(name)
	switch {
	case name == "archive_format" || name == "archive_version" || metaNames[name]:
		return small_
	case strings.HasPrefix(name, "data/aotinductor/"):
		return native
	case strings.HasPrefix(name, "models/") && strings.HasSuffix(name, ".json"):
		return program
	case strings.HasSuffix(name, "_config.json") && (strings.HasPrefix(name, "data/weights/") || strings.HasPrefix(name, "data/constants/")):
		return config
	case strings.HasPrefix(name, "data/weights/weight_") || strings.HasPrefix(name, "data/constants/tensor_"):
		return raw
	case strings.HasPrefix(name, "data/weights/") || strings.HasPrefix(name, "data/constants/") || strings.HasPrefix(name, "data/sample_inputs/"):
		if strings.HasSuffix(base, ".pt") || strings.HasPrefix(base, "custom_obj_") || strings.HasPrefix(base, "opaque_obj_") {
			return any_
		}
	case strings.HasPrefix(name, "extra/"):
		return any_
	}
	return nothing
}

func oldExportRole(name string) role {
	switch {
	case name == "serialized_exported_program.json":
		return program
	case name == "serialized_state_dict.json" || name == "serialized_state_dict.pt" || name == "serialized_constants.json" || name == "serialized_constants.pt" ||
		name == "serialized_example_inputs.pt":
		return any_
	case name == "version":
		return small_
	case strings.HasPrefix(name, "extra_files/"):
		return any_
	}
	return nothing
}

func packageRole(name string) role {
	switch {
	case strings.HasPrefix(name, ".data/") && !strings.HasSuffix(name, ".storage"):
		return any_
	case strings.HasPrefix(name, ".data/"):
		return raw
	case strings.HasSuffix(name, ".py"):
		return native
	case name == "byteorder" || name == "version":
		return small_
	}
	return any_
}

// layoutOf tells what archive the members make, by their names without regard
// to case.
func layoutOf(names map[string]bool) *layout {
	var code, package_ bool
	for name := range names {
		code = code || strings.HasPrefix(name, "code/")
		package_ = package_ || name == ".data/extern_modules" || name == ".data/python_version"
	}
	switch {
	case names["archive_format"]:
		return exportLayout
	case names["serialized_exported_program.json"]:
		return oldExportLayout
	case package_:
		return packageLayout
	case names["constants.pkl"] || names["model.json"] && code || names["data.pkl"] && code:
		return scriptLayout
	case names["data.pkl"]:
		return checkpointLayout
	case names["config.json"] && (names["metadata.json"] || names["model.weights.h5"]):
		return kerasLayout
	}
	return plainLayout
}

// archive scans the members of a zip archive.
func (w *walk) archive(p part, members []*member) string {
	folder := root(members)
	names := map[string]bool{}
	for _, m := range members {
		names[strings.ToLower(strings.TrimPrefix(m.name, folder))] = true
	}
	l := layoutOf(names)
	if l == plainLayout && folder != "" || l == oldExportLayout && folder != "" {
		l = w.rooted(p, members, l)
	}
	if folder == "" && l != oldExportLayout && l != plainLayout && l != kerasLayout || l == plainLayout && w.manyRoots(members) {
		l = w.roots(p, members, l)
	}
	p.script = p.script || l.script
	unchecked := !slices.ContainsFunc(members, func(m *member) bool { return m.crc != 0 })
	a := &archive{w: w, p: p, layout: l, folder: folder, unchecked: unchecked, referred: map[string]int64{}}
	a.names(members)
	for _, m := range members { // pickles and configurations tell what the rest is
		if r := a.role(m); r == pickled || r == config {
			a.scan(m, r)
		}
	}
	for _, m := range members {
		a.scan(m, a.role(m))
	}
	return l.kind
}

// rooted is for an archive in a folder of which the names say nothing.
func (w *walk) rooted(p part, members []*member, l *layout) *layout {
	if l == oldExportLayout {
		w.find(Finding{Level: Danger, Kind: KindReadings, What: members[0].name, Member: p.member,
			Why: "an exported program of this generation has no folder: loaders see different members"})
	}
	return l
}

// manyRoots reports whether a torch archive hides behind several folders.
func (w *walk) manyRoots(members []*member) bool {
	return slices.ContainsFunc(members, func(m *member) bool {
		_, rest, _ := strings.Cut(strings.ToLower(m.name), "/")
		return rest == "data.pkl" || rest == "archive_format" || rest == "constants.pkl"
	})
}

// roots is for an archive whose members lie in several folders, or in none.
func (w *walk) roots(p part, members []*member, l *layout) *layout {
	w.find(Finding{Level: Danger, Kind: KindReadings, What: members[0].name, Member: p.member,
		Why: "the members do not lie in one folder: torch reads those in the folder of the first, other loaders read others"})
	return plainLayout
}

// archive is the work on one zip archive.
type archive struct {
	w         *walk
	p         part
	layout    *layout
	folder    string
	unchecked bool             // written without checksums
	referred  map[string]int64 // storages that a pickle refers to, with their bytes
	pickles   bool             // a configuration says that weights are pickles
}

// role returns what a loader does with a member.
func (a *archive) role(m *member) role {
	if strings.HasSuffix(m.name, "/") {
		return small_
	}
	return a.layout.role(strings.TrimPrefix(m.name, a.folder))
}

// names checks the names of the members against each other.
func (a *archive) names(members []*member) {
	odd := func(level Level, k Kind, m *member, why string) {
		a.w.find(Finding{Level: level, Kind: k, What: m.name, Why: why, Member: a.p.member, Offset: m.header})
	}
	exact, folded := map[string]bool{}, map[string]bool{}
	for _, m := range members {
		low := strings.ToLower(m.name)
		switch {
		case exact[m.name]:
			odd(Danger, KindReadings, m, "the archive has two members of that name: zip readers see different contents")
		case folded[low] && a.layout != plainLayout:
			odd(Danger, KindReadings, m, "the archive has two members whose names differ in case alone: torch takes them for one")
		}
		exact[m.name], folded[low] = true, true
		if strings.Contains(m.name, "\x00") {
			odd(Danger, KindReadings, m, "the name holds a zero byte, at which Python ends it")
		}
		if strings.HasPrefix(m.name, "/") || strings.Contains(m.name, "\\") || strings.Contains("/"+m.name+"/", "/../") || strings.Contains(m.name, ":") && a.layout == plainLayout {
			odd(Unknown, KindMember, m, "a name that leads out of the folder where the archive is unpacked")
		}
		if m.external&0x10 != 0 && !strings.HasSuffix(m.name, "/") {
			odd(Danger, KindReadings, m, "is marked as a folder: torch gives memory that nobody filled, other loaders give the contents")
		}
		if strings.HasSuffix(m.name, "/") && m.size > 0 {
			odd(Danger, KindReadings, m, "is a folder with contents")
		}
		short := strings.TrimPrefix(m.name, a.folder)
		if a.layout.torch && a.layout.role(short) == nothing && a.layout.role(strings.ToLower(short)) != nothing {
			odd(Danger, KindReadings, m, "is spelled in another case than its loader looks for: torch finds it, other programs do not")
		}
	}
}

// scan scans one member, once.
func (a *archive) scan(m *member, r role) {
	if m.seen {
		return
	}
	m.seen = true
	p, ok := a.w.open(a.p, m, a.unchecked)
	if !ok {
		return
	}
	p.script = a.p.script
	short := strings.TrimPrefix(m.name, a.folder)
	switch r {
	case raw:
		a.raw(p, short)
	case pickled:
		a.pickle(p)
	case any_:
		kind := a.w.file(p)
		if a.layout == kerasLayout {
			a.keras(p, short)
		}
		if kind == "text" && strings.HasSuffix(short, ".json") {
			a.w.blobs(p)
		}
		if kind == "text" && strings.HasSuffix(short, ".py") {
			a.w.find(Finding{Level: Notice, Kind: KindCode, What: short, Why: "is Python source: no loader runs it by itself", Member: a.p.member, Offset: m.header})
		}
	case small_:
		a.small(p)
	case source:
		a.w.source(p)
	case program:
		a.w.program(p)
	case config:
		a.pickles = a.w.usesPickle(p) || a.pickles
	case native:
		a.native(p, short)
	default:
		kind := a.w.file(p)
		a.w.find(Finding{Level: Unknown, Kind: KindMember, What: m.name, Why: fmt.Sprintf("no loader expects this member in this kind of file, %s (it is %s)", a.layout.kind, kind), Member: a.p.member, Offset: m.header})
	}
}

// pickle scans a member that torch unpickles.
func (a *archive) pickle(p part) {
	s, m := a.w.pickle(p, 0, false)
	m.loadNested()
	stem := strings.TrimSuffix(path.Base(p.member), ".pkl")
	for _, id := range s.storages {
		a.referred[stem+"/"+id.key] = id.size
		a.referred[id.key] = -1 // in whatever folder that loader looks
	}
	a.w.longFrame(p, s, m)
	if !s.ended {
		a.w.gap(p, s.at, "the pickle cannot be read to its end: %s", s.failure)
		return
	}
	a.w.rest(p, s.end)
}

// raw looks at the bytes of a storage. No loader unpickles one that a pickle
// refers to as a storage, whatever its bytes are.
func (a *archive) raw(p part, short string) {
	_, key, _ := strings.Cut(short, "/")
	size, ok := a.referred[short]
	if !ok {
		size, ok = a.referred[key]
	}
	if ok && !a.pickles {
		if size >= 0 && size != p.size && !(p.size == 0 && strings.HasPrefix(short, "traced_inputs/")) { // torch drops those
			a.w.find(Finding{Level: Danger, Kind: KindReadings, What: short, Member: a.p.member,
				Why: fmt.Sprintf("the record has %d bytes and the pickle says %d: torch would write over memory or read beyond it", p.size, size)})
		}
		return
	}
	switch {
	case a.pickles || a.layout == packageLayout || a.layout == plainLayout:
		a.w.file(p)
	case a.layout == exportLayout && strings.HasPrefix(short, "data/"):
		// Only a configuration that says so makes torch unpickle it.
	default:
		a.unreferred(p, short)
	}
}

// unreferred looks at a storage that no pickle refers to.
func (a *archive) unreferred(p part, short string) {
	if s, m := a.w.pickle(p, 0, true); s.ended && s.effects {
		m.release()
	}
	switch head := a.w.head(p, 4); string(head) {
	case "PK\x03\x04":
		a.w.file(p)
	case "\x7fELF", "\xcf\xfa\xed\xfe":
		a.w.find(Finding{Level: Danger, Kind: KindCode, What: short, Why: "is machine code, which runs when something loads it", Member: a.p.member})
	}
	a.w.find(Finding{Level: Notice, Kind: KindMember, What: short, Why: "a record that no pickle of the archive refers to", Member: a.p.member})
}

// small looks at a short text of the archive, such as its version.
func (a *archive) small(p part) {
	if p.size == 0 {
		return
	}
	head := a.w.head(p, 128)
	plain := p.size <= 128 && !slices.ContainsFunc(head, func(c byte) bool { return c < ' ' && c != '\n' && c != '\r' || c > '~' })
	if !plain {
		kind := a.w.file(p)
		a.w.find(Finding{Level: Unknown, Kind: KindMember, What: p.member, Why: "a short text is expected there, not a " + kind, Member: p.member})
	}
}

// native names code that a loader runs as it is.
func (a *archive) native(p part, short string) {
	ext := path.Ext(short)
	switch {
	case ext == ".py":
		a.w.find(Finding{Level: Danger, Kind: KindCode, What: short, Why: "is Python source, which torch.package runs when it loads the archive", Member: a.p.member})
	default:
		a.w.find(Finding{Level: Danger, Kind: KindCode, What: short, Why: "belongs to a compiled model (AOTInductor): torch loads it as machine code", Member: a.p.member})
	}
	if ext == ".pt" || ext == ".pkl" || ext == ".json" {
		a.w.file(p)
	}
}

// keras looks for what the configuration of a Keras archive makes it run.
func (a *archive) keras(p part, short string) {
	if short == "config.json" {
		a.w.tokens(p, func(_, key string, value any) {
			if s, ok := value.(string); ok {
				a.w.kerasValue(p, key, s)
			}
		})
	}
}
