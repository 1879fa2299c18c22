package ops

// scatterOp is the name of ScatterElements up to opset 10.
var scatterOp = &Operator{
	Name: "Scatter", Since: 9,
	inputs: []input{data("data", anything), constant("indices", indices), data("updates", anything)},
	attrs:  []attr{intAttr("axis", 0)},
	infer:  sameAsFirst,
	eval:   evalScatterElements,
}
