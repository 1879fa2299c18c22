// Command ptcheck says what a PyTorch checkpoint holds, and what an edit of it
// changed.
package main

//go:generate sh -c "go run . --man >../../docs/man/ptcheck.1"

import (
	"os"

	"lethe/internal/cli"
	"lethe/internal/command/ptcheck"
)

func main() { os.Exit(cli.Main(ptcheck.Run)) }
