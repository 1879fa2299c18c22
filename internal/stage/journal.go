package stage

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lethe/internal/strictjson"
)

// A group of outputs gets its places by several renamings, between which the
// process may be killed. Before the first, each folder gets a journal of what is
// done to its files, and the next command that comes to one of the folders undoes
// what a process that is gone left half done. The journal of the first folder
// decides: the group is in place when that is removed.
//
// A process holds locks on its journals and on its temporary files; what is not
// locked belongs to nobody. On a system without locks there are no journals.
type journal struct {
	Primary string        `json:"primary"` // folder of the journal that decides; "" is this one
	Folders []string      `json:"folders"` // of the other journals, in the one that decides
	Files   []journalFile `json:"files"`
}

// journalFile is an output in the folder of a journal. All names are of files
// there.
type journalFile struct {
	Final  string `json:"final"`
	Temp   string `json:"temp"`   // the new file, until the group is in place
	Next   string `json:"next"`   // second name of the new file, on its way to Final
	Backup string `json:"backup"` // second name of the old file
	Old    bool   `json:"old"`    // there is an old file
}

// isTemp reports whether a file without its folder is called like one of ours that is
// not finished.
func isTemp(name string) bool { return isOurs(name, ".tmp") }

// isJournal reports whether a file without its folder is called like a journal.
func isJournal(name string) bool { return isOurs(name, ".journal") }

// isOurs reports whether a name is .lethe-, 26 letters and digits of base 32, and an
// extension.
func isOurs(name, extension string) bool {
	name, ours := strings.CutPrefix(name, ".lethe-")
	random, ends := strings.CutSuffix(name, extension)
	return ours && ends && len(random) == 26 && strings.IndexFunc(random, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '2' || r > '7')
	}) < 0
}

// beside returns the name of a file in dir that does not exist.
func beside(dir string) string { return filepath.Join(dir, unique(".tmp")) }

func unique(ext string) string { return ".lethe-" + strings.ToLower(rand.Text()) + ext }

// createLocked makes a file that no other process takes for a forgotten one.
func createLocked(path string, mode fs.FileMode) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if err != nil || !lock(f) {
			return f, err
		}
		// Between the two it had no lock, and may have been removed.
		if isAt(f, path) {
			return f, nil
		}
		f.Close()
	}
}

// isAt reports whether an open file is the one at path.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}

// openJournals writes the journals of files that are about to get their places.
// A single file needs none: it is renamed at once.
func (o *Outputs) openJournals(files []*Output) error {
	if len(files) < 2 || !canLock {
		return nil
	}
	var folders []string
	all := map[string]*journal{}
	for _, f := range files {
		dir := filepath.Dir(f.final)
		if all[dir] == nil {
			all[dir] = &journal{Folders: []string{}}
			folders = append(folders, dir)
		}
		all[dir].Files = append(all[dir].Files, journalFile{filepath.Base(f.final), filepath.Base(f.temp), filepath.Base(f.next), filepath.Base(f.backup), f.old != nil})
	}
	all[folders[0]].Folders = folders[1:]
	name := unique(".journal")
	for i, dir := range slices.Backward(folders) {
		if i > 0 {
			all[dir].Primary = folders[0]
		}
		f, err := writeJournal(dir, name, all[dir])
		if err != nil {
			return err
		}
		o.journals = append([]*os.File{f}, o.journals...)
		o.journalPaths = append([]string{filepath.Join(dir, name)}, o.journalPaths...)
		o.step()
	}
	return nil
}

