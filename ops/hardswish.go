package ops

// hardswishOp is x times the hard sigmoid of slope 1/6.
var hardswishOp = realOp("HardSwish", 14, func(x float64) float64 { return x * max(0, min(1, x/6+0.5)) })
