package script

import (
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/model"
)

// containers evaluates operators of lists, dictionaries, strings and shapes.
func (e *evaluator) containers(op string, args []any, named map[string]any) (any, bool) {
	if len(args) == 0 {
		return nil, false
	}
	switch x := args[0].(type) {
	case *aten.Value, scalar:
		return e.aboutTensor(op, args)
	case *list:
		if op == "tensor" || op == "as_tensor" {
			return e.literalTensor(x, named)
		}
		return e.ofList(op, x, args)
	case *tuple:
		if op == "len" {
			return int64(len(x.values)), true
		}
		if op == "slice" {
			return e.sliced(x.values, args), true
		}
	case *dict:
		return e.ofDict(op, x, args)
	case string:
		return e.ofString(op, x, args)
	}
	switch op {
	case "__range_length":
		if len(args) == 3 {
			lo, hi, step := e.fixed(args[0]), e.fixed(args[1]), e.fixed(args[2])
			switch {
			case step > 0 && lo < hi:
				return (hi - lo + step - 1) / step, true
			case step < 0 && lo > hi:
				return (lo - hi - step - 1) / -step, true
			case step == 0:
				e.bad("a range with a step of 0")
			}
			return int64(0), true
		}
	case "__derive_index":
		if len(args) == 3 {
			return e.fixed(args[1]) + e.fixed(args[0])*e.fixed(args[2]), true
		}
	case "tensor", "scalar_tensor", "as_tensor":
		if isNumber(args[0]) {
			return e.prim("NumToTensor", args[:1], nil), true
		}
	case "str":
		return e.show(args[0]), true
	}
	return nil, false
}

// aboutTensor answers questions about the shape of a tensor.
func (e *evaluator) aboutTensor(op string, args []any) (any, bool) {
	shape := e.shapeOf(args[0])
	switch op {
	case "size", "sym_size":
		if len(args) == 1 {
			return sizesOf(shape), true
		}
		return plain(shape[e.index(args[1], len(shape))]), true
	case "dim", "ndimension":
		return int64(len(shape)), true
	case "numel":
		return plain(shape.Elements()), true
	case "len":
		if len(shape) == 0 {
			e.bad("the length of a tensor without axes")
		}
		return plain(shape[0]), true
	case "stride":
		return nil, false
	case "is_same_size":
		return shape.Equal(e.shapeOf(args[1])), true
	case "get_device":
		return int64(-1), true
	case "item", "Int", "Float", "Bool", "IntImplicit", "FloatImplicit", "ScalarImplicit":
		if v, ok := args[0].(*aten.Value); ok {
			if x, known := e.element(v); known {
				return x, true
			}
			e.unsupported("write the network without it", "a number that depends on the values of a tensor")
		}
	}
	return nil, false
}

// room makes sure that a list may hold n elements.
func (e *evaluator) room(n int) {
	if n > elementsMax {
		e.limit("a list of the TorchScript code", "elements", n, elementsMax)
	}
}

