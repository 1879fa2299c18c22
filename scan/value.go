package scan

// kind is what the interpreter knows of a value.
type kind uint8

const (
	atom     kind = iota // None, a truth value, a number
	text                 // a string
	blob                 // bytes
	array                // a bytearray
	tuple                //
	list                 //
	dict                 //
	set                  //
	frozen               // a frozenset
	class                // a class or a function that the pickle refers to by name
	object               // made by a call; made says of what
	tensor               //
	storage              // what a persistent id stands for
	attr                 // an attribute of something, taken by name
	external             // given by the program that loads the pickle
)

// value is a value on the stack of an unpickler, as far as it can be known
// without running anything.
type value struct {
	kind    kind
	escaped bool     // the string has the escapes of a UNICODE instruction in the stream
	known   bool     // s is the text of a string, or n the value of a whole number
	n       int64    // a whole number, or where in the stream a string or the bytes are
	size    int64    // of the string or of the bytes there
	s       string   // a string; the little-endian bytes of a long whole number
	items   []*value // of a tuple; of a list, whatever is more than an atom; of bytes, the string in Latin-1 that they are made of
	made    *global  // a class itself, or what made an object
}

// textMax bounds the strings that are kept: no name of anything is longer.
const textMax = 4096

var (
	noneValue = &value{kind: atom}
	small     = func() (vs [256]value) {
		for i := range vs {
			vs[i] = value{kind: atom, known: true, n: int64(i)}
		}
		return vs
	}()
)

func integer(n int64) *value {
	if n >= 0 && n < int64(len(small)) {
		return &small[n]
	}
	return &value{kind: atom, known: true, n: n}
}

// str returns the text of a string value.
func (v *value) str() (string, bool) { return v.s, v.kind == text && v.known }

// number returns a whole number that fits.
func (v *value) number() (int64, bool) { return v.n, v.kind == atom && v.known && v.s == "" }

// describe names a value for a person.
func (v *value) describe() string {
	switch v.kind {
	case class, object:
		if v.made != nil {
			return v.made.String()
		}
	}
	return [...]string{"a number or None", "a string", "bytes", "a bytearray", "a tuple", "a list", "a dictionary", "a set", "a frozenset",
		"a class", "an object", "a tensor", "a storage", "an attribute", "an external value"}[v.kind]
}
