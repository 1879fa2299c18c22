package aten

import "maps"

// table has a row for each operator of ATen, by its name and, where overloads
// take other arguments, with the overload. Names that end in an underscore
// write in place and share the row of the name without it.
var table = map[string]*row{}

func init() {
	for _, part := range []map[string]row{elementwiseRows, numberRows, layerRows, poolRows, shapeRows, partRows, reduceRows, matrixRows, makerRows, recurrentRows, cellRows, diagonalRows, distanceRows, windowRows, bagRows, scatterRows, gridRows} {
		for name, r := range maps.All(part) {
			r.params = parseSchema(r.schema)
			table[name] = &r
		}
	}
	for alias, name := range synonyms {
		table[alias] = table[name]
	}
}

// synonyms are operators that are others under a second name.
var synonyms = map[string]string{
	"aten.multiply":     "aten.mul",
	"aten.subtract":     "aten.sub",
	"aten.divide":       "aten.div",
	"aten.true_divide":  "aten.div",
	"aten.absolute":     "aten.abs",
	"aten.negative":     "aten.neg",
	"aten.greater":      "aten.gt",
	"aten.less":         "aten.lt",
	"aten.swapdims":     "aten.transpose",
	"aten.concat":       "aten.cat",
	"aten.concatenate":  "aten.cat",
	"aten._unsafe_view": "aten.view",
	"aten.clip":         "aten.clamp",
	"aten.mH":           "aten.mT",
	"aten.adjoint":      "aten.mT",
}