func (e *evaluator) ofList(op string, x *list, args []any) (any, bool) {
	n := len(x.values)
	second := func() any {
		if len(args) < 2 {
			e.bad("%s has too few arguments", op)
		}
		return args[1]
	}
	switch op {
	case "len":
		return int64(n), true
	case "append":
		e.room(n + 1)
		x.values = append(x.values, second())
		return x, true
	case "extend", "add", "add_":
		other, ok := second().(*list)
		if !ok {
			return nil, false
		}
		e.room(n + len(other.values))
		e.spend(n + len(other.values))
		joined := slices.Concat(x.values, other.values)
		if op == "add" {
			return &list{joined}, true
		}
		x.values = joined
		return x, true
	case "mul":
		times := max(e.fixed(second()), 0)
		if times > elementsMax {
			e.room(elementsMax + 1)
		}
		e.room(n * int(times))
		e.spend(n * int(times))
		return &list{slices.Repeat(x.values, int(times))}, true
	case "insert":
		if len(args) < 3 {
			e.bad("insert has too few arguments")
		}
		e.room(n + 1)
		e.spend(n)
		i := e.fixed(args[1])
		if i < 0 {
			i += int64(n)
		}
		x.values = slices.Insert(x.values, int(min(max(i, 0), int64(n))), args[2])
		return nil, true
	case "pop":
		i := any(int64(-1))
		if len(args) > 1 {
			i = args[1]
		}
		at := e.index(i, n)
		v := x.values[at]
		x.values = slices.Delete(x.values, at, at+1)
		return v, true
	case "clear":
		x.values = nil
		return nil, true
	case "reverse":
		e.spend(n)
		slices.Reverse(x.values)
		return nil, true
	case "copy", "list":
		e.spend(n)
		return &list{slices.Clone(x.values)}, true
	case "slice":
		return e.sliced(x.values, args), true
	case "__getitem__":
		return e.item(x, second()), true
	case "_set_item":
		if len(args) < 3 {
			e.bad("_set_item has too few arguments")
		}
		e.setItem(x, args[1], args[2])
		return x, true
	}
	return e.ofValues(op, x, args, second)
}

// ofValues evaluates the operators that look at every element of a list, and
// reports whether op is one of them. second returns the second argument.
func (e *evaluator) ofValues(op string, x *list, args []any, second func() any) (any, bool) {
	switch op {
	case "__contains__", "index", "count":
		if slices.ContainsFunc(x.values, func(v any) bool { _, is := v.(*aten.Value); return is }) {
			return nil, false
		}
		found := int64(0)
		for i, v := range x.values {
			if e.truth(e.equal(v, second())) {
				if op == "__contains__" {
					return true, true
				}
				if op == "index" {
					return int64(i), true
				}
				found++
			}
		}
		if op == "index" {
			e.bad("the element is not in the list")
		}
		if op == "count" {
			return found, true
		}
		return false, true
	case "sum", "max", "min":
		if len(args) == 1 && len(x.values) > 0 && isNumber(x.values[0]) {
			if op != "sum" {
				return e.extreme(op, x.values), true
			}
			total := any(int64(0))
			for _, v := range x.values {
				total = e.arithmetic("add", total, v)
			}
			return total, true
		}
	case "any", "all":
		for _, v := range x.values {
			if _, isTensor := v.(*aten.Value); isTensor {
				return nil, false
			}
			if e.truth(v) == (op == "any") {
				return op == "any", true
			}
		}
		return op == "all", true
	case "list_with_default":
		defaults, _ := elements(second())
		out := &list{}
		for i, v := range x.values {
			if v == nil && i < len(defaults) {
				v = defaults[i]
			}
			out.values = append(out.values, v)
		}
		return out, true
	}
	return nil, false
}

// literalTensor is a tensor whose elements the code writes out, in lists of equal
// lengths.
func (e *evaluator) literalTensor(x *list, named map[string]any) (any, bool) {
	var shape []int
	var flat []any
	var walk func(v any, depth int) bool
	walk = func(v any, depth int) bool {
		e.spend(1)
		l, ok := v.(*list)
		if !ok {
			flat = append(flat, v)
			return depth == len(shape) && isNumber(v)
		}
		if depth == len(shape) && len(flat) == 0 {
			shape = append(shape, len(l.values))
		}
		if depth >= len(shape) || shape[depth] != len(l.values) || len(flat) > elementsMax {
			return false
		}
		return !slices.ContainsFunc(l.values, func(v any) bool { return !walk(v, depth+1) })
	}
	if !walk(x, 0) || len(flat) == 0 {
		return nil, false
	}
	d := model.Bool
	for _, v := range flat {
		switch v.(type) {
		case float64:
			d = model.Float32
		case int64:
			if d == model.Bool {
				d = model.Int64
			}
		case bool:
		default: // a size that is open
			return nil, false
		}
	}
	var bytes []byte
	for _, v := range flat {
		x := any(v)
		if n, ok := v.(int64); ok && d == model.Float32 {
			x = float64(n)
		}
		b, ok := aten.Element(d, x)
		if !ok {
			return nil, false
		}
		bytes = append(bytes, b...)
	}
	t, err := model.NewTensor(d, shape, nil, 0, model.BytesStorage(bytes))
	if err != nil {
		return nil, false
	}
	v := e.weightValue(t)
	if to := named["dtype"]; to != nil {
		v = e.operator("to", []any{v, to}, nil)
	}
	return v, true
}

