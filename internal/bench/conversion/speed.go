package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// export is what PyTorch needs for the same: a process that imports it, makes the
// network or loads the exported program, and writes the model.
const export = `
import sys, logging, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.WARNING)
import torch, torchvision
torch.set_num_threads(1)
torch.manual_seed(0)
how, path, out = sys.argv[1:]
x = torch.randn(2, 3, 224, 224)
batch = {0: torch.export.Dim.DYNAMIC}
if how != "load":
    model = torchvision.models.resnet18().eval()
if how == "make":
    torch.export.save(torch.export.export(model, (x,), dynamic_shapes=(batch,)), path)
    torch.save(model.state_dict(), out)
elif how == "module":
    torch.onnx.export(model, (x,), out, dynamo=True, dynamic_shapes=(batch,), verbose=False)
else:
    torch.onnx.export(torch.export.load(path), (), out, dynamo=True, verbose=False)
`

// speed compares pt2onnx, as a process, with torch.onnx.export for resnet18: the
// shortest time of several runs, and the largest memory.
func speed(python string) error {
	dir, err := os.MkdirTemp("", "conversion")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	if out, err := exec.Command("go", "build", "-o", at("pt2onnx"), "lethe/cmd/pt2onnx").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := os.WriteFile(at("export.py"), []byte(export), 0o666); err != nil {
		return err
	}
	if _, _, err := measure(1, python, at("export.py"), "make", at("net.pt2"), at("net.pt")); err != nil {
		return err
	}
	size := func(name string) float64 {
		info, err := os.Stat(at(name))
		if err != nil {
			return 0
		}
		return float64(info.Size()) / (1 << 20)
	}
	fmt.Println("| resnet18, whole process | seconds | MiB | of the file |\n|---|---|---|---|")
	var ours [2]float64
	for i, in := range []string{"net.pt2", "net.pt"} {
		seconds, memory, err := measure(5, at("pt2onnx"), "--force", at(in), at("out.onnx"))
		if err != nil {
			return err
		}
		ours[i] = seconds
		fmt.Printf("| pt2onnx from %s | %.2f | %.0f | %.2f |\n", []string{"the exported program", "the state dict"}[i], seconds, memory, memory/size(in))
	}
	for _, how := range []string{"module", "load"} {
		seconds, memory, err := measure(2, python, at("export.py"), how, at("net.pt2"), at("theirs.onnx"))
		if err != nil {
			return err
		}
		fmt.Printf("| torch.onnx.export from %s | %.2f (%.0f times as long) | %.0f | |\n", map[string]string{"module": "the module", "load": "the exported program"}[how], seconds, seconds/ours[0], memory)
	}
	return nil
}

// measure runs a command several times and returns the shortest time in seconds
// and the largest memory in MiB.
func measure(times int, name string, args ...string) (seconds, memory float64, err error) {
	for i := range times {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, 0, fmt.Errorf("%w: %s", err, out)
		}
		if t := time.Since(start).Seconds(); i == 0 || t < seconds {
			seconds = t
		}
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			memory = max(memory, float64(usage.Maxrss)/1024)
		}
	}
	return seconds, memory, nil
}
