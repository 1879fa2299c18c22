//go:build unix

package stage

import (
	"os"
	"syscall"
)

// canLock reports whether lock works on this system.
const canLock = true

// lock takes a file for this process, until the file is closed or the process
// ends, however that happens. It reports false if another one has it.
func lock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
