package script

// Expressions.
type (
	expr interface{ at() int }

	name struct {
		line int
		id   string
	}
	literal struct {
		line  int
		value any // nil, bool, int64, float64 or string
	}
	attribute struct {
		line int
		x    expr
		name string
	}
	apply struct {
		line  int
		f     expr
		args  []expr
		names []string // of the arguments; "" for positional ones
	}
	subscript struct {
		line     int
		x, index expr
	}
	sequence struct { // a list or a tuple
		line     int
		tuple    bool
		elements []expr
	}
	mapping struct {
		line         int
		keys, values []expr
	}
	negation struct {
		line int
		x    expr
	}
)

func (e *name) at() int { return e.line }

func (e *literal) at() int { return e.line }

func (e *attribute) at() int { return e.line }

func (e *apply) at() int { return e.line }

func (e *subscript) at() int { return e.line }

func (e *sequence) at() int { return e.line }

func (e *mapping) at() int { return e.line }

func (e *negation) at() int { return e.line }

// Statements.
type (
	statement interface{ at() int }

	assignment struct {
		line    int
		targets []expr // several for an unpacking
		unpack  bool
		value   expr // nil for a declaration
	}
	evaluation struct {
		line int
		x    expr
	}
	branch struct {
		line      int
		condition expr
		yes, no   []statement
	}
	loop struct {
		line      int
		variable  string // of for; "" for while
		condition expr   // of while, or what range is of
		body      []statement
	}
	context struct { // a with statement
		line     int
		of       expr
		variable string // "" for none
		body     []statement
	}
	result struct {
		line int
		x    expr
	}
)

func (s *assignment) at() int { return s.line }

func (s *evaluation) at() int { return s.line }

func (s *branch) at() int { return s.line }

func (s *loop) at() int { return s.line }

func (s *context) at() int { return s.line }

func (s *result) at() int { return s.line }

// class is a class of a file.
type class struct {
	file    string
	name    string
	base    string
	fields  []string        // in order, with a type
	finals  map[string]expr // values of fields that are constants
	lists   map[string]expr // __parameters__, __buffers__
	methods map[string]*function
}

// function is a function or method.
type function struct {
	file   string
	name   string
	line   int
	params []string
	types  []expr
	values []expr // defaults; nil for none
	body   []statement
}

// unit is a parsed file.
type unit struct {
	classes   map[string]*class
	functions map[string]*function
}
