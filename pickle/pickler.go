package pickle

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// batch is how many items CPython's pickler puts between two marks.
const batch = 1000

// pickler writes values as CPython's C pickler does at protocol 2, which is
// what torch.save uses: the first use of a value in full, followed by the store
// of it in the memo, every later one as a read of the memo. Numbers, None,
// bools, the empty tuple and storages are written in full each time.
type pickler struct {
	b    []byte
	memo map[any]int // the pointers of values that were written

	replaced map[any]any // what is written in place of other values
}

// encodePickle returns the pickle of a value that a pickle holds, with other
// values in place of some.
func encodePickle(root any, replaced map[any]any) ([]byte, error) {
	p := &pickler{b: []byte{0x80, 2}, memo: map[any]int{}, replaced: replaced}
	err := p.save(root)
	return append(p.b, '.'), err
}

func (p *pickler) op(code ...byte) { p.b = append(p.b, code...) }

// memoize stores the value on top of the reader's stack.
func (p *pickler) memoize(v any) { p.index('q', 'r', len(p.memo)); p.memo[v] = len(p.memo) }

// index writes an instruction on the memo, in its short form where that is one.
func (p *pickler) index(short, long byte, i int) {
	if i <= math.MaxUint8 {
		p.op(short, byte(i))
		return
	}
	p.b = binary.LittleEndian.AppendUint32(append(p.b, long), uint32(i))
}

// recall writes the read of a value from the memo, if it is there.
func (p *pickler) recall(v any) bool {
	i, known := p.memo[v]
	if known {
		p.index('h', 'j', i)
	}
	return known
}

func (p *pickler) save(v any) error {
	if len(p.replaced) > 0 {
		if other, ok := p.replaced[v]; ok {
			v = other
		}
	}
	switch v := v.(type) {
	case nil:
		p.op('N')
	case bool:
		if v {
			p.op('\x88')
		} else {
			p.op('\x89')
		}
	case int:
		p.int(v)
	case *big.Int:
		p.long(v)
	case float64:
		p.b = binary.BigEndian.AppendUint64(append(p.b, 'G'), math.Float64bits(v))
	case *text:
		p.text(v)
	case *global:
		p.global(v)
	case *reference:
		if err := p.save(v.id); err != nil {
			return err
		}
		p.op('Q')
	case *tuple:
		return p.tuple(v)
	case *list:
		return p.list(v)
	case *dict:
		return p.dict(v)
	case *object:
		return p.object(v)
	default:
		return fmt.Errorf("pickle: a value of type %T cannot be written", v)
	}
	return nil
}

func (p *pickler) int(v int) {
	switch {
	case v >= 0 && v <= math.MaxUint8:
		p.op('K', byte(v))
	case v >= 0 && v <= math.MaxUint16:
		p.b = binary.LittleEndian.AppendUint16(append(p.b, 'M'), uint16(v))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		p.b = binary.LittleEndian.AppendUint32(append(p.b, 'J'), uint32(v))
	default:
		p.long(big.NewInt(int64(v)))
	}
}

// long writes a whole number in as few bytes of two's complement as hold it.
func (p *pickler) long(v *big.Int) {
	n := v.BitLen()/8 + 1
	if v.Sign() < 0 {
		n = new(big.Int).Not(v).BitLen()/8 + 1
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	le := v.FillBytes(make([]byte, n))
	slices.Reverse(le)
	if n <= math.MaxUint8 {
		p.op('\x8a', byte(n))
	} else {
		p.b = binary.LittleEndian.AppendUint32(append(p.b, '\x8b'), uint32(n))
	}
	p.op(le...)
}

func (p *pickler) text(v *text) {
	if p.recall(v) {
		return
	}
	p.b = binary.LittleEndian.AppendUint32(append(p.b, 'X'), uint32(len(v.s)))
	p.b = append(p.b, v.s...)
	p.memoize(v)
}

// python2 has the globals of Python 3 that pickles of protocol 2 call otherwise.
var python2 = map[string]string{"int": "long", "str": "unicode", "range": "xrange"}

// global writes a global under the name that it had in Python 2, as protocol 2
// demands.
func (p *pickler) global(g *global) {
	if g.module == "builtins" || g.module == "__builtin__" {
		if old := lookup("__builtin__", cmp.Or(python2[g.name], g.name)); old != nil {
			g = old
		}
	}
	if p.recall(g) {
		return
	}
	p.b = fmt.Appendf(p.b, "c%s\n%s\n", g.module, g.name)
	p.memoize(g)
}

func (p *pickler) tuple(v *tuple) error {
	elements := *v
	if len(elements) == 0 {
		p.op(')')
		return nil
	}
	if p.recall(v) {
		return nil
	}
	if len(elements) > 3 {
		p.op('(')
	}
	for _, e := range elements {
		if err := p.save(e); err != nil {
			return err
		}
	}
	if len(elements) > 3 {
		p.op('t')
	} else {
		p.op('\x84' + byte(len(elements)))
	}
	p.memoize(v)
	return nil
}

func (p *pickler) list(v *list) error {
	if p.recall(v) {
		return nil
	}
	p.op(']')
	p.memoize(v)
	return p.appends(v.values)
}

// appends writes the items of a list in batches; a single item stands alone.
func (p *pickler) appends(items []any) error {
	if len(items) == 1 {
		err := p.save(items[0])
		p.op('a')
		return err
	}
	for part := range slices.Chunk(items, batch) {
		p.op('(')
		for _, v := range part {
			if err := p.save(v); err != nil {
				return err
			}
		}
		p.op('e')
	}
	return nil
}

// dict writes a dict in batches. After a full one comes another, even if it is
// empty.
func (p *pickler) dict(v *dict) error {
	if p.recall(v) {
		return nil
	}
	p.op('}')
	p.memoize(v)
	n := len(v.items)
	if n == 0 {
		return nil
	}
	if n > 1 {
		p.op('(')
	}
	for i, e := range v.items {
		if err := p.save(e.key); err != nil {
			return err
		}
		if err := p.save(e.value); err != nil {
			return err
		}
		if (i+1)%batch == 0 {
			p.op('u', '(')
		}
	}
	if n == 1 {
		p.op('s')
	} else {
		p.op('u')
	}
	return nil
}

// setItems writes the items of an OrderedDict or another class with items in
// batches; a single item in the last one stands alone.
func (p *pickler) setItems(items []item) error {
	for part := range slices.Chunk(items, batch) {
		if len(part) > 1 {
			p.op('(')
		}
		for _, it := range part {
			if err := p.save(it.key); err != nil {
				return err
			}
			if err := p.save(it.value); err != nil {
				return err
			}
		}
		if len(part) > 1 {
			p.op('u')
		} else {
			p.op('s')
		}
	}
	return nil
}

// object writes what made an object, then its items, then its state.
func (p *pickler) object(o *object) error {
	if p.recall(o) {
		return nil
	}
	p.global(o.class)
	if err := p.tuple(o.args); err != nil {
		return err
	}
	if o.instance {
		p.op('\x81')
	} else {
		p.op('R')
	}
	p.memoize(o)
	if o.more == nil {
		return nil
	}
	if err := p.extends(o.more.list); err != nil {
		return err
	}
	if err := p.setItems(o.more.items); err != nil || !o.more.hasState {
		return err
	}
	err := p.save(o.more.state)
	p.op('b')
	return err
}

// extends writes the items of a class that is a list, as setItems does.
func (p *pickler) extends(items []any) error {
	for part := range slices.Chunk(items, batch) {
		if err := p.appends(part); err != nil {
			return err
		}
	}
	return nil
}
