package scan

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// jsonMax is the largest JSON that is read.
const jsonMax = 256 << 20

// tokens gives every key of a JSON text with the key that its object stands
// under and the value nil, and every other value with its key.
func (w *walk) tokens(p part, visit func(parent, key string, value any)) bool {
	b, ok := w.all(p, jsonMax)
	if !ok {
		return false
	}
	// Before torch 2.7 numbers that JSON does not have are written bare.
	b = bareNumbers().ReplaceAllFunc(b, func(m []byte) []byte {
		return append(append([]byte{}, m[:1]...), []byte(" null"+string(m[len(m)-1:]))...)
	})
	if at, err := walkJSON(b, visit); err != nil {
		w.gap(p, at, "the JSON cannot be read: %v", err)
		return false
	}
	return true
}

// walkJSON is tokens for bytes; an error stands at a place in them.
func walkJSON(b []byte, visit func(parent, key string, value any)) (at int64, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	type level struct {
		object, key bool
		name        string
	}
	var stack []level
	for {
		t, err := d.Token()
		if err == io.EOF {
			return 0, nil
		}
		if err != nil {
			return d.InputOffset(), err
		}
		if delim, ok := t.(json.Delim); ok {
			switch delim {
			case '{', '[':
				name := ""
				if len(stack) > 0 {
					name = stack[len(stack)-1].name
					stack[len(stack)-1].key = true
				}
				stack = append(stack, level{object: delim == '{', key: true, name: name})
			default:
				stack = stack[:len(stack)-1]
			}
			if len(stack) > 200 {
				return d.InputOffset(), errors.New("it is nested more than 200 deep")
			}
			continue
		}
		if len(stack) == 0 {
			visit("", "", t)
			continue
		}
		parent := ""
		if len(stack) > 1 {
			parent = stack[len(stack)-2].name
		}
		top := &stack[len(stack)-1]
		if s, isText := t.(string); top.object && top.key && isText {
			top.name, top.key = s, false
			visit(parent, s, nil)
			continue
		}
		top.key = true
		if t == nil {
			t = json.Number("null")
		}
		visit(parent, top.name, t)
	}
}

var bareNumbers = lazyRegexp(`[:,\[]\s*(-?Infinity|NaN)\s*[,\]}]`)

// usesPickle reports whether a configuration of weights or constants says that
// one of them is a pickle.
func (w *walk) usesPickle(p part) (pickles bool) {
	ok := w.tokens(p, func(_, key string, value any) {
		if strings.EqualFold(key, "use_pickle") && value != nil && value != false && value != json.Number("null") {
			pickles = true
		}
	})
	return pickles || !ok
}

// program scans the JSON of an exported program: torch evaluates some of its
// texts as Python, and imports modules that others name.
func (w *walk) program(p part) {
	odd := func(level Level, what, why string) {
		w.find(Finding{Level: level, Kind: KindCode, What: what, Why: why, Member: p.member})
	}
	w.tokens(p, func(parent, key string, value any) {
		if value == nil && parent == "range_constraints" && !isExpression(key) {
			odd(Danger, key, "is not a plain expression of sizes, and torch evaluates it as Python when it loads the program")
		}
		s, ok := value.(string)
		if !ok {
			return
		}
		switch key {
		case "expr_str":
			if !isExpression(s) {
				odd(Danger, s, "is not a plain expression of sizes, and torch evaluates it as Python when it loads the program")
			}
		case "guards_code":
			if !isGuard(s) {
				odd(Danger, s, "is not a plain condition on the inputs, and torch compiles and runs it as Python")
			}
		case "target":
			switch {
			case isTarget(s):
			case harm(s) != "" || filingTarget().MatchString(s) || strings.Contains(s, "__"):
				odd(Danger, s, "is not an operator of torch: the program would call it")
			default:
				odd(Unknown, s, "is not an operator of torch that is known: the program would call it")
			}
		case "in_spec", "out_spec":
			w.treespec(p, s, 0)
		}
		w.base64(p, s)
	})
}

// treespec scans the description of a tree of inputs or outputs: JSON in a
// string, which can name modules that torch imports.
func (w *walk) treespec(p part, s string, depth int) {
	if depth > 3 || s == "" || !w.spend(int64(len(s))) {
		return
	}
	inner := part{src: strings.NewReader(s), size: int64(len(s)), member: p.member}
	factory := ""
	w.tokens(inner, func(_, key string, value any) {
		text, ok := value.(string)
		if !ok {
			return
		}
		switch key {
		case "default_factory_module":
			factory = text
		case "default_factory_name":
			w.imports(p, factory, text)
		case "fqn":
			module, name, _ := strings.Cut(text, ":")
			w.imports(p, module, name)
		}
		if strings.ContainsAny(text, "{[") {
			w.treespec(p, text, depth+1)
		}
	})
}

