// Command pt2onnx converts a PyTorch checkpoint to ONNX.
package main

//go:generate sh -c "go run . --man >../../docs/man/pt2onnx.1"

import (
	"os"

	"lethe/internal/cli"
	"lethe/internal/command/pt2onnx"
)

func main() { os.Exit(cli.Main(pt2onnx.Run)) }
