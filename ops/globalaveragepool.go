package ops

// globalaveragepoolOp is the mean of each channel.
var globalaveragepoolOp = globalPool("GlobalAveragePool", func(_ *call, row []float64) float64 { return sumOf(row) / float64(len(row)) })