// sliced returns a part of a list: the list, start, end, step.
func (e *evaluator) sliced(values []any, args []any) *list {
	n := int64(len(values))
	bound := func(i int, otherwise int64) int64 {
		if i >= len(args) || args[i] == nil {
			return otherwise
		}
		v := e.fixed(args[i])
		if i < 3 && v < 0 {
			v += n
		}
		if i < 3 {
			v = min(max(v, 0), n)
		}
		return v
	}
	from, to, step := bound(1, 0), bound(2, n), bound(3, 1)
	if step < 1 {
		e.unsupported("", "a slice of a list with a step of %d", step)
	}
	e.spend(len(values))
	out := &list{}
	for i := from; i < to; i += step {
		out.values = append(out.values, values[i])
	}
	return out
}

func (e *evaluator) ofDict(op string, d *dict, args []any) (any, bool) {
	e.spend(len(d.keys))
	switch op {
	case "len":
		return int64(len(d.keys)), true
	case "keys":
		return &list{slices.Clone(d.keys)}, true
	case "values":
		return &list{slices.Clone(d.values)}, true
	case "items":
		l := &list{}
		for i := range d.keys {
			l.values = append(l.values, &tuple{values: []any{d.keys[i], d.values[i]}})
		}
		return l, true
	}
	if len(args) < 2 {
		return nil, false
	}
	at := slices.IndexFunc(d.keys, func(k any) bool { return e.equal(k, args[1]) == true })
	switch op {
	case "__contains__":
		return at >= 0, true
	case "__getitem__":
		return e.item(d, args[1]), true
	case "_set_item":
		if len(args) < 3 {
			return nil, false
		}
		e.setItem(d, args[1], args[2])
		return d, true
	case "get":
		if at >= 0 {
			return d.values[at], true
		}
		if len(args) > 2 {
			return args[2], true
		}
		return nil, true
	}
	return nil, false
}

func (e *evaluator) ofString(op, s string, args []any) (any, bool) {
	text := func(i int) string {
		if i < len(args) {
			if t, ok := args[i].(string); ok {
				return t
			}
		}
		e.bad("%s of a string has no string as its argument", op)
		return ""
	}
	e.spend(len(s) / 16)
	switch op {
	case "len":
		return int64(len(s)), true
	case "format", "percentFormat":
		var b strings.Builder
		rest := s
		for _, a := range args[1:] {
			mark := "{}"
			if op == "percentFormat" {
				mark = "%" + "s"
				if i := strings.IndexByte(rest, '%'); i >= 0 && i+1 < len(rest) {
					mark = rest[i : i+2]
				}
			}
			before, after, ok := strings.Cut(rest, mark)
			if !ok {
				break
			}
			b.WriteString(before + e.show(a))
			rest = after
		}
		b.WriteString(rest)
		if b.Len() > elementsMax {
			e.limit("a string of the TorchScript code", "bytes", b.Len(), elementsMax)
		}
		return b.String(), true
	case "lower":
		return strings.ToLower(s), true
	case "upper":
		return strings.ToUpper(s), true
	case "startswith":
		return strings.HasPrefix(s, text(1)), true
	case "endswith":
		return strings.HasSuffix(s, text(1)), true
	case "__contains__":
		return strings.Contains(s, text(1)), true
	case "find":
		if len(args) == 2 || args[2] == int64(0) && (len(args) == 3 || args[3] == int64(len(s))) {
			return int64(strings.Index(s, text(1))), true
		}
	case "__getitem__":
		if len(args) > 1 {
			return e.item(s, args[1]), true
		}
	case "str":
		return s, true
	}
	return nil, false
}
