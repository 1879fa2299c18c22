package main

import (
	"testing"

	"lethe/internal/oracle"
)

// Where Lethe and another reader accept a mutant, they read the same from it. The
// mutants are the same in every run.
func TestOracleMutants(t *testing.T) {
	seeds, err := readSeeds("../../..", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, module string
		count, both  int // at least so many are accepted by both
	}{
		{"torch", "torch", 900, 100}, {"script", "torch", 100, 10}, {"safetensors", "safetensors.numpy", 1500, 300},
	} {
		t.Run(c.kind, func(t *testing.T) {
			if len(seeds[c.kind]) == 0 {
				t.Fatal("no files to change")
			}
			got, err := compare(c.kind, seeds[c.kind], c.count, 1, oracle.Python(t, c.module))
			if err != nil {
				t.Fatal(err)
			}
			t.Log(got)
			for _, d := range got.disagreements {
				t.Errorf("%s: %s", d.from, d.what)
			}
			if got.both < c.both {
				t.Errorf("both accept only %d of %d", got.both, got.files)
			}
		})
	}
}

// A pickle comes apart into instructions that make it up.
func TestDisassemble(t *testing.T) {
	b := []byte("\x80\x02}q\x00X\x01\x00\x00\x00wK\x01sctorch\nSize\n0I01\n0\x8a\x01\x05.rest")
	at := 0
	for _, o := range disassemble(b) {
		if o.at != at {
			t.Fatalf("an instruction at %d, the one before ends at %d", o.at, at)
		}
		at += o.size
	}
	if string(b[at:]) != "rest" {
		t.Errorf("the pickle ends at %d", at)
	}
}
