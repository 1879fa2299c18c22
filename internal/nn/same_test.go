package nn

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/internal/oracle"
	"lethe/ops"
)

var update = flag.Bool("update", false, "rewrite the digests of gradients")

// Logits and gradients have the same bits on every machine: with any instruction
// set (.ci/run cpus), on arm64, and, as other tests say, with any number of
// threads.
func TestSameBits(t *testing.T) {
	all := graphs()
	maps.Copy(all, architectures())
	all["ResNet-20"], all["ResNet-18"] = resNet20(4), resNet18(4) // an emulated processor takes seconds for more
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		n := all[name]
		net, _ := n.bind(t)
		const count = 5
		x, sum := n.draw(net, count), sha256.New()
		logits, err := net.Logits(x, 1)
		if err != nil {
			t.Fatal(err)
		}
		params := slices.DeleteFunc(ops.Parameters(n.graph), func(p string) bool { return net.weights[p] == nil })
		for _, v := range slices.Concat(logits, step(t, net, x, count, 1, params)) {
			binary.Write(sum, binary.LittleEndian, math.Float32bits(v))
		}
		fmt.Fprintf(&b, "%x %s\n", sum.Sum(nil)[:8], name)
	}
	golden := filepath.Join("testdata", "digests.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	committed := strings.Split(string(want), "\n")
	got := strings.Split(b.String(), "\n")
	for _, line := range got {
		if !slices.Contains(committed, line) {
			t.Errorf("%s has another digest: %s", golden, line)
		}
	}
	if len(got) != len(committed) {
		t.Errorf("%d digests, %s has %d", len(got), golden, len(committed))
	}
}

// The same on arm64, which is emulated.
func TestSameBitsOracleArm64(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the tests for another processor")
	}
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		oracle.Missing(t, "no qemu-aarch64 (Debian's package qemu-user)")
	}
	program := filepath.Join(t.TempDir(), "nn.test")
	build := exec.Command("go", "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, text)
	}
	if text, err := exec.Command(qemu, program, "-test.run", "^TestSameBits$").CombinedOutput(); err != nil {
		t.Fatalf("on arm64: %v\n%s", err, text)
	}
}
