// Command speed prints the tables of docs/performance.md, one section or all:
//
//	go run ./internal/bench/speed [flags] [peak|gemm|step|networks|products|forget|growth|memory]...
//
// Peers are measured in the same run on the same machine: OpenBLAS and PyTorch,
// through peers.py, which needs a Python with torch and numpy; section networks
// needs torchvision, onnx and onnxruntime too. A quantity is the
// best of several rounds, Lethe and its peer in turns, so that what else the
// machine does meets both.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lethe/convert"
	"lethe/internal/kernel"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
)

const rounds = 3

var (
	python   = flag.String("python", "/usr/bin/python3", "Python with torch and numpy")
	openBLAS = flag.String("openblas", "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0", "shared library of OpenBLAS")
	data     = flag.String("data", "/usr/share/datasets/fashion-mnist", "folder with the IDX files of Fashion-MNIST")
	base     = flag.String("base", "fixtures/lenet-fashion.pt", "checkpoint to edit")
	class    = flag.Int("class", 9, "class to forget")
	picture  = flag.String("picture", "", "file for the picture of section growth, as SVG")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	sections := []struct {
		name string
		run  func() error
	}{{"peak", peakSection}, {"gemm", gemmSection}, {"step", stepSection}, {"networks", networksSection}, {"products", productsSection}, {"forget", forgetSection}, {"growth", growthSection}, {"memory", memorySection}}
	for _, name := range flag.Args() {
		if !slices.ContainsFunc(sections, func(s struct {
			name string
			run  func() error
		}) bool {
			return s.name == name
		}) {
			log.Fatalf("no section %q", name)
		}
	}
	for _, s := range sections {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), s.name) {
			continue
		}
		fmt.Printf("\n## %s (%s)\n\n", s.name, kernel.CPU())
		if err := s.run(); err != nil {
			log.Fatalf("%s: %v", s.name, err)
		}
	}
}

// peer runs peers.py and decodes what it prints.
func peer(answer any, args ...string) error {
	cmd := exec.Command(*python, append([]string{filepath.Join("internal", "bench", "speed", "peers.py")}, args...)...)
	cmd.Stderr = os.Stderr
	// A core type that the environment forces would hobble OpenBLAS.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OPENBLAS_") })
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return json.Unmarshal(out, answer)
}

// best returns the shortest of the times that f takes during a second.
func best(f func()) time.Duration {
	f()
	fastest, end := time.Duration(1<<62), time.Now().Add(time.Second)
	for time.Now().Before(end) {
		start := time.Now()
		f()
		fastest = min(fastest, time.Since(start))
	}
	return fastest
}

func peakSection() error {
	for _, threads := range []int{1, 2} {
		fmt.Printf("threads: %d, %.0f GFLOP/s\n", threads, peak(threads)/1e9)
	}
	return nil
}

// product is a matrix product of [m, k] and [k, n] as a kernel of Lethe sees it:
// the columns are positions of samples in lanes, width of them in a row.
type product struct {
	name           string
	m, n, k, width int
}

func (p product) String() string { return fmt.Sprintf("%dx%dx%d", p.m, p.n, p.k) }

// prepare returns a function that computes the product once: the weights are
// packed each time, since training changes them, the rest lies as activations do.
func (p product) prepare() func() {
	positions := p.n / kernel.Lanes
	list := make([]kernel.Tap, p.k)
	for i := range list {
		list[i] = kernel.Tap{A: int32(i * kernel.Rows), B: int32(i * p.width * kernel.Lanes)}
	}
	taps := kernel.NewTaps(list)
	w, a := make([]float32, p.m*p.k), make([]float32, kernel.PackedLen(p.m, p.k))
	b, c := make([]float32, p.k*p.n), make([]float32, p.m*p.n)
	bias := make([]float32, kernel.Rows)
	for i := range b {
		b[i] = 1
	}
	return func() {
		kernel.Pack(a, kernel.Rows*p.k, w, p.m, p.k, p.k, 1)
		for at := 0; at < positions; at += p.width {
			for i := 0; i < p.m; i += kernel.Rows {
				kernel.Tile(c[(at*p.m+i*p.width)*kernel.Lanes:], a[i*p.k:], b[at*p.k*kernel.Lanes:], bias, taps,
					p.width*kernel.Lanes, kernel.Lanes, kernel.Lanes, min(kernel.Rows, p.m-i), p.width)
			}
		}
	}
}

