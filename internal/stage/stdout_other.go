//go:build !linux

package stage

import (
	"os"
)

// closed reports false: nobody knows here.
func closed(*os.File) bool { return false }