// imports judges a name that a loader imports.
func (w *walk) imports(p part, module, name string) {
	m := &machine{p: p}
	g := m.classify(module, name)
	if g.direct || g.function && g.level < Danger {
		g = &global{module: module, name: name, level: Unknown, why: "a function that is not known to be harmless, which torch imports when it loads the program"}
	}
	if g.level > 0 {
		w.find(Finding{Level: g.level, Kind: KindGlobal, What: g.String(), Why: g.why, Member: p.member})
	}
}

// blobs scans what a JSON text holds in base 64.
func (w *walk) blobs(p part) {
	head := w.head(p, 1)
	if len(head) == 1 && (head[0] == '{' || head[0] == '[' || head[0] == '"') {
		w.tokens(p, func(_, _ string, value any) {
			if s, ok := value.(string); ok {
				w.base64(p, s)
			}
		})
	}
}

// base64 scans a string that holds a checkpoint, as those of torch 2.1 do.
func (w *walk) base64(p part, s string) {
	if len(s) < 8 || !strings.HasPrefix(s, "UEsD") && !strings.HasPrefix(s, "UEsF") && !strings.HasPrefix(s, "gA") && len(s) < 64 {
		return
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || !w.spend(int64(len(b))) {
		return
	}
	inner := part{src: bytes.NewReader(b), size: int64(len(b)), member: p.inside("base64"), depth: p.depth + 1, script: p.script}
	if bytes.HasPrefix(b, []byte("PK")) || len(b) > 1 && b[0] == 0x80 && b[1] <= 5 {
		w.file(inner)
		return
	}
	if s, m := w.pickle(inner, 0, true); s.effects && s.ended {
		m.release()
	}
}

var (
	word       = lazyRegexp(`[A-Za-z_][A-Za-z_0-9.]*|[0-9][0-9.]*([eE][+-]?[0-9]+)?`)
	exprChars  = lazyRegexp(`^[A-Za-z_0-9 +*/%(),.=<>!&|~^'-]*$`)
	guardChars = lazyRegexp(`^[A-Za-z_0-9 +*/%(),.=<>!&|~^\[\]-]*$`)
	symbol     = lazyRegexp(`^[suzif]\d+$|^u?unbacked|^s\d+_\d+$`)
	functions  = lazyRegexp(`^(Symbol|Integer|Rational|Float|Number|Add|Mul|Pow|Mod|Max|Min|Abs|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Piecewise|ExprCondPair|Tuple|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt|FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|Identity|TruncToFloat|TruncToInt|RoundToInt|RoundDecimal|ToFloat|BitwiseFn_bitwise_and|BitwiseFn_bitwise_or|OpaqueUnaryFn_\w+|IsNonOverlappingAndDenseIndicator|Equality|Unequality|StrictLessThan|StrictGreaterThan|LessThan|GreaterThan|true|false|True|False|BooleanTrue|BooleanFalse|oo|Infinity|NegativeInfinity|int_oo|IntInfinity|NegativeIntInfinity|NaN|One|Zero|NegativeOne|Half|positive|integer|nonnegative|negative|real|nonzero|zero|finite|evaluate|precision|floor|ceiling|sqrt|log|exp|e)$`)
	quotedText = lazyRegexp(`'[A-Za-z_0-9.]*'|"[A-Za-z_0-9.]*"`)
	called     = lazyRegexp(`([A-Za-z_0-9.\])]*)\s*\(`)
)

// isExpression reports whether a text is an expression of symbols and numbers,
// with functions of a fixed list alone.
func isExpression(s string) bool {
	if len(s) > 1<<16 || !exprChars().MatchString(s) || strings.Contains(s, "__") {
		return false
	}
	s = quotedText().ReplaceAllString(s, "0")
	if strings.ContainsAny(s, `'"`) {
		return false
	}
	for _, name := range word().FindAllString(s, -1) {
		if c := name[0]; (c < '0' || c > '9') && !symbol().MatchString(name) && !functions().MatchString(name) {
			return false
		}
	}
	return true
}

// isGuard reports whether a text compares properties of inputs and calls
// nothing but len, int and the like.
func isGuard(s string) bool {
	bare := quotedText().ReplaceAllString(s, "0")
	if len(s) > 1<<16 || !guardChars().MatchString(bare) || strings.Contains(s, "__") || strings.Contains(s, "lambda") {
		return false
	}
	for _, i := range called().FindAllStringSubmatch(bare, -1) {
		name := i[1]
		if dot := strings.LastIndexByte(name, '.'); dot >= 0 && !strings.HasPrefix(name, "math.") && !strings.HasPrefix(name, "torch.sym_") {
			name = name[dot+1:]
			if name != "size" && name != "stride" && name != "dim" && name != "storage_offset" {
				return false
			}
			continue
		}
		switch {
		case name == "" || name == "and" || name == "or" || name == "not" || name == "len" || name == "int" || name == "max" || name == "min" || name == "abs":
		case strings.HasPrefix(name, "math.") || strings.HasPrefix(name, "torch.sym_"):
		case functions().MatchString(name):
		default:
			return false
		}
	}
	return true
}

var target = lazyRegexp(`^torch\.ops\.[A-Za-z_0-9]+\.[A-Za-z_0-9]+(\.[A-Za-z_0-9]+)?$|^_operator\.[a-z_]+$|^math\.[a-z]+$|^torch\.sym_[a-z]+$|^torch\._sym_[a-z]+$|^#[A-Za-z_0-9.:]+$`)

// isTarget reports whether the target of a node is an operator of torch.
func isTarget(s string) bool {
	if filingTarget().MatchString(s) || !target().MatchString(s) || strings.Contains(s, "__") && !strings.HasPrefix(s, "torch.ops.aten.__") {
		return false
	}
	switch s {
	case "_operator.attrgetter", "_operator.methodcaller", "_operator.call", "_operator.setitem", "_operator.delitem":
		return false
	}
	return true
}

// filing are the names of operators of TorchScript that read or write files.
// They are reached through torch or ops; ordinary is how TorchScript writes a
// call of an operator, and reached is every other mention of torch and ops.
var (
	filing   = lazyRegexp(`\b(save|from_file|read_file|write_file|load_tensor)\b`)
	filed    = lazyRegexp(`\b(torch|aten|image|debugprims)[\s\\]*\.[\s\\]*(save|from_file|read_file|write_file|load_tensor)\b`)
	ordinary = lazyRegexp(`\b(torch\.[A-Za-z_0-9]+|ops\.[A-Za-z_0-9]+\.[A-Za-z_0-9]+)\(`)
	reached  = lazyRegexp(`(^|[^.A-Za-z_0-9])(torch|ops)\b`)
)

// filingTarget are the same as targets of an exported program.
var filingTarget = lazyRegexp(`^torch\.ops\.(aten|image|debugprims)\.(save|from_file|load_tensor|read_file|write_file)(\.|$)`)

// source looks at the source of a TorchScript program, which TorchScript runs
// and Python does not.
func (w *walk) source(p part) {
	b, ok := w.all(p, jsonMax)
	if !ok {
		return
	}
	if word := filing().Find(b); word != nil && (filed().Match(b) || reached().Match(ordinary().ReplaceAll(b, []byte("0(")))) {
		w.find(Finding{Level: Danger, Kind: KindCode, What: string(word), Why: "reads or writes a file when the program is loaded or runs", Member: p.member})
	}
	if !plainGetattr(b) {
		w.find(Finding{Level: Unknown, Kind: KindCode, What: "getattr", Why: "takes an attribute by a name that is not a plain text, so what the program runs cannot be told", Member: p.member})
	}
	w.find(Finding{Level: Notice, Kind: KindCode, What: "TorchScript", Why: "source that the interpreter of TorchScript runs, not Python"})
}

var (
	getattr  = lazyRegexp(`\bgetattr\b`)
	lastName = lazyRegexp(`,\s*("[A-Za-z_0-9.]*"|'[A-Za-z_0-9.]*')\s*$`)
)

// plainGetattr reports whether every getattr of a program has one plain string
// for the name. TorchScript joins strings that follow each other, and reads
// escapes in them.
func plainGetattr(code []byte) bool {
	for _, at := range getattr().FindAllIndex(code, -1) {
		rest := code[at[1]:min(len(code), at[1]+4096)]
		depth, end := 0, -1
		for i := 0; i < len(rest) && end < 0; i++ {
			switch rest[i] {
			case '(':
				depth++
			case ')':
				if depth--; depth == 0 {
					end = i
				}
			case '"', '\'':
				quote := rest[i]
				for i++; i < len(rest) && rest[i] != quote; i++ {
					if rest[i] == '\\' {
						return false
					}
				}
			}
		}
		if end < 0 || !lastName().Match(rest[:end]) {
			return false
		}
	}
	return true
}
