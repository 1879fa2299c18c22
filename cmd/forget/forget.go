// Command forget makes a trained classifier forget a class.
package main

//go:generate sh -c "go run . --man >../../docs/man/forget.1"

import (
	"os"

	"lethe/internal/cli"
	"lethe/internal/command/forget"
)

func main() { os.Exit(cli.Main(forget.Run)) }
