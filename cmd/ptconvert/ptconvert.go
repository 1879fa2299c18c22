// Command ptconvert rewrites a state dict between PyTorch checkpoints,
// safetensors and other files that hold one.
package main

//go:generate sh -c "go run . --man >../../docs/man/ptconvert.1"

import (
	"os"

	"lethe/internal/cli"
	"lethe/internal/command/ptconvert"
)

func main() { os.Exit(cli.Main(ptconvert.Run)) }