func writeJournal(dir, name string, j *journal) (*os.File, error) {
	b, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	path := beside(dir)
	f, err := createLocked(path, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(path, filepath.Join(dir, name))
	}
	if err != nil {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	return f, nil
}

// closeJournals removes the journals, first the one that decides.
func (o *Outputs) closeJournals() {
	for _, path := range o.journalPaths {
		os.Remove(path)
		o.step()
	}
	for _, f := range o.journals {
		f.Close()
	}
	o.journals, o.journalPaths = nil, nil
}

// tidy undoes in a folder what processes that are gone left half done, and, if
// temps, removes their temporary files. What it cannot do it leaves alone.
func tidy(dir string, temps bool) {
	if !canLock {
		return
	}
	found := func(is func(name string) bool) (names []string) {
		all, _ := os.ReadDir(dir)
		for _, e := range all {
			if is(e.Name()) && e.Type().IsRegular() {
				names = append(names, e.Name())
			}
		}
		return names
	}
	// In this order: the journal of a backup is older than that.
	var old []string
	if temps {
		old = found(isTemp)
	}
	inUse := map[string]bool{}
	for _, name := range found(isJournal) {
		if j := settle(dir, name); j != nil {
			for _, f := range j.Files {
				inUse[f.Temp], inUse[f.Next], inUse[f.Backup] = true, true, true
			}
		}
	}
	for _, name := range old {
		path := filepath.Join(dir, name)
		f, err := os.Open(path)
		if err != nil || inUse[name] {
			continue
		}
		if lock(f) && isAt(f, path) {
			os.Remove(path)
		}
		f.Close()
	}
}

// settle ends what a journal is of, if no process has it any more; otherwise it
// returns the journal.
func settle(dir, name string) *journal {
	j, f := readJournal(dir, name)
	if j == nil {
		return nil
	}
	if f == nil {
		return j // somebody works on it
	}
	defer f.Close()
	if j.Primary != "" {
		if _, err := os.Stat(j.Primary); err != nil {
			return j // what it decided cannot be known
		}
		decides, held := readJournal(j.Primary, name)
		switch {
		case decides != nil && held == nil:
			return j
		case decides != nil && decides.Primary == "" && slices.Contains(decides.Folders, dir):
			f.Close() // or it would be taken for somebody's
			held.Close()
			settle(j.Primary, name)
			return nil
		case held != nil:
			held.Close()
		}
		// The group is in place, or never got that far.
		j.clear(dir, name)
		return nil
	}
	folders := map[string]*journal{dir: j}
	for _, other := range j.Folders {
		part, held := readJournal(other, name)
		if part == nil || part.Primary != dir {
			continue
		}
		if held == nil {
			return j
		}
		defer held.Close()
		folders[other] = part
	}
	for at, part := range folders {
		part.undo(at)
	}
	for at, part := range folders {
		if at != dir {
			part.clear(at, name)
		}
	}
	j.clear(dir, name)
	return nil
}

// readJournal returns a journal and, unless another process has it, its file,
// locked. It returns nil if there is none.
func readJournal(dir, name string) (*journal, *os.File) {
	const limit = 1 << 20
	path := filepath.Join(dir, name)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil
	}
	j := &journal{}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err == nil {
		err = strictjson.DecodeKnown(b, j)
	}
	for _, file := range j.Files {
		if file.Final != filepath.Base(file.Final) || !filepath.IsLocal(file.Final) ||
			!isTemp(file.Temp) || !isTemp(file.Next) || !isTemp(file.Backup) {
			err = errors.New("a name leads elsewhere")
		}
	}
	if err != nil {
		f.Close()
		return nil, nil
	}
	if !lock(f) || !isAt(f, path) {
		f.Close()
		return j, nil
	}
	return j, f
}

// undo gives the old files of a folder back their places, and takes new ones from
// where nothing was. A place where somebody put another file is left alone.
func (j *journal) undo(dir string) {
	for _, f := range j.Files {
		final, backup := filepath.Join(dir, f.Final), filepath.Join(dir, f.Backup)
		there, err := os.Lstat(final)
		placed, missing := os.Lstat(filepath.Join(dir, f.Temp))
		if err != nil || missing != nil || !os.SameFile(there, placed) {
			continue
		}
		if _, err := os.Lstat(backup); err == nil {
			os.Rename(backup, final)
		} else if !f.Old {
			os.Remove(final)
		}
	}
}

// clear removes whatever an unfinished group left in a folder, and the journal.
func (j *journal) clear(dir, name string) {
	for _, f := range j.Files {
		for _, left := range []string{f.Next, f.Backup, f.Temp} {
			os.Remove(filepath.Join(dir, left))
		}
	}
	os.Remove(filepath.Join(dir, name))
}
