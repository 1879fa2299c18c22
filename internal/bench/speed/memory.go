package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
)

// memoryCase is a network at work in a process of its own.
type memoryCase struct {
	name, network string
	side, batch   int // of the images, and how many at once
	stem          int // side of the first kernel, 0 for the published one
	train         bool
	limit         int // MiB
}

var memoryCases = []memoryCase{
	{"ResNet-18, 32x32, training", "resnet18", 32, 64, 3, true, 1536},
	{"ResNet-50, 224x224, evaluation", "resnet50", 224, 1, 0, false, 500},
	{"ResNet-50, 224x224, training", "resnet50", 224, 16, 0, true, 4096},
}

// memoryVariable says which case a process runs.
const memoryVariable = "LETHE_BENCH_MEMORY"

// memorySection prints how much memory a process takes that runs one batch on two
// threads, from the weights in memory on: the largest resident set.
func memorySection() error {
	if name := os.Getenv(memoryVariable); name != "" {
		for _, c := range memoryCases {
			if c.name == name {
				return c.run()
			}
		}
		return fmt.Errorf("no case %q", name)
	}
	fmt.Println("| network | batch | memory, MiB | limit, MiB | seconds |\n|---|---|---|---|---|")
	for _, c := range memoryCases {
		own, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := exec.Command(own, "memory")
		cmd.Env, cmd.Stderr = append(os.Environ(), memoryVariable+"="+c.name), os.Stderr
		start := time.Now()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		used := float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
		fmt.Printf("| %s | %d | %.0f | %d | %.1f |\n", c.name, c.batch, used, c.limit, time.Since(start).Seconds())
	}
	return nil
}

// run does the work of a case, in the process that is measured.
func (c memoryCase) run() error {
	sd, err := c.weights()
	if err != nil {
		return err
	}
	n, err := arch.Recognize(sd, arch.Options{Input: []int{3, c.side, c.side}})
	if err != nil {
		return err
	}
	r, err := aten.Convert(n.Program, aten.Options{})
	if err != nil {
		return err
	}
	net, err := nn.Bind(r.Graph, r.State)
	if err != nil {
		return err
	}
	var train []string
	if c.train {
		train = ops.Parameters(r.Graph)
	}
	s, err := net.NewSession(c.batch, 2, train)
	if err != nil {
		return err
	}
	fill := func(i int, x []float32) {
		for e := range x {
			x[e] = float32((e+i)%17)/17 - 0.5
		}
	}
	if c.train {
		s.Step(c.batch, fill, func(_ int, _, grad []float32) { grad[0] = 1 })
	} else {
		s.Forward(c.batch, fill, func(int, []float32) {})
	}
	return nil
}

// weights returns a state dict of small numbers with the names and shapes of a
// network that torchvision publishes.
func (c memoryCase) weights() (*model.StateDict, error) {
	f, err := os.Open("convert/arch/testdata/torchvision.json.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var raw map[string][][3]json.RawMessage
	if err := json.NewDecoder(z).Decode(&raw); err != nil {
		return nil, err
	}
	var entries []model.Entry
	for _, row := range raw[c.network] {
		var name string
		var dims []int
		if err := json.Unmarshal(row[0], &name); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(row[1], &dims); err != nil {
			return nil, err
		}
		if name == "conv1.weight" && c.stem > 0 {
			dims = []int{dims[0], dims[1], c.stem, c.stem}
		}
		count, ok := model.Elements(dims)
		if !ok {
			return nil, fmt.Errorf("%s has the shape %v", name, dims)
		}
		if strings.HasSuffix(name, "num_batches_tracked") {
			continue
		}
		v := make([]float32, count)
		for i := range v {
			v[i] = 0.01 * float32(1+i%7)
		}
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor(dims, v)})
	}
	return model.NewStateDict(entries...)
}
