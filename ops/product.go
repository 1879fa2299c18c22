package ops

// real is a Go type of real numbers.
type real interface{ float32 | float64 }

// Sizes of the blocks of a product of matrices: rows and columns of the tile
// whose sums stay in registers, products summed at once, columns packed at once.
const (
	tile         = 4
	blockSums    = 256
	blockColumns = 1024
)

// multiply adds the product of two matrices in C order, a of m x k and b of k x
// n elements, to out, of m x n. Every sum is made in one order, whatever the
// number of threads.
func multiply[T real](out, a, b []T, m, n, k int) {
	if m < tile || n < tile {
		multiplySmall(out, a, b, m, n, k)
		return
	}
	packed := make([]T, min(k, blockSums)*((min(n, blockColumns)+tile-1)/tile*tile))
	for j := 0; j < n; j += blockColumns {
		columns := min(blockColumns, n-j)
		for p := 0; p < k; p += blockSums {
			sums := min(blockSums, k-p)
			packColumns(packed, b[p*n+j:], n, sums, columns)
			parallel((m+tile-1)/tile, func(block int) {
				i := block * tile
				var left [tile * blockSums]T
				rows := min(tile, m-i)
				for r := range rows {
					for q, x := range a[(i+r)*k+p : (i+r)*k+p+sums] {
						left[q*tile+r] = x
					}
				}
				for at := 0; at < columns; at += tile {
					right := packed[at*sums : at*sums+tile*sums]
					var sum [tile * tile]T
					multiplyTile(&sum, left[:tile*sums], right)
					for r := range rows {
						row := out[(i+r)*n+j+at:]
						for s := range min(tile, columns-at) {
							row[s] += sum[r*tile+s]
						}
					}
				}
			})
		}
	}
}

// packColumns copies columns of b so that a tile's elements follow each other.
func packColumns[T real](packed, b []T, n, sums, columns int) {
	parallel((columns+tile-1)/tile, func(block int) {
		at := block * tile
		to := packed[at*sums : (at+tile)*sums]
		width := min(tile, columns-at)
		for p := range sums {
			row := b[p*n+at : p*n+at+width]
			for s := range tile {
				if s < width {
					to[p*tile+s] = row[s]
				} else {
					to[p*tile+s] = 0
				}
			}
		}
	})
}

// multiplyTile sets sum to the product of a packed 4 x k and a packed k x 4
// matrix. The conversions keep the compiler from fusing, which would make the
// bits depend on the machine.
func multiplyTile[T real](sum *[tile * tile]T, a, b []T) {
	var s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33 T
	for len(a) >= tile && len(b) >= tile {
		a0, a1, a2, a3 := a[0], a[1], a[2], a[3]
		b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
		s00 += T(a0 * b0)
		s01 += T(a0 * b1)
		s02 += T(a0 * b2)
		s03 += T(a0 * b3)
		s10 += T(a1 * b0)
		s11 += T(a1 * b1)
		s12 += T(a1 * b2)
		s13 += T(a1 * b3)
		s20 += T(a2 * b0)
		s21 += T(a2 * b1)
		s22 += T(a2 * b2)
		s23 += T(a2 * b3)
		s30 += T(a3 * b0)
		s31 += T(a3 * b1)
		s32 += T(a3 * b2)
		s33 += T(a3 * b3)
		a, b = a[tile:], b[tile:]
	}
	*sum = [tile * tile]T{s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33}
}

// multiplySmall is [multiply] for matrices too narrow for tiles.
func multiplySmall[T real](out, a, b []T, m, n, k int) {
	const block = 512
	parallel((n+block-1)/block, func(at int) {
		lo, hi := at*block, min(n, (at+1)*block)
		for i := range m {
			row := out[i*n+lo : i*n+hi]
			for p, x := range a[i*k : (i+1)*k] {
				for j, y := range b[p*n+lo : p*n+hi] {
					row[j] += T(x * y)
				}
			}
		}
	})
}

// transposed returns a matrix of n x m elements from one of m x n.
func transposed[T any](v []T, m, n int) []T {
	out := make([]T, len(v))
	const block = 32
	for i := 0; i < m; i += block {
		for j := 0; j < n; j += block {
			for r := i; r < min(m, i+block); r++ {
				for s := j; s < min(n, j+block); s++ {
					out[s*m+r] = v[r*n+s]
				}
			}
		}
	}
	return out
}
