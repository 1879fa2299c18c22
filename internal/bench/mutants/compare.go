package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	_ "embed"

	"lethe/model"
	"lethe/pickle"
	"lethe/safetensors"
)

// kinds are the readers to compare with.
var kinds = []string{"torch", "script", "export", "safetensors"}

// seedFile is a file that readers accept.
type seedFile struct {
	name string
	b    []byte
}

// patterns are the golden files of the repository for each kind.
var patterns = map[string][]string{
	"torch": {"pickle/testdata/*.pt", "fixtures/vectors/pickle/unedited.pt", "fixtures/vectors/pickle/from-type.pt", "fixtures/vectors/pickle/rebuild-v3.pt",
		"fixtures/vectors/pickle/rezipped.pt", "fixtures/vectors/pickle/legacy-view.pt", "fixtures/vectors/pickle/float8.pt"},
	"script":      {"pickle/testdata/script.pt", "pickle/testdata/frozen.pt"},
	"export":      {"pickle/testdata/v215-export.pt"},
	"safetensors": {"safetensors/testdata/*.safetensors"},
}

// readSeeds reads the golden files under the root of the repository, or the named
// files as those of torch.load.
func readSeeds(root string, names []string) (map[string][]seedFile, error) {
	seeds := map[string][]seedFile{}
	add := func(kind, name string) error {
		b, err := os.ReadFile(name)
		if _, _, _, refused := read(kind, b); err == nil && refused == nil {
			seeds[kind] = append(seeds[kind], seedFile{filepath.Base(name), b})
		}
		return err
	}
	for _, name := range names {
		if err := add("torch", name); err != nil {
			return nil, err
		}
	}
	if len(names) > 0 {
		return seeds, nil
	}
	for kind, list := range patterns {
		for _, pattern := range list {
			files, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil {
				return nil, err
			}
			for _, name := range files {
				base := filepath.Base(name)
				if kind == "torch" && (strings.Contains(base, "script") || strings.Contains(base, "frozen") || strings.Contains(base, "export") || strings.Contains(base, "module")) {
					continue
				}
				if err := add(kind, name); err != nil {
					return nil, err
				}
			}
		}
	}
	return seeds, nil
}

// tally counts outcomes.
type tally struct {
	files, both, lethe, other int
	disagreements             []disagreement
	alone                     []string // what one reader refuses and the other accepts
}

type disagreement struct {
	from, what string
	file       []byte
}

func (t *tally) add(o tally) {
	t.files += o.files
	t.both += o.both
	t.lethe += o.lethe
	t.other += o.other
	t.disagreements = append(t.disagreements, o.disagreements...)
}

func (t tally) String() string {
	return fmt.Sprintf("%d mutants: both accept %d, only Lethe %d, only the other %d, disagreements %d", t.files, t.both, t.lethe, t.other, len(t.disagreements))
}

// seen is a tensor as a reader sees it.
type seen struct {
	name    string
	dtype   string
	shape   []int
	strides []int
	offset  int
	crc     int64
}

// answer is a line of mutants.py.
type answer struct {
	Error   string            `json:"error"`
	Old     bool              `json:"old"` // PyTorch before 2.1
	Tensors []json.RawMessage `json:"tensors"`
}

//go:embed mutants.py
var script []byte

