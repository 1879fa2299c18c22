package ops

// castlikeOp converts elements to the type of another tensor's.
var castlikeOp = &Operator{
	Name: "CastLike", Since: 15,
	inputs: []input{data("input", anything), constant("target_type", anything)},
	attrs:  []attr{intAttr("saturate", 1).from(19), stringAttr("round_mode", "up", "down", "nearest").from(24)},
	infer:  func(f *inference) { f.set(0, f.input(1).dtype, f.input(0).shape) },
	eval:   func(c *call) { c.set(0, c.cast(c.input(0), c.input(1).dtype, c.castRounding())) },
}
