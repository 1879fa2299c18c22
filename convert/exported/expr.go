package exported

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lethe/graph"
)

// Expressions of sizes are text: up to torch 2.5 in infix form, such as
// "(s0 - 1)//2 + 1", later as calls, such as
// "Mul(Integer(2), Symbol('s77', positive=True, integer=True))". Both are read
// by one grammar:
//
//	sum     = product { ("+" | "-") product }
//	product = unary { ("*" | "//" | "%") unary }
//	unary   = "-" unary | power
//	power   = primary [ "**" unary ]
//	primary = number | name | name "(" arguments ")" | "(" sum ")"
//
// What is in the grammar but not known, such as a call of another function,
// becomes a symbol of its own. Nothing is ever evaluated.

const (
	expressionMax = 1 << 14
	expressionEnd = byte(0)
)

type expression struct {
	text  string
	at    int
	depth int
}

func parseExpression(text string) (graph.Dim, error) {
	if len(text) > expressionMax {
		return graph.Dim{}, fmt.Errorf("it has %d characters, more than %d", len(text), expressionMax)
	}
	e := &expression{text: text}
	d, err := e.sum()
	if err == nil && e.peek() != expressionEnd {
		err = fmt.Errorf("%q is left over", e.text[e.at:])
	}
	return d, err
}

// peek returns the next byte that is not a blank.
func (e *expression) peek() byte {
	for e.at < len(e.text) && (e.text[e.at] == ' ' || e.text[e.at] == '\n') {
		e.at++
	}
	if e.at == len(e.text) {
		return expressionEnd
	}
	return e.text[e.at]
}

// take consumes s if it comes next.
func (e *expression) take(s string) bool {
	e.peek()
	if !strings.HasPrefix(e.text[e.at:], s) {
		return false
	}
	e.at += len(s)
	return true
}

func (e *expression) sum() (graph.Dim, error) {
	if e.depth++; e.depth > depthMax {
		return graph.Dim{}, errors.New("it is nested too deeply")
	}
	defer func() { e.depth-- }()
	d, err := e.product()
	for err == nil {
		var right graph.Dim
		switch {
		case e.take("+"):
			right, err = e.product()
			d = d.Add(right)
		case e.take("-"):
			right, err = e.product()
			d = d.Sub(right)
		default:
			return d, nil
		}
	}
	return d, err
}

func (e *expression) product() (graph.Dim, error) {
	d, err := e.unary()
	for err == nil {
		var right graph.Dim
		switch {
		case e.take("//"):
			right, err = e.unary()
			d = d.Div(right)
		case e.peek() == '*' && !strings.HasPrefix(e.text[e.at:], "**"):
			e.at++
			right, err = e.unary()
			d = d.Mul(right)
		case e.take("%"):
			right, err = e.unary()
			d = d.Mod(right)
		default:
			return d, nil
		}
	}
	return d, err
}

func (e *expression) unary() (graph.Dim, error) {
	if e.depth++; e.depth > depthMax {
		return graph.Dim{}, errors.New("it is nested too deeply")
	}
	defer func() { e.depth-- }()
	if e.take("-") {
		d, err := e.unary()
		return graph.Size(0).Sub(d), err
	}
	d, err := e.primary()
	if err == nil && e.take("**") {
		var exponent graph.Dim
		if exponent, err = e.unary(); err == nil {
			return power(d, exponent), nil
		}
	}
	return d, err
}

func (e *expression) primary() (graph.Dim, error) {
	b := e.peek()
	switch {
	case b >= '0' && b <= '9':
		from := e.at
		for e.at < len(e.text) && e.text[e.at] >= '0' && e.text[e.at] <= '9' {
			e.at++
		}
		n, err := strconv.ParseInt(e.text[from:e.at], 10, 64)
		if err == nil && e.peek() == '.' {
			err = errors.New("a size is not an integer")
		}
		return graph.Size(int(n)), err
	case b == '(':
		e.at++
		d, err := e.sum()
		if err == nil && !e.take(")") {
			err = errors.New("a parenthesis is not closed")
		}
		return d, err
	}
	name := e.name()
	if name == "" {
		return graph.Dim{}, fmt.Errorf("%q is not a size", e.text[e.at:])
	}
	if !e.take("(") {
		return graph.Symbol(name), nil
	}
	if name == "Symbol" {
		return e.symbol()
	}
	return e.call(name)
}

