package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// ratesOf are images a second by network, threads and what is done: "step", "forward",
// or "onnxruntime" for forward with that. They are of processor time on one thread and
// by the clock on two.
type ratesOf map[string]float64

func rateOf(network, threads, what string) string { return network + " " + threads + " " + what }

// take keeps the better of what is known and what a command printed; name gives the
// key and the rate of a match.
func (r ratesOf) take(line *regexp.Regexp, name func(m []string) (key, rate string), cmd *exec.Cmd) error {
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		key, rate := name(m)
		v, err := strconv.ParseFloat(rate, 64)
		if err != nil {
			return err
		}
		r[key] = max(r[key], v)
	}
	return nil
}

var (
	ourLine   = regexp.MustCompile(`BenchmarkNetworks/(\S+)/train=(\w+)/threads=(\d)\S*\s.*?([\d.]+) images/cpu-s\s+([\d.]+) images/s`)
	theirLine = regexp.MustCompile(`(\S+): (\w+) (\d) (\d+)`)
)

// networksSection compares networks with branches with PyTorch and ONNX Runtime, on
// one thread each and on two: both sides in turns, the best of several rounds of each.
func networksSection() error {
	ours, theirs := ratesOf{}, ratesOf{}
	names := []string{"ResNet-20", "MobileNetV2", "ViT", "ResNet-18"}
	for range rounds {
		for _, name := range names {
			cmd := exec.Command("go", "test", "-run", "^$", "-bench", "Networks/"+name+"/", "-benchtime", "1s", "./internal/nn")
			if err := ours.take(ourLine, func(m []string) (key, rate string) {
				what, rate := "forward", m[4]
				if m[2] == "true" {
					what = "step"
				}
				if m[3] != "1" {
					rate = m[5]
				}
				return rateOf(m[1], m[3], what), rate
			}, cmd); err != nil {
				return err
			}
			cmd = exec.Command(*python, filepath.Join("internal", "nn", "testdata", "peers.py"), name)
			if err := theirs.take(theirLine, func(m []string) (key, rate string) { return rateOf(m[1], m[3], m[2]), m[4] }, cmd); err != nil {
				return err
			}
		}
	}
	for i, unit := range []string{"images a second of processor time, one thread", "images a second by the clock, two threads"} {
		threads := strconv.Itoa(i + 1)
		fmt.Printf("%s\n\n", unit)
		fmt.Println("| network | step, Lethe | torch | ratio | forward, Lethe | torch | ONNX Runtime | ratio to the better |\n|---|---|---|---|---|---|---|---|")
		for _, name := range names {
			step, forward := rateOf(name, threads, "step"), rateOf(name, threads, "forward")
			torch, ort := theirs[forward], theirs[rateOf(name, threads, "onnxruntime")]
			fmt.Printf("| %s | %.0f | %.0f | %.2f | %.0f | %.0f | %.0f | %.2f |\n", name, ours[step], theirs[step], ours[step]/theirs[step],
				ours[forward], torch, ort, ours[forward]/max(torch, ort))
		}
		fmt.Println()
	}
	return nil
}

var productLine = regexp.MustCompile(`(?m)^(?:Benchmark\S+\s+)?(\S+): (.+): (\d+), ([\d.]+) MFLOP, ([\d.]+) GFLOP/s ([\d.]+) GB/s, ([\d.]+) GFLOP/s ([\d.]+) GB/s$`)

var allProductsLine = regexp.MustCompile(`(?m)^(?:Benchmark\S+\s+)?(\S+), all products: ([\d.]+) GFLOP/s forward, ([\d.]+) GFLOP/s backward$`)

var memoryLine = regexp.MustCompile(`memory: ([\d.]+) GB/s`)

// productsSection prints how near to the peak the convolutions and products of each
// network come, as operations of a direct one, and how many bytes of activations and
// gradients they read and write a second beside a copy in memory: a roofline for each.
func productsSection() error {
	top := peak(1) / 1e9
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "Products", "-benchtime", "20x", "./internal/nn")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	copied := memoryLine.FindSubmatch(out)
	if copied == nil {
		return fmt.Errorf("%s printed no speed of memory", cmd)
	}
	memory, err := strconv.ParseFloat(string(copied[1]), 64)
	if err != nil {
		return err
	}
	fmt.Printf("one thread, one chunk at a time, peak %.0f GFLOP/s; memory that no cache holds is copied at %.0f GB/s, read and written\n\n", top, memory)
	fmt.Println("| network | layer | times | MFLOP a sample | forward, GFLOP/s | of the peak | GB/s | of memory's | backward, GFLOP/s | of the peak | GB/s | of memory's |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
	lines := productLine.FindAllStringSubmatch(string(out), -1)
	for i, m := range lines {
		if slices.ContainsFunc(lines[i+1:], func(later []string) bool { return later[1] == m[1] && later[2] == m[2] }) {
			continue // a first run, to see how long it takes
		}
		fmt.Printf("| %s | %s | %s | %s |", m[1], m[2], m[3], m[4])
		for at := 5; at < len(m); at += 2 {
			var v [2]float64
			for k := range v {
				if v[k], err = strconv.ParseFloat(m[at+k], 64); err != nil {
					return err
				}
			}
			fmt.Printf(" %.0f | %.0f %% | %.0f | %.0f %% |", v[0], 100*v[0]/top, v[1], 100*v[1]/memory)
		}
		fmt.Println()
	}
	return printAllProducts(string(out), top)
}

// printAllProducts prints how near to the peak all products of a network come together:
// their operations over their time.
func printAllProducts(out string, top float64) error {
	fmt.Println("\n| network | all products forward, GFLOP/s | of the peak | backward, GFLOP/s | of the peak |\n|---|---|---|---|---|")
	lines := allProductsLine.FindAllStringSubmatch(out, -1)
	for i, m := range lines {
		if slices.ContainsFunc(lines[i+1:], func(later []string) bool { return later[1] == m[1] }) {
			continue // a first run
		}
		fmt.Printf("| %s |", m[1])
		for _, text := range m[2:] {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return err
			}
			fmt.Printf(" %.0f | %.0f %% |", v, 100*v/top)
		}
		fmt.Println()
	}
	return nil
}
