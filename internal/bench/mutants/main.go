// Command mutants changes files of every kind at random, and compares what Lethe
// reads from them with what PyTorch and the safetensors library do: where both
// accept a file, names, shapes, element types, strides and bits must agree.
//
//	go run ./internal/bench/mutants --count 50000 --torch /usr/bin/python3 --safetensors .venv/bin/python
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	count := flag.Int("count", 1000, "mutants of all kinds together")
	seed := flag.Uint64("seed", 1, "of the random draws")
	torch := flag.String("torch", "/usr/bin/python3", "Python with PyTorch")
	safe := flag.String("safetensors", ".venv/bin/python", "Python with safetensors")
	verbose := flag.Bool("verbose", false, "print what one reader refuses and the other accepts, too")
	keep := flag.String("keep", "", "folder for the files on which readers disagree")
	only := flag.String("only", "", "one kind of files: torch, script, export or safetensors")
	flag.Parse()
	if err := run(*count, *seed, *torch, *safe, *keep, *only, *verbose, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run mutates the files with the given names, or the golden files of the
// repository.
func run(count int, seed uint64, torch, safe, keep, only string, verbose bool, names []string) error {
	seeds, err := readSeeds(".", names)
	if err != nil {
		return err
	}
	const batch = 2000
	var total tally
	for n := 0; n < count; n += batch {
		for _, kind := range kinds {
			if only != "" && only != kind {
				continue
			}
			python := torch
			share := 6
			switch kind {
			case "safetensors":
				python, share = safe, 3
			case "script":
				share = 1
			case "export":
				share = 1
			case "torch":
				share = 10
			}
			if only != "" {
				share = 15
			}
			if len(seeds[kind]) == 0 {
				continue
			}
			t, err := compare(kind, seeds[kind], min(batch, count-n)*share/15, seed+uint64(n), python)
			if err != nil {
				return err
			}
			total.add(t)
			for _, what := range t.alone {
				if verbose {
					fmt.Println(what)
				}
			}
			for i, d := range t.disagreements {
				fmt.Printf("%s: %s\n", d.from, d.what)
				if keep != "" {
					if err := os.WriteFile(filepath.Join(keep, fmt.Sprintf("%s-%d-%d.pt", kind, n, i)), d.file, 0o600); err != nil {
						return err
					}
				}
			}
		}
		fmt.Fprintln(os.Stderr, total)
	}
	if len(total.disagreements) > 0 {
		return fmt.Errorf("%d disagreements", len(total.disagreements))
	}
	return nil
}
