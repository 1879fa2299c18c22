//go:build !linux

package cli

import "os"

// closed reports false: nobody knows here.
func closed(*os.File) bool { return false }
