package ops

// hardmaxOp is 1 at the first of the largest elements and 0 elsewhere.
var hardmaxOp = rowwise("Hardmax", func(row []float64) {
	best := 0
	for i, x := range row {
		if x > row[best] {
			best = i
		}
	}
	clear(row)
	row[best] = 1
})
