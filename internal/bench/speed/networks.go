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

// ratesOf are images a second of processor time on one thread, by "network step" and
// "network forward", and for forward with ONNX Runtime "network onnxruntime".
type ratesOf map[string]float64

// take keeps the better of what is known and what a command printed.
func (r ratesOf) take(line *regexp.Regexp, name func(m []string) string, cmd *exec.Cmd) error {
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return err
		}
		r[name(m)] = max(r[name(m)], v)
	}
	return nil
}

var (
	ourLine   = regexp.MustCompile(`BenchmarkNetworks/(\S+)/train=(\w+)\S*\s.*?([\d.]+) images/cpu-s`)
	theirLine = regexp.MustCompile(`(\S+): (\w+) (\d+) images/cpu-s`)
)

// networksSection compares networks with branches with PyTorch and ONNX Runtime, on
// one thread each: both sides in turns, the best of several rounds of each.
func networksSection() error {
	ours, theirs := ratesOf{}, ratesOf{}
	names := []string{"ResNet-20", "MobileNetV2", "ViT", "ResNet-18"}
	for range rounds {
		for _, name := range names {
			cmd := exec.Command("go", "test", "-run", "^$", "-bench", "Networks/"+name+"/", "-benchtime", "2s", "./internal/nn")
			if err := ours.take(ourLine, func(m []string) string {
				if m[2] == "true" {
					return m[1] + " step"
				}
				return m[1] + " forward"
			}, cmd); err != nil {
				return err
			}
			cmd = exec.Command(*python, filepath.Join("internal", "nn", "testdata", "peers.py"), name)
			if err := theirs.take(theirLine, func(m []string) string { return m[1] + " " + m[2] }, cmd); err != nil {
				return err
			}
		}
	}
	fmt.Println("images a second of processor time, one thread")
	fmt.Println("\n| network | step, Lethe | torch | ratio | forward, Lethe | torch | ONNX Runtime | ratio to the better |\n|---|---|---|---|---|---|---|---|")
	for _, name := range names {
		step, forward := name+" step", name+" forward"
		torch, ort := theirs[forward], theirs[name+" onnxruntime"]
		fmt.Printf("| %s | %.0f | %.0f | %.2f | %.0f | %.0f | %.0f | %.2f |\n", name, ours[step], theirs[step], ours[step]/theirs[step],
			ours[forward], torch, ort, ours[forward]/max(torch, ort))
	}
	return nil
}

var productLine = regexp.MustCompile(`(?m)^(?:Benchmark\S+\s+)?(\S+): (.+): (\d+), ([\d.]+) MFLOP, (\d+) forward, (\d+) backward$`)

// productsSection prints how near to the peak the convolutions and products of each
// network come, as operations of a direct one.
func productsSection() error {
	top := peak(1) / 1e9
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "Products", "-benchtime", "20x", "./internal/nn")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	fmt.Printf("one thread, one chunk at a time, peak %.0f GFLOP/s\n\n", top)
	fmt.Println("| network | layer | times | MFLOP a sample | forward, GFLOP/s | of the peak | backward, GFLOP/s | of the peak |\n|---|---|---|---|---|---|---|---|")
	lines := productLine.FindAllStringSubmatch(string(out), -1)
	for i, m := range lines {
		if slices.ContainsFunc(lines[i+1:], func(later []string) bool { return later[1] == m[1] && later[2] == m[2] }) {
			continue // a first run, to see how long it takes
		}
		var rates [2]float64
		for i := range rates {
			if rates[i], err = strconv.ParseFloat(m[5+i], 64); err != nil {
				return err
			}
		}
		fmt.Printf("| %s | %s | %s | %s | %.0f | %.0f %% | %.0f | %.0f %% |\n", m[1], m[2], m[3], m[4], rates[0], 100*rates[0]/top, rates[1], 100*rates[1]/top)
	}
	return nil
}
