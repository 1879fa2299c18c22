// Command gate measures the scan of ptcheck on files that run something when
// they are loaded, and on harmless ones, beside other scanners. From the root of
// the repository:
//
//	go run ./internal/bench/gate -dir DIR -python PYTHON[,PYTHON] [-scanners PYTHON]
//
// It fills DIR, loads every file of internal/canary with every loader of each
// Python (see internal/canary/testdata/load.py), scans all of them, and prints
// the counts and a table. What is in DIR already is not made again: remove DIR to
// start anew. The Pythons run code of the files: nothing in them does more than
// to create an empty file in a temporary folder.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"lethe/internal/canary"
	"lethe/scan"
)

const scripts = "internal/canary/testdata/"

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "", "folder for the files and the results")
	n := flag.Int("n", 5000, "number of files with a canary")
	good := flag.Int("harmless", 600, "number of harmless files, for each Python")
	seed := flag.Uint64("seed", 1, "seed of both")
	pythons := flag.String("python", "python3", "Pythons with torch, separated by commas")
	scanners := flag.String("scanners", "", "Python with picklescan, modelscan and fickling; none without")
	flag.Parse()
	if *dir == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	g := gate{dir: *dir, kinds: map[string]canary.File{}, fired: map[string][]string{}}
	if err := g.run(*n, *good, *seed, strings.Split(*pythons, ","), *scanners); err != nil {
		log.Fatal(err)
	}
}

type gate struct {
	dir   string
	kinds map[string]canary.File // without data
	fired map[string][]string    // the loaders that ran a canary
	rows  []row
}

// row is one scanner in the table.
type row struct {
	name                           string
	found, missed, silent, alarmed int
	skipped                        int
	seconds                        float64
}

func (g *gate) run(n, good int, seed uint64, pythons []string, scanners string) error {
	if err := g.evil(n, seed); err != nil {
		return err
	}
	folders := []string{}
	for i, python := range pythons {
		if err := g.load(python, i); err != nil {
			return err
		}
		folder := filepath.Join(g.dir, fmt.Sprintf("harmless%d", i))
		if err := once(folder, python, scripts+"harmless.py", folder, strconv.Itoa(good), fmt.Sprint(seed)); err != nil {
			return err
		}
		folders = append(folders, folder)
	}
	g.counts()
	if err := g.lethe(folders); err != nil {
		return err
	}
	if scanners != "" {
		for _, name := range []string{"picklescan", "modelscan", "fickling"} {
			if err := g.other(scanners, name, folders); err != nil {
				return err
			}
		}
	}
	g.print(len(folders) * good)
	return nil
}

// evil writes the files with a canary.
func (g *gate) evil(n int, seed uint64) error {
	folder := filepath.Join(g.dir, "canary")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return canary.Generate(seed, n, func(f canary.File) error {
		if err := os.WriteFile(filepath.Join(folder, f.Name), f.Data, 0o644); err != nil {
			return err
		}
		f.Data = nil
		g.kinds[f.Name] = f
		return nil
	})
}

// once runs a program unless its output is there.
func once(output, program string, args ...string) error {
	if _, err := os.Stat(output); err == nil {
		return nil
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		os.RemoveAll(output)
		return fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return nil
}

// lines reads a file of lines of JSON.
func lines[T any](path string, yield func(T)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		yield(v)
	}
	return s.Err()
}

// load loads every file with every loader of a Python.
func (g *gate) load(python string, i int) error {
	output := filepath.Join(g.dir, fmt.Sprintf("fired%d.jsonl", i))
	if err := once(output, python, scripts+"load.py", "--first", output, filepath.Join(g.dir, "canary")); err != nil {
		return err
	}
	count := 0
	err := lines(output, func(v struct {
		File  string
		Fired []string
	}) {
		if len(v.Fired) > 0 {
			count++
			g.fired[v.File] = append(g.fired[v.File], v.Fired...)
		}
	})
	fmt.Printf("%s: the canary of %d of %d files fires\n", python, count, len(g.kinds))
	return err
}

