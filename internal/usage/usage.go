// Package usage has the error of settings that make no sense.
package usage

import (
	"fmt"
)

// Error reports a command line, a configuration or other settings that make no
// sense.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

// Errorf returns an [Error] with a formatted reason.
func Errorf(format string, args ...any) error {
	return &Error{Reason: fmt.Sprintf(format, args...)}
}
