package aten

import (
	"maps"
	"sync"
)

// tables are what is known of the operators of ATen. They are built when the first
// program is read: most runs of a command read none.
type tables struct {
	// rows are by the name of the operator and, where overloads take other arguments,
	// with the overload. Names that end in an underscore write in place and share the
	// row of the name without it.
	rows        map[string]*row
	elementwise map[string]bool      // operators that combine elements at the same place
	batch       map[string]batchRule // of operators that are not elementwise
	infer       map[string]inferRule // by operator, and by overload where those differ
}

var (
	once  sync.Once
	built tables
)

// known returns the tables.
func known() *tables {
	once.Do(func() {
		built = tables{elementwise: map[string]bool{}, batch: batchRules(), infer: inferRules()}
		built.rows = built.allRows()
	})
	return &built
}

// allRows returns the rows of all operators, and notes which are elementwise.
func (t *tables) allRows() map[string]*row {
	rows := map[string]*row{}
	add := func(part map[string]row) {
		for name, r := range maps.All(part) {
			r.params = parseSchema(r.schema)
			rows[name] = &r
		}
	}
	for _, part := range []map[string]row{elementwiseRows(), formulaRows(), activationRows(), limitRows(), sameRows(), numberRows()} {
		add(part)
		for name, r := range part {
			t.elementwise[name] = r.lower != nil
		}
	}
	for _, part := range []map[string]row{layerRows(), poolRows(), shapeRows(), layoutRows(), partRows(), choiceRows(), reduceRows(), matrixRows(), makerRows(),
		recurrentRows(), cellRows(), diagonalRows(), distanceRows(), windowRows(), bagRows(), scatterRows(), gridRows(), compositeRows()} {
		add(part)
	}
	for alias, name := range synonyms {
		rows[alias] = rows[name]
	}
	return rows
}

// synonyms are operators that are others under a second name.
var synonyms = map[string]string{
	"aten.multiply":      "aten.mul",
	"aten.subtract":      "aten.sub",
	"aten.divide":        "aten.div",
	"aten.true_divide":   "aten.div",
	"aten.absolute":      "aten.abs",
	"aten.negative":      "aten.neg",
	"aten.greater":       "aten.gt",
	"aten.less":          "aten.lt",
	"aten.swapdims":      "aten.transpose",
	"aten.concat":        "aten.cat",
	"aten.concatenate":   "aten.cat",
	"aten._unsafe_view":  "aten.view",
	"aten.clip":          "aten.clamp",
	"aten.mH":            "aten.mT",
	"aten.special_erf":   "aten.erf",
	"aten.special_expit": "aten.sigmoid",
	"aten.special_log1p": "aten.log1p",
	"aten.special_expm1": "aten.expm1",
	"aten.sgn":           "aten.sign",
	"aten.unsafe_split":  "aten.split",
	"aten.unsafe_chunk":  "aten.chunk",
	"aten.adjoint":       "aten.mT",
}

// pythonic are operators that PyTorch has under the names of Python's methods, too.
var pythonic = map[string]string{
	"aten.__and__": "aten.bitwise_and", "aten.__or__": "aten.bitwise_or", "aten.__xor__": "aten.bitwise_xor",
	"aten.__iand__": "aten.bitwise_and_", "aten.__ior__": "aten.bitwise_or_", "aten.__ixor__": "aten.bitwise_xor_",
	"aten.__lshift__": "aten.bitwise_left_shift", "aten.__rshift__": "aten.bitwise_right_shift",
	"aten.__ilshift__": "aten.bitwise_left_shift_", "aten.__irshift__": "aten.bitwise_right_shift_",
}

// OperatorName returns the name by which an operator is known, for those that
// PyTorch has under the name of a method of Python, such as "aten.__and__", too.
func OperatorName(op string) string {
	if name, ok := pythonic[op]; ok {
		return name
	}
	return op
}