// counts tells what fires, and which kinds never do.
func (g *gate) counts() {
	fmt.Printf("fire under one of them: %d of %d\n", len(g.fired), len(g.kinds))
	for _, dimension := range []struct {
		name string
		of   func(canary.File) string
	}{
		{"ways to a call", func(f canary.File) string { return f.Way }},
		{"containers", func(f canary.File) string { return f.Container }},
		{"spellings", func(f canary.File) string { first, _, _ := strings.Cut(f.Spelling, ", "); return first }},
		{"hosts", func(f canary.File) string { return f.Host }},
	} {
		all, fire := map[string]bool{}, map[string]bool{}
		for name, f := range g.kinds {
			all[dimension.of(f)] = true
			if g.fired[name] != nil {
				fire[dimension.of(f)] = true
			}
		}
		fmt.Printf("%s: %d, of which %d fire", dimension.name, len(all), len(fire))
		for k := range fire {
			delete(all, k)
		}
		if len(all) > 0 {
			fmt.Printf("; never: %s", strings.Join(slices.Sorted(maps.Keys(all)), "; "))
		}
		fmt.Println()
	}
}

// lethe scans everything at two thresholds.
func (g *gate) lethe(folders []string) error {
	start := time.Now()
	byDefault, danger := row{name: "ptcheck --scan"}, row{name: "ptcheck --scan --fail-on danger"}
	verdicts := map[string]int{}
	err := g.each(folders, func(name string, evil bool, r *scan.Result) {
		byDefault.count(g, name, evil, r.Fails(scan.Unknown))
		danger.count(g, name, evil, r.Fails(scan.Danger))
		kind := "harmless"
		if evil {
			kind = "canary that does not fire"
			if g.fired[name] != nil {
				kind = "canary"
			}
		}
		verdicts[kind+", "+r.Verdict()]++
		switch {
		case evil && g.fired[name] != nil && !r.Fails(scan.Unknown):
			fmt.Printf("MISSED %s: %s; run by %s\n", name, g.kinds[name].Kind(), strings.Join(g.fired[name], ", "))
		case !evil && r.Worst() == scan.Danger:
			fmt.Printf("FALSE ALARM %s: %s\n", name, worst(r))
		}
	})
	byDefault.seconds = time.Since(start).Seconds()
	danger.seconds = byDefault.seconds
	for _, k := range slices.Sorted(maps.Keys(verdicts)) {
		fmt.Printf("%s: %d\n", k, verdicts[k])
	}
	g.rows = append(g.rows, byDefault, danger)
	return err
}

func worst(r *scan.Result) string {
	for _, f := range r.Findings {
		if f.Level == r.Worst() {
			return fmt.Sprintf("%s %s: %s", f.Kind, f.What, f.Why)
		}
	}
	return ""
}

// each scans the files with a canary and the harmless ones.
func (g *gate) each(folders []string, yield func(name string, evil bool, r *scan.Result)) error {
	for i, folder := range append([]string{filepath.Join(g.dir, "canary")}, folders...) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			r, err := file(filepath.Join(folder, e.Name()))
			if err != nil {
				return err
			}
			yield(e.Name(), i == 0, r)
		}
	}
	return nil
}

func file(path string) (*scan.Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return scan.File(f, info.Size())
}

// count adds the verdict on a file.
func (r *row) count(g *gate, name string, evil, found bool) {
	switch {
	case !evil && found:
		r.alarmed++
	case !evil:
	case g.fired[name] == nil && found:
		r.silent++
	case g.fired[name] == nil:
	case found:
		r.found++
	default:
		r.missed++
	}
}

// other runs a scanner of others. A file that it could not read counts as found.
func (g *gate) other(python, name string, folders []string) error {
	r := row{name: name}
	for i, folder := range append([]string{filepath.Join(g.dir, "canary")}, folders...) {
		output := filepath.Join(g.dir, name+strconv.Itoa(i)+".jsonl")
		if err := once(output, python, scripts+"scanners.py", name, output, folder); err != nil {
			return err
		}
		err := lines(output, func(v struct {
			File, Verdict string
			Seconds       float64
		}) {
			r.seconds += v.Seconds
			if v.File == "" {
				return
			}
			r.count(g, v.File, i == 0, v.Verdict == "found" || v.Verdict == "error")
			if i == 0 && v.Verdict == "skipped" && g.fired[v.File] != nil {
				r.skipped++
			}
		})
		if err != nil {
			return err
		}
	}
	g.rows = append(g.rows, r)
	return nil
}

func (g *gate) print(good int) {
	sort.SliceStable(g.rows, func(i, j int) bool { return g.rows[i].missed < g.rows[j].missed })
	fmt.Printf("\n| scanner | found of %d that run something | missed | of these not looked at | alarms in %d harmless files | seconds |\n|---|---|---|---|---|---|\n", len(g.fired), good)
	for _, r := range g.rows {
		fmt.Printf("| %s | %d | %d | %d | %d | %.1f |\n", r.name, r.found, r.missed, r.skipped, r.alarmed, r.seconds)
	}
}
