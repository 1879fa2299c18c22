package model

import (
	"fmt"
	"strconv"
	"strings"
)

// FormatError reports bytes that break the rules of their format: what was
// found, where, and what the rule is.
type FormatError struct {
	Format string // the format that was expected: "checkpoint", "onnx", "idx"
	Member string // the part of the file, such as a zip member; may be empty
	Offset int64  // byte offset inside Member, or -1 where it has no meaning
	Reason string // both sides of the comparison that failed
}

func (e *FormatError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "broken %s", e.Format)
	if e.Member != "" {
		fmt.Fprintf(&b, ", member %q", e.Member)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, ", byte %d", e.Offset)
	}
	return b.String() + ": " + e.Reason
}

// UnsupportedError reports input that is valid but that Lethe does not handle.
type UnsupportedError struct {
	What   string // what was found
	Advice string // what the person can do instead; may be empty
}

func (e *UnsupportedError) Error() string {
	if e.Advice == "" {
		return e.What
	}
	return e.What + "; " + e.Advice
}

// LimitError reports input that asks for more than the caller allows.
type LimitError struct {
	What  string // the quantity, such as "memory for the pickle"
	Unit  string // what Got and Limit count, such as "bytes"; may be empty
	Flag  string // of the commands, that raises the limit; empty if none does
	Got   uint64 // what the input asks for, saturated at the largest uint64
	Limit uint64 // what is allowed
}

func (e *LimitError) Error() string {
	if e.Unit == "" {
		return fmt.Sprintf("%s is %d, more than the limit of %d", e.What, e.Got, e.Limit)
	}
	text := fmt.Sprintf("%s is %s %s, more than the limit of %s", e.What, grouped(e.Got), e.Unit, grouped(e.Limit))
	switch {
	case e.Flag == "":
	case e.Unit == "bytes":
		text += fmt.Sprintf("; raise it with --%s %d (MiB)", e.Flag, max(e.Got, 2*e.Limit)>>20+1)
	default:
		text += fmt.Sprintf("; raise it with --%s %d", e.Flag, max(e.Got, 2*e.Limit))
	}
	return text
}

// grouped writes a number with a comma before every three digits.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
