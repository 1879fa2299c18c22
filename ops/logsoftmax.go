package ops

// logsoftmaxOp is the logarithm of Softmax.
var logsoftmaxOp = rowwise("LogSoftmax", func(row []float64) {
	norm := logSumExp(row)
	for i := range row {
		row[i] -= norm
	}
})
