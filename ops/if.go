package ops

import "lethe/graph"

// ifOp evaluates one of two graphs.
var ifOp = &Operator{
	Name: "If", outputs: many,
	inputs: []input{data("cond", bools)},
	attrs:  []attr{noDefault("then_branch", graph.GraphAttr).must(), noDefault("else_branch", graph.GraphAttr).must()},
	body: func(c *call, s subgraphs) {
		name := "else_branch"
		if c.scalar(0, 0) != 0 {
			name = "then_branch"
		}
		c.out = s.run(c.attr(name).Graph())
	},
}