func (e *expression) name() string {
	e.peek()
	from := e.at
	for e.at < len(e.text) {
		b := e.text[e.at]
		isLetter := b == '_' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		if !isLetter && (b < '0' || b > '9' || e.at == from) && (b != '.' || e.at == from) {
			break
		}
		e.at++
	}
	return e.text[from:e.at]
}

// symbol reads the rest of Symbol('s0', positive=True, integer=True).
func (e *expression) symbol() (graph.Dim, error) {
	if !e.take("'") {
		return graph.Dim{}, errors.New("a symbol has no name in quotes")
	}
	end := strings.IndexByte(e.text[e.at:], '\'')
	if end <= 0 {
		return graph.Dim{}, errors.New("a symbol has no name in quotes")
	}
	name := e.text[e.at : e.at+end]
	for _, r := range name {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return graph.Dim{}, fmt.Errorf("%q is not a name of a symbol", name)
		}
	}
	e.at += end + 1
	for e.take(",") {
		if e.name() == "" || !e.take("=") || e.name() == "" {
			return graph.Dim{}, errors.New("an assumption of a symbol is not of the form name=value")
		}
	}
	if !e.take(")") {
		return graph.Dim{}, errors.New("a symbol is not closed")
	}
	return graph.Symbol(name), nil
}

// call reads the arguments of a function and applies it.
func (e *expression) call(name string) (graph.Dim, error) {
	from := e.at
	if slices.Contains(realFunctions, name) {
		if name == "TruncToInt" || name == "FloorToInt" || name == "CeilToInt" {
			if d, err := e.rounded(name); err == nil {
				return d, nil
			}
		}
		return e.opaque(name, from)
	}
	var args []graph.Dim
	for !e.take(")") {
		if len(args) > 0 && !e.take(",") {
			return graph.Dim{}, errors.New("a call is not closed")
		}
		d, err := e.sum()
		if err != nil {
			return graph.Dim{}, err
		}
		args = append(args, d)
	}
	fold := func(f func(a, b graph.Dim) graph.Dim) (graph.Dim, error) {
		if len(args) == 0 {
			return graph.Dim{}, fmt.Errorf("%s has no arguments", name)
		}
		d := args[0]
		for _, a := range args[1:] {
			d = f(d, a)
		}
		return d, nil
	}
	switch {
	case name == "Integer" && len(args) == 1:
		return args[0], nil
	case name == "Add":
		return fold(graph.Dim.Add)
	case name == "Mul":
		return fold(graph.Dim.Mul)
	case name == "Max":
		return fold(graph.Dim.Max)
	case name == "Min":
		return fold(graph.Dim.Min)
	case len(args) == 2 && (name == "FloorDiv" || name == "CleanDiv"):
		return args[0].Div(args[1]), nil
	case len(args) == 2 && (name == "Mod" || name == "PythonMod"):
		return args[0].Mod(args[1]), nil
	case len(args) == 2 && (name == "Pow" || name == "PowByNatural"):
		return power(args[0], args[1]), nil
	}
	return graph.Symbol(name + "(" + e.text[from:e.at]), nil
}

// sizeFunctions are the functions of integers that expressions have.
var sizeFunctions = []string{"Symbol", "Integer", "Add", "Mul", "Max", "Min", "FloorDiv", "CleanDiv", "Mod", "PythonMod", "Pow", "PowByNatural"}

// power returns a size to a small constant power, or a symbol in its place.
func power(d, exponent graph.Dim) graph.Dim {
	n, ok := exponent.Int()
	if !ok || n < 0 || n > 8 {
		return graph.Symbol(fmt.Sprintf("Pow(%s, %s)", d, exponent))
	}
	p := graph.Size(1)
	for range n {
		p = p.Mul(d)
	}
	return p
}
