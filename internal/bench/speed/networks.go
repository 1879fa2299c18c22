package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
