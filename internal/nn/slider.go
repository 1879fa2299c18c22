package nn

import "lethe/internal/kernel"

// slider is a product with packed weights along strips, in every group at hand: of m
// target planes and taps from all source planes, with k columns in a panel. Groups are
// dstSize and srcSize elements long. add is added to the result if it is not nil.
type slider struct {
	dst, add, src, packed, biases []float32
	limits                        kernel.Limits
	m, k, plane                   int
	dstSize, srcSize              int
}

// slide runs it. A tile takes four positions at once. Where a strip has fewer left, the
// same position of four groups makes a tile.
func (s *slider) slide(all []strip) {
	groups := (len(s.dst) + s.dstSize - 1) / s.dstSize
	for i := range all {
		st := &all[i]
		whole := st.n &^ 3
		if groups == 1 {
			whole = st.n
		}
		for p := 0; p < s.m; p += kernel.Rows {
			target := p*s.plane + st.target
			for g := range groups {
				if whole > 0 {
					s.tile(target+g*s.dstSize, st.source+g*s.srcSize, p, st.taps, st.targetStep, st.sourceStep, whole)
				}
			}
			for j := whole; j < st.n; j++ {
				s.tile(target+j*st.targetStep, st.source+j*st.sourceStep, p, st.taps, s.dstSize, s.srcSize, groups)
			}
		}
	}
}

// tile computes n positions of the panel of rows that begins with row p.
func (s *slider) tile(target, source, p int, taps *kernel.Taps, targetStep, sourceStep, n int) {
	rows := min(kernel.Rows, s.m-p)
	if s.add == nil && s.limits == kernel.NoLimits {
		kernel.Tile(s.dst[target:], s.packed[p*s.k:], s.src[source:], s.biases[p:], taps, s.plane, targetStep, sourceStep, rows, n)
		return
	}
	f := kernel.Finish{Limits: s.limits}
	if s.add != nil {
		f.Add = s.add[target:]
	}
	kernel.TileFinish(s.dst[target:], s.packed[p*s.k:], s.src[source:], s.biases[p:], taps, s.plane, targetStep, sourceStep, rows, n, &f)
}
