package aten

import (
	"fmt"
	"strings"

	"lethe/model"
)

// UnsupportedError lists everything about a program that cannot be converted.
type UnsupportedError struct{ Parts []Part }

// Part is something that cannot be converted, however often it occurs.
type Part struct {
	What   string
	Count  int
	First  string // the module that it is first in; may be empty
	Advice string // what a person can do; may be empty
}

func (e *UnsupportedError) Error() string {
	if len(e.Parts) == 1 {
		return "the network cannot be converted: " + e.Parts[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d parts of the network cannot be converted:", len(e.Parts))
	for _, p := range e.Parts {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// String returns the part in one line, with what to do.
func (p Part) String() string {
	s := p.What
	if p.Count > 1 {
		s += fmt.Sprintf(", %d times", p.Count)
	}
	if p.First != "" {
		s += ", first in " + p.First
	}
	if p.Advice != "" {
		s += "; " + p.Advice
	}
	return s
}

// As makes the error one of [model.UnsupportedError], too.
func (e *UnsupportedError) As(target any) bool {
	t, ok := target.(**model.UnsupportedError)
	if ok {
		*t = &model.UnsupportedError{What: e.Error()}
	}
	return ok
}
