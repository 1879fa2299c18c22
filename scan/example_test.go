package scan_test

import (
	"fmt"
	"os"

	"lethe/scan"
)

func ExampleFile() {
	f, err := os.Open("testdata/evil/legacy-protocol3.pt")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	r, err := scan.File(f, info.Size())
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Kind, r.Verdict(), r.Fails(scan.Unknown))
	for _, x := range r.Findings {
		fmt.Println(x.Level, x.What, x.Why)
	}
	// Output:
	// checkpoint of torch before 1.6 danger true
	// danger posix.system would run a command of the operating system, or read, replace or remove files
}
