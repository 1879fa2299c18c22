package script

import (
	"math"
	"strconv"
	"strings"
)

// nestingMax is how deep brackets and blocks may nest.
const nestingMax = 200

// parser reads the tokens of a file.
type parser struct {
	file  string
	toks  []token
	pos   int
	depth int
}

// parseError ends parsing; it does not leave this file.
type parseError struct{ err error }

// parse reads a file of code.
func parse(file, src string) (u *unit, err error) {
	toks, err := lex(file, src)
	if err != nil {
		return nil, err
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case parseError:
			u, err = nil, r.err
		default:
			panic(r)
		}
	}()
	p := &parser{file: file, toks: toks}
	u = &unit{map[string]*class{}, map[string]*function{}}
	for p.peek().kind != eof {
		switch t := p.peek(); {
		case t.kind == newline:
			p.pos++
		case t.text == "class":
			c := p.class()
			u.classes[c.name] = c
		case t.text == "def":
			f := p.function()
			u.functions[f.name] = f
		case t.text == "op_version_set":
			p.simple()
		default:
			p.fail("%q stands outside of classes and functions", t.text)
		}
	}
	return u, nil
}

func (p *parser) peek() token { return p.toks[p.pos] }

func (p *parser) fail(format string, args ...any) {
	panic(parseError{broken(p.file, p.peek().line, format, args...)})
}

func (p *parser) next() token {
	t := p.peek()
	if t.kind != eof {
		p.pos++
	}
	return t
}

// is reports whether the next token is a symbol or keyword.
func (p *parser) is(s string) bool {
	t := p.peek()
	return t.text == s && (t.kind == symbol || t.kind == word)
}

// accept takes the next token if it is the symbol or keyword.
func (p *parser) accept(s string) bool {
	ok := p.is(s)
	if ok {
		p.pos++
	}
	return ok
}

func (p *parser) expect(s string) {
	if !p.accept(s) {
		p.fail("%q stands where %q belongs", p.peek().text, s)
	}
}

func (p *parser) end() {
	if p.next().kind != newline {
		p.pos--
		p.fail("%q stands where the line should end", p.peek().text)
	}
}

// keywords are words that cannot be names.
var keywords = map[string]bool{}

func init() {
	for k := range strings.FieldsSeq("and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield") {
		keywords[k] = true
	}
}

func (p *parser) name() string {
	t := p.next()
	if t.kind != word || keywords[t.text] {
		p.pos--
		p.fail("%q stands where a name belongs", t.text)
	}
	return t.text
}

// deeper guards the recursion; the caller calls what it returns at its end.
func (p *parser) deeper() func() {
	if p.depth++; p.depth > nestingMax {
		p.fail("expressions are nested more than %d deep", nestingMax)
	}
	return func() { p.depth-- }
}

// block reads an indented block by calling f for each statement in it.
func (p *parser) block(f func()) {
	defer p.deeper()()
	p.expect(":")
	p.end()
	if p.next().kind != indent {
		p.pos--
		p.fail("a block is missing")
	}
	for p.peek().kind != dedent && p.peek().kind != eof {
		f()
	}
	p.next()
}

func (p *parser) class() *class {
	p.expect("class")
	c := &class{file: p.file, name: p.name(), finals: map[string]expr{}, lists: map[string]expr{}, methods: map[string]*function{}}
	if p.accept("(") {
		if !p.is(")") {
			c.base = p.name()
		}
		p.expect(")")
	}
	p.block(func() {
		switch {
		case p.is("def"):
			f := p.function()
			c.methods[f.name] = f
		case p.accept("pass"):
			p.end()
		default:
			p.field(c)
		}
	})
	return c
}

// field reads an attribute: NAME : TYPE, NAME : Final[TYPE] = VALUE, or
// __parameters__ = [...]. A name that is not an identifier is written
// __annotations__["0"] = TYPE.
func (p *parser) field(c *class) {
	field := p.name()
	if p.accept("[") {
		t := p.next()
		p.expect("]")
		p.expect("=")
		p.expression()
		p.end()
		if field == "__annotations__" && t.kind == text {
			c.fields = append(c.fields, t.text)
		}
		return
	}
	if p.accept(":") {
		p.expression()
		c.fields = append(c.fields, field)
		if p.accept("=") {
			c.finals[field] = p.expression()
		}
		p.end()
		return
	}
	p.expect("=")
	c.lists[field] = p.expression()
	p.end()
}

func (p *parser) function() *function {
	p.expect("def")
	f := &function{file: p.file, line: p.peek().line, name: p.name()}
	p.expect("(")
	for !p.accept(")") {
		if p.accept("*") { // what follows is given by name
			if !p.is(")") {
				p.expect(",")
			}
			continue
		}
		f.params = append(f.params, p.name())
		var kind, value expr
		if p.accept(":") {
			kind = p.expression()
		}
		if p.accept("=") {
			value = p.expression()
		}
		f.types, f.values = append(f.types, kind), append(f.values, value)
		if !p.is(")") {
			p.expect(",")
		}
	}
	if p.accept("->") {
		p.expression()
	}
	f.body = p.statements()
	return f
}

func (p *parser) statements() (list []statement) {
	p.block(func() {
		if s := p.statement(); s != nil {
			list = append(list, s)
		}
	})
	return list
}

