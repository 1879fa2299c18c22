// Command scan says what loading a file would do, without loading it: scan in.pt.
// Its exit code is 3 for a file that it would not let pass.
package main

import (
	"fmt"
	"log"
	"os"

	"lethe/scan"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: scan in.pt")
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	result, err := scan.File(f, info.Size())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", result.Kind, result.Verdict())
	for _, finding := range result.Findings {
		fmt.Printf("%v: %q: %s\n", finding.Level, finding.What, finding.Why)
	}
	if result.Fails(scan.Unknown) {
		os.Exit(3)
	}
}
