package ops

import "math"

// detOp is the determinant of matrices.
var detOp = &Operator{
	Name: "Det", Since: 11,
	inputs: []input{data("X", floats)},
	infer: func(f *inference) {
		x := f.input(0)
		if len(x.shape) < 2 {
			f.set(0, x.dtype, nil)
			return
		}
		f.set(0, x.dtype, x.shape[:len(x.shape)-2])
	},
	eval: func(c *call) {
		x := c.input(0)
		rank := len(x.shape)
		if rank < 2 || x.shape[rank-1] != x.shape[rank-2] {
			c.fail("data of shape %v holds no square matrices", x.shape)
		}
		n := x.shape[rank-1]
		v := c.floats(x)
		out := make([]float64, product(x.shape[:rank-2]))
		for i := range out {
			out[i] = determinant(v[i*n*n:(i+1)*n*n], n)
		}
		c.set(0, c.from(x.dtype, x.shape[:rank-2], out))
	},
}

// determinant eliminates with the largest pivot of each column; it changes m.
func determinant(m []float64, n int) float64 {
	det := 1.0
	for k := range n {
		best := k
		for i := k; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[best*n+k]) {
				best = i
			}
		}
		if m[best*n+k] == 0 {
			return 0
		}
		if best != k {
			for j := range n {
				m[k*n+j], m[best*n+j] = m[best*n+j], m[k*n+j]
			}
			det = -det
		}
		det *= m[k*n+k]
		for i := k + 1; i < n; i++ {
			by := m[i*n+k] / m[k*n+k]
			for j := k; j < n; j++ {
				m[i*n+j] -= by * m[k*n+j]
			}
		}
	}
	return det
}