func (p *parser) statement() statement {
	line := p.peek().line
	switch {
	case p.accept("pass"):
		p.end()
		return nil
	case p.accept("return"):
		s := &result{line: line}
		if p.peek().kind != newline {
			s.x = p.tuple()
		}
		p.end()
		return s
	case p.accept("if"):
		s := &branch{line: line, condition: p.expression()}
		s.yes = p.statements()
		if p.accept("else") {
			s.no = p.statements()
		}
		return s
	case p.accept("while"):
		s := &loop{line: line, condition: p.expression()}
		s.body = p.statements()
		return s
	case p.accept("with"):
		s := &context{line: line, of: p.expression()}
		if p.accept("as") {
			s.variable = p.name()
		}
		s.body = p.statements()
		return s
	case p.accept("for"):
		s := &loop{line: line, variable: p.name()}
		p.expect("in")
		s.condition = p.expression()
		s.body = p.statements()
		return s
	}
	return p.simple()
}

// simple reads an assignment or an expression.
func (p *parser) simple() statement {
	line := p.peek().line
	if t := p.peek(); t.kind == word && keywords[t.text] {
		p.fail("the statement %q is not supported", t.text)
	}
	x := p.tuple()
	if p.accept(":") {
		p.expression()
		s := &assignment{line: line, targets: []expr{x}}
		if p.accept("=") {
			s.value = p.tuple()
		}
		p.end()
		return s
	}
	if !p.accept("=") {
		p.end()
		return &evaluation{line, x}
	}
	s := &assignment{line: line, targets: []expr{x}}
	if list, ok := x.(*sequence); ok {
		s.targets, s.unpack = list.elements, true
	}
	for _, t := range s.targets {
		switch t.(type) {
		case *name, *attribute, *subscript:
		default:
			p.fail("something else than a name is assigned to")
		}
	}
	s.value = p.tuple()
	p.end()
	return s
}

// tuple reads an expression, or several with commas.
func (p *parser) tuple() expr {
	line := p.peek().line
	x := p.expression()
	if !p.is(",") {
		return x
	}
	list := &sequence{line: line, tuple: true, elements: []expr{x}}
	for p.accept(",") {
		if k := p.peek(); k.kind == newline || p.is("=") || p.is(")") {
			break
		}
		list.elements = append(list.elements, p.expression())
	}
	return list
}

func (p *parser) expression() expr {
	defer p.deeper()()
	line := p.peek().line
	if p.accept("-") {
		return &negation{line, p.expression()}
	}
	x := p.atom()
	for suffixes := 0; ; suffixes++ {
		if suffixes > nestingMax {
			p.fail("an expression has more than %d suffixes", nestingMax)
		}
		line := p.peek().line
		switch {
		case p.accept("."):
			x = &attribute{line, x, p.attributeName()}
		case p.accept("("):
			x = p.arguments(line, x)
		case p.accept("["):
			i := p.tuple()
			p.expect("]")
			x = &subscript{line, x, i}
		default:
			return x
		}
	}
}

// attributeName reads a name after a dot, where keywords are names too.
func (p *parser) attributeName() string {
	t := p.next()
	if t.kind != word {
		p.pos--
		p.fail("%q stands where a name belongs", t.text)
	}
	return t.text
}

func (p *parser) arguments(line int, f expr) expr {
	a := &apply{line: line, f: f}
	for !p.accept(")") {
		name := ""
		if t := p.peek(); t.kind == word && p.toks[p.pos+1].kind == symbol && p.toks[p.pos+1].text == "=" {
			name = t.text
			p.pos += 2
		}
		a.args, a.names = append(a.args, p.expression()), append(a.names, name)
		if !p.is(")") {
			p.expect(",")
		}
	}
	return a
}

func (p *parser) atom() expr {
	t := p.next()
	switch t.kind {
	case text:
		return &literal{t.line, t.text}
	case number:
		return p.number(t)
	case word:
		switch t.text {
		case "None":
			return &literal{t.line, nil}
		case "True", "False":
			return &literal{t.line, t.text == "True"}
		case "inf":
			return &literal{t.line, math.Inf(1)}
		case "nan":
			return &literal{t.line, math.NaN()}
		}
		p.pos--
		return &name{t.line, p.name()}
	case symbol:
		switch t.text {
		case "(":
			if p.accept(")") {
				return &sequence{line: t.line, tuple: true}
			}
			x := p.tuple()
			p.expect(")")
			return x
		case "[":
			list := &sequence{line: t.line}
			for !p.accept("]") {
				list.elements = append(list.elements, p.expression())
				if !p.is("]") {
					p.expect(",")
				}
			}
			return list
		case "{":
			m := &mapping{line: t.line}
			for !p.accept("}") {
				m.keys = append(m.keys, p.expression())
				p.expect(":")
				m.values = append(m.values, p.expression())
				if !p.is("}") {
					p.expect(",")
				}
			}
			return m
		}
	}
	p.pos--
	p.fail("%q stands where a value belongs", t.text)
	return nil
}

func (p *parser) number(t token) expr {
	if n, err := strconv.ParseInt(t.text, 10, 64); err == nil {
		return &literal{t.line, n}
	}
	x, err := strconv.ParseFloat(t.text, 64)
	if err != nil || strings.ContainsAny(t.text, "xXpP_") {
		p.pos--
		p.fail("%q is not a number", t.text)
	}
	return &literal{t.line, x}
}