func gemmSection() error {
	products := []product{
		{"square", 512, 512, 512, 4},
		{"conv1, 64 images", 6, 576 * 64, 25, 24},
		{"conv2, 64 images", 16, 64 * 64, 150, 8},
		{"fc, batch 256", 120, 256, 256, 4},
		{"fc1, batch 256", 84, 256, 120, 4},
		{"fc2, batch 256", 10, 256, 84, 4},
	}
	var shapes []string
	ours := make([]float64, len(products))
	for _, p := range products {
		shapes = append(shapes, p.String())
	}
	theirs := map[string]float64{}
	library, top := "", 0.0
	for range rounds {
		top = max(top, peak(1)/1e9)
		for i, p := range products {
			ours[i] = max(ours[i], 2*float64(p.m)*float64(p.n)*float64(p.k)/best(p.prepare()).Seconds()/1e9)
		}
		var answer struct {
			Library string
			GFLOPS  map[string]float64
		}
		if err := peer(&answer, append([]string{"gemm", *openBLAS}, shapes...)...); err != nil {
			return err
		}
		library = answer.Library
		for shape, v := range answer.GFLOPS {
			theirs[shape] = max(theirs[shape], v)
		}
	}
	fmt.Printf("one thread, peak %.0f GFLOP/s, %s\n\n", top, library)
	fmt.Println("| product | m x n x k | Lethe, GFLOP/s | of the peak | OpenBLAS, GFLOP/s | ratio |\n|---|---|---|---|---|---|")
	for i, p := range products {
		blas := theirs[p.String()]
		fmt.Printf("| %s | %v | %.0f | %.0f %% | %.0f | %.2f |\n", p.name, p, ours[i], 100*ours[i]/top, blas, ours[i]/blas)
	}
	return nil
}

// leNet returns the task's network with random weights and scale times its
// channels, and the floating-point operations of an image, forward and in a
// whole training step.
func leNet(scale int) (net *nn.Net, forward, training float64, err error) {
	r := rand.New(rand.NewPCG(1, uint64(scale)))
	var entries []model.Entry
	add := func(name string, size float64, shape ...int) {
		v := make([]float32, elements(shape))
		for i := range v {
			v[i] = float32(r.NormFloat64() * size)
		}
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor(shape, v)})
	}
	constant := func(name string, value float32, n int) {
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor([]int{n}, slices.Repeat([]float32{value}, n))})
	}
	in := 1
	for i, c := range []int{6 * scale, 16 * scale} {
		block := fmt.Sprintf("block%d.", i+1)
		add(block+"0.weight", 0.1, c, in, 5, 5)
		add(block+"0.bias", 0.1, c)
		constant(block+"1.weight", 1, c)
		constant(block+"1.bias", 0, c)
		constant(block+"1.running_mean", 0, c)
		constant(block+"1.running_var", 1, c)
		side := []float64{24, 8}[i]
		flops := 2 * 25 * float64(in*c) * side * side
		forward += flops
		training += 2 * flops // forward and weight
		if i > 0 {
			training += flops // input
		}
		in = c
	}
	in *= 16
	for i, out := range []int{120, 84, 10} {
		name := []string{"fc", "fc1", "fc2"}[i]
		add(name+".weight", 0.05, out, in)
		add(name+".bias", 0.05, out)
		forward += 2 * float64(in*out)
		training += 6 * float64(in*out)
		in = out
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		return nil, 0, 0, err
	}
	g, err := convert.Recognize(sd)
	if err != nil {
		return nil, 0, 0, err
	}
	net, err = nn.Bind(g, sd)
	return net, forward, training, err
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// training returns a function that does one step of Adam on all parameters, on
// images that lie in memory as the network wants them, with the gradient of
// cross-entropy, and one that does a forward pass alone.
func training(net *nn.Net, batch, threads int) (step, forward func(), err error) {
	s, err := net.NewSession(batch, threads, ops.Parameters(net.Graph()))
	if err != nil {
		return nil, nil, err
	}
	r := rand.New(rand.NewPCG(2, 3))
	size := elements(net.InputShape())
	images := make([]float32, batch*size)
	for i := range images {
		images[i] = float32(r.NormFloat64())
	}
	k := net.Classes()
	logp := make([][]float64, batch)
	for i := range logp {
		logp[i] = make([]float64, 2*k)
	}
	fill := func(i int, x []float32) { copy(x, images[i*size:(i+1)*size]) }
	loss := func(i int, logits, grad []float32) {
		learn.LogSoftmax(logp[i][:k], logp[i][k:], logits)
		for c, p := range logp[i][k:] {
			grad[c] = float32(p / float64(batch))
		}
		grad[i%k] -= 1 / float32(batch)
	}
	adam := learn.NewAdam(len(s.Theta()), 0.9, 0.999)
	step = func() {
		s.Step(batch, fill, loss)
		adam.Step(s.Theta(), s.Grad(), 1e-3)
		s.Refresh()
	}
	return step, func() { s.Forward(batch, fill, func(int, []float32) {}) }, nil
}

