package nn

import "lethe/internal/kernel"

// gradTile is a block of the gradient of a weight: rows of outputs and columns
// of inputs that meet at the same positions.
type gradTile struct {
	positions *kernel.Taps
	row       int // of the first row in the gradient of the output
	rowStep   int // distance of the rows there
	source    int // of the first column in the input
	columns   [kernel.Cols]int32
	index     [kernel.Cols * kernel.Rows]int32 // in the weight; -1 where another tile has it
}

const tileSize = kernel.Rows * kernel.Cols

// weightGrad makes the gradient of a weight from tiles. Each sum runs over the
// positions of a group, over the groups of a chunk, over lanes, and then over
// chunks. Where the weight has more elements than a group has activations, it
// runs over all groups of the batch before it runs over lanes, once every chunk
// went backward: sums for each chunk would take more memory than activations.
type weightGrad struct {
	weight  *param
	in, out *value
	images  int // of a sample
	tiles   []gradTile
	whole   bool
	acc     [][]float32 // of each worker, in lanes
	partial []float32   // [chunks][tiles][Rows*Cols]
}

func (b *builder) newWeightGrad(weight *param, in, out *value, images int, tiles []gradTile) *weightGrad {
	w := &weightGrad{weight: weight, in: in, out: out, images: images, tiles: tiles, whole: len(weight.w) > in.size+out.size}
	if w.whole {
		in.wholeBatch, out.wholeBatch = true, true
		return w
	}
	w.partial = make([]float32, b.chunks()*len(tiles)*tileSize)
	for range b.threads {
		n := len(tiles)
		if b.chunk == 1 && images == 1 {
			n = 1
		}
		w.acc = append(w.acc, make([]float32, n*tileSize*Lanes))
	}
	return w
}

func (w *weightGrad) backward(p part) {
	if w.whole {
		return
	}
	const n = tileSize * Lanes
	x, dy := w.in.data(p), w.out.gradient(p)
	sums, acc := w.partial[p.index*len(w.tiles)*tileSize:], w.acc[p.worker]
	if p.opens() && p.closes() && p.hi-p.lo == 1 && w.images == 1 { // the lanes can be added up at once
		acc := (*[n]float32)(acc)
		for i := range w.tiles {
			t := &w.tiles[i]
			kernel.Dot(acc, dy[t.row:], x[t.source:], &t.columns, t.positions, t.rowStep, false)
			kernel.SumLanes(sums[i*tileSize:(i+1)*tileSize], acc[:])
		}
		return
	}
	in, out := w.in.size/w.images, w.out.size/w.images
	for g := range (p.hi - p.lo) * w.images {
		x, dy := x[g*in:(g+1)*in], dy[g*out:(g+1)*out]
		for i := range w.tiles {
			t := &w.tiles[i]
			kernel.Dot((*[n]float32)(acc[i*n:]), dy[t.row:], x[t.source:], &t.columns, t.positions, t.rowStep, g > 0 || !p.opens())
		}
	}
	if p.closes() {
		kernel.SumLanes(sums[:len(w.tiles)*tileSize], acc)
	}
}

// wholeTiles is how many tiles of the whole batch make a task.
const wholeTiles = 64

func (w *weightGrad) tasks() int {
	if w.whole {
		return (len(w.tiles) + wholeTiles - 1) / wholeTiles
	}
	return 1
}

func (w *weightGrad) reduce(task, chunks, groups int) {
	if w.whole {
		lo := task * wholeTiles
		w.reduceWhole(w.tiles[lo:min(lo+wholeTiles, len(w.tiles))], groups)
		return
	}
	n := len(w.tiles) * tileSize
	total := w.partial[:n]
	for c := 1; c < chunks; c++ {
		kernel.Add(total, w.partial[c*n:(c+1)*n])
	}
	clear(w.weight.dw) // elements that meet nothing but padding have no tile
	for i := range w.tiles {
		w.tiles[i].put(w.weight.dw, total[i*tileSize:])
	}
}

func (w *weightGrad) reduceWhole(tiles []gradTile, groups int) {
	var acc [tileSize * Lanes]float32
	var sums [tileSize]float32
	for i := range tiles {
		t := &tiles[i]
		for g := range groups * w.images {
			kernel.Dot(&acc, w.out.g[0][g*(w.out.size/w.images)+t.row:], w.in.x[0][g*(w.in.size/w.images)+t.source:], &t.columns, t.positions, t.rowStep, g > 0)
		}
		kernel.SumLanes(sums[:], acc[:])
		t.put(w.weight.dw, sums[:])
	}
}

func (t *gradTile) put(dw, sums []float32) {
	for j, at := range t.index {
		if at >= 0 {
			dw[at] = sums[j]
		}
	}
}