// compare makes mutants and asks both readers.
func compare(kind string, seeds []seedFile, count int, seed uint64, python string) (tally, error) {
	dir, err := os.MkdirTemp("", "mutants-*")
	if err != nil {
		return tally{}, err
	}
	defer os.RemoveAll(dir)
	rng := rand.New(rand.NewPCG(seed, uint64(len(kind))))
	files, from := make([][]byte, count), make([]string, count)
	var list strings.Builder
	for i := range files {
		s := seeds[rng.IntN(len(seeds))]
		var how string
		files[i], how = mutate(rng, kind, s.b)
		from[i] = s.name + " " + how
		path := filepath.Join(dir, strconv.Itoa(i)+".pt")
		if err := os.WriteFile(path, files[i], 0o600); err != nil {
			return tally{}, err
		}
		list.WriteString(path + "\n")
	}
	py := filepath.Join(dir, "mutants.py")
	if err := os.WriteFile(py, script, 0o600); err != nil {
		return tally{}, err
	}
	if strings.ContainsRune(python, filepath.Separator) { // it runs in another folder
		if python, err = filepath.Abs(python); err != nil {
			return tally{}, err
		}
	}
	cmd := exec.Command(python, py, kind)
	cmd.Dir = dir // what a mutant makes its reader write, goes with it
	cmd.Stdin = strings.NewReader(list.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err != nil || len(lines) != count {
		return tally{}, fmt.Errorf("%s: %d answers for %d files: %w\n%s", python, len(lines), count, err, stderr.String())
	}
	t := tally{files: count}
	for i, b := range files {
		var a answer
		if err := json.Unmarshal(lines[i], &a); err != nil {
			return t, err
		}
		ours, path, big, err := read(kind, b)
		switch {
		case err == nil && a.Error == "":
			if big && a.Old { // PyTorch 2.1 was the first to heed the byte order
				continue
			}
			t.both++
			if what := differ(kind, ours, path, a); what != "" {
				t.disagreements = append(t.disagreements, disagreement{from[i], what, b})
			}
		case err == nil:
			t.lethe++
			t.alone = append(t.alone, fmt.Sprintf("only Lethe accepts %s: %s", from[i], a.Error))
		case a.Error == "":
			t.other++
			t.alone = append(t.alone, fmt.Sprintf("Lethe refuses %s: %v", from[i], err))
		}
	}
	return t, nil
}

// read returns the tensors that Lethe lists, the keys that lead to them, and
// whether they are big-endian.
func read(kind string, b []byte) (list []seen, path []string, big bool, err error) {
	r, size := bytes.NewReader(b), int64(len(b))
	if kind == "safetensors" {
		f, err := safetensors.Decode(r, size, safetensors.Options{})
		if err != nil {
			return nil, nil, false, err
		}
		for name, x := range f.StateDict().All() {
			s, err := see(name, x)
			if err != nil {
				return nil, nil, false, err
			}
			s.strides, s.offset = nil, 0
			s.dtype = strings.ToLower(s.dtype)
			list = append(list, s)
		}
		return list, nil, false, nil
	}
	c, err := pickle.Decode(r, size, pickle.Options{})
	if err != nil {
		return nil, nil, false, err
	}
	for name, x := range c.StateDict().All() {
		s, err := see(name, x)
		if err != nil {
			return nil, nil, false, err
		}
		list = append(list, s)
	}
	return list, c.Info().Path, c.Info().BigEndian, nil
}

func see(name string, x *model.Tensor) (seen, error) {
	s := seen{name, x.DType().String(), x.Shape(), x.Strides(), x.Offset(), -1}
	if x.Len() > 1<<22 {
		return s, nil
	}
	b, err := x.Bytes()
	s.crc = int64(crc32.ChecksumIEEE(b))
	return s, err
}

// differ says how two readings of a file differ, or "".
func differ(kind string, ours []seen, path []string, a answer) string {
	var theirs []seen
	for _, raw := range a.Tensors {
		var where []string
		s := seen{}
		if err := json.Unmarshal(raw, &[]any{&where, &s.dtype, &s.shape, &s.strides, &s.offset, &s.crc}); err != nil {
			return err.Error()
		}
		// A tensor alone has the name of its place.
		if len(where) == 0 && len(path) == 0 {
			where = []string{"0"}
		}
		if len(where) != len(path)+1 || !slices.Equal(where[:len(path)], path) {
			continue
		}
		s.name = where[len(path)]
		theirs = append(theirs, s)
	}
	if kind == "safetensors" {
		for i := range theirs {
			theirs[i].dtype = safetensorsTypes[theirs[i].dtype]
		}
		byName := func(a, b seen) int { return strings.Compare(a.name, b.name) }
		slices.SortFunc(ours, byName)
		slices.SortFunc(theirs, byName)
	}
	if kind == "script" || kind == "export" { // Lethe lists attributes too; the order is the module's
		at := map[string]seen{}
		for _, s := range ours {
			at[s.name] = s
		}
		ours = nil
		for _, s := range theirs {
			if o, ok := at[s.name]; ok {
				ours = append(ours, o)
			}
		}
	}
	if len(ours) != len(theirs) {
		return fmt.Sprintf("%d tensors at %q, the other reader has %d", len(ours), path, len(theirs))
	}
	for i, o := range ours {
		t := theirs[i]
		if len(t.shape) != len(o.shape) || o.name != t.name || o.dtype != t.dtype || !slices.Equal(o.shape, t.shape) || o.crc != t.crc ||
			kind != "safetensors" && kind != "export" && (!slices.Equal(o.strides, t.strides) || o.offset != t.offset) {
			return fmt.Sprintf("tensor %d: %v, the other reader has %v", i, o, t)
		}
	}
	return ""
}

// safetensorsTypes are Lethe's names of the types of the safetensors library.
var safetensorsTypes = map[string]string{"BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32", "U32": "uint32",
	"I64": "int64", "U64": "uint64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64",
	"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz"}