func stepSection() error {
	const batch = 256
	net, forwardFlops, flops, err := leNet(1)
	if err != nil {
		return err
	}
	ours, ahead, theirs, theirAhead, ort, top := map[int]float64{}, map[int]float64{}, map[int]float64{}, map[int]float64{}, map[int]float64{}, map[int]float64{}
	version := ""
	for range rounds {
		for _, threads := range []int{1, 2} {
			top[threads] = max(top[threads], peak(threads))
			step, forward, err := training(net, batch, threads)
			if err != nil {
				return err
			}
			ours[threads] = max(ours[threads], batch/best(step).Seconds())
			ahead[threads] = max(ahead[threads], batch/best(forward).Seconds())
		}
		var answer struct {
			Torch           string
			ImagesPerSecond map[int]float64 `json:"images_per_second"`
			Forward         map[int]float64
			ONNXRuntime     map[int]float64
		}
		if err := peer(&answer, "step", fmt.Sprint(batch)); err != nil {
			return err
		}
		version = answer.Torch
		for _, threads := range []int{1, 2} {
			theirs[threads] = max(theirs[threads], answer.ImagesPerSecond[threads])
			theirAhead[threads] = max(theirAhead[threads], answer.Forward[threads])
			ort[threads] = max(ort[threads], answer.ONNXRuntime[threads])
		}
	}
	fmt.Printf("LeNet, batch %d, forward + backward + Adam, %.2f MFLOP an image; torch %s\n\n", batch, flops/1e6, version)
	fmt.Println("| threads | Lethe, images/s | GFLOP/s | of the peak | torch, images/s | ratio |\n|---|---|---|---|---|---|")
	for _, threads := range []int{1, 2} {
		fmt.Printf("| %d | %.0f | %.0f | %.0f %% | %.0f | %.1f |\n", threads, ours[threads], ours[threads]*flops/1e9,
			100*ours[threads]*flops/top[threads], theirs[threads], ours[threads]/theirs[threads])
	}
	fmt.Printf("\nbest against best: %.1f\n\nforward alone, %.2f MFLOP an image; 0 is not measured\n\n", max(ours[1], ours[2])/max(theirs[1], theirs[2]), forwardFlops/1e6)
	fmt.Println("| threads | Lethe, images/s | of the peak | torch, images/s | ONNX Runtime, images/s | ratio to the better |\n|---|---|---|---|---|---|")
	for _, threads := range []int{1, 2} {
		fmt.Printf("| %d | %.0f | %.0f %% | %.0f | %.0f | %.1f |\n", threads, ahead[threads], 100*ahead[threads]*forwardFlops/top[threads],
			theirAhead[threads], ort[threads], ahead[threads]/max(theirAhead[threads], ort[threads]))
	}
	return nil
}

// run executes a command and returns how long it takes.
func run(ctx context.Context, name string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	start := time.Now()
	err := cmd.Run()
	return time.Since(start), err
}
