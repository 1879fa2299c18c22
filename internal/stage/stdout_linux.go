package stage

import (
	"os"
	"syscall"
)

// closed reports whether a standard stream was closed when the process began.
// The Go runtime then opens /dev/null in its place, to read and to write. Some
// callers, such as Python's subprocess.DEVNULL, hand over the same, which nobody
// can tell from that.
func closed(f *os.File) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	if err != nil || !os.SameFile(info, null) {
		return false
	}
	flags, _, failed := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFL, 0)
	return failed == 0 && flags&syscall.O_ACCMODE == syscall.O_RDWR
}
