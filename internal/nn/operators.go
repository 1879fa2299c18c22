package nn

// operator is one row of the table of operators.
type operator struct {
	// infer returns the shapes of the outputs. It refuses attributes that build
	// does not honour.
	infer func(s *site) ([]shape, error)
	// build makes the node ready to run, or returns nil if the outputs are the
	// inputs under other shapes.
	build func(b *builder) layer
}

// operators is the table of everything that nn can run: to add one, write its
// file and its line.
var operators map[string]operator

// internal are the operators that a graph cannot name.
var internal map[string]bool

func init() { // the functions of the table refer to the table
	operators = map[string]operator{
		"ArgMax":                {inferTop, buildTop},
		"ArgMin":                {inferTop, buildTop},
		"AveragePool":           {inferAveragePool, buildAveragePool},
		"BatchNormalization":    {inferBatchNorm, buildBatchNorm},
		"Cast":                  {inferCast, nil},
		"Clip":                  {inferClip, buildClip},
		"Concat":                {inferConcat, buildConcat},
		"ConstantOfShape":       {inferFilled, buildFilled},
		"Conv":                  {inferConv, buildConv},
		"Dropout":               {inferDropout, nil},
		"Expand":                {inferExpand, buildExpand},
		"Flatten":               {inferFlatten, nil},
		"Gather":                {inferGather, buildGather},
		"GatherElements":        {inferGatherElements, buildGatherElements},
		"Gemm":                  {inferGemm, buildGemm},
		"GlobalAveragePool":     {inferReduce, buildReduce},
		"GridSample":            {inferGridSample, buildGridSample},
		"GroupNormalization":    {inferGroupNorm, buildGroupNorm},
		"Identity":              {inferSame, nil},
		"InstanceNormalization": {inferGroupNorm, buildGroupNorm},
		"LayerNormalization":    {inferLayerNorm, buildLayerNorm},
		"LogSoftmax":            {inferSoftmax, buildSoftmax},
		"MatMul":                {inferMatMul, buildMatMul},
		"MaxPool":               {inferMaxPool, buildMaxPool},
		"Pad":                   {inferPad, buildPad},
		"RMSNormalization":      {inferLayerNorm, buildLayerNorm},
		"ReduceMax":             {inferReduce, buildExtreme},
		"ReduceMean":            {inferReduce, buildReduce},
		"ReduceMin":             {inferReduce, buildExtreme},
		"ReduceProd":            {inferReduce, buildExtreme},
		"ReduceSum":             {inferReduce, buildReduce},
		"Relu":                  {inferRelu, buildRelu},
		"Reshape":               {inferReshape, nil},
		"Slice":                 {inferSlice, buildSlice},
		"Softmax":               {inferSoftmax, buildSoftmax},
		"Split":                 {inferSplit, buildSplit},
		"Squeeze":               {inferSqueeze, nil},
		"TopK":                  {inferTop, buildTop},
		"Transpose":             {inferTranspose, buildTranspose},
		"Unsqueeze":             {inferUnsqueeze, nil},
		"Where":                 {inferWhere, buildWhere},
	}
	internal = map[string]bool{"Along": true, "Attend": true, "Dense": true, "Move": true, "Piece": true, "Truncate": true, "Truth": true, "View": true, "Zeros": true}
	for name := range movers {
		if operators[name].infer == nil {
			operators[name] = operator{inferProbed, buildProbed}
		}
	}
	operators["Along"] = operator{inferAlong, buildAlong}
	operators["Attend"] = operator{nil, buildAttend}
	operators["Move"] = operator{inferMove, buildMovement}
	operators["View"] = operator{inferView, nil}
	operators["Dense"] = operator{inferDense, buildDense}
	operators["Piece"] = operator{inferPiece, nil}
	operators["Zeros"] = operator{inferZeros, buildFilled}
	for name := range functions {
		operators[name] = operator{inferUnary, buildUnary}
	}
	for name := range singles {
		operators[name] = operator{inferUnary, buildUnary}
	}
	for name := range operations {
		operators[name] = operator{inferBinary, buildBinary}
	}
}
