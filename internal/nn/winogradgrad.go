package nn

import "lethe/internal/kernel"

// winogradGrad makes the gradient of the kernels of a convolution that [winograd] takes,
// of images with an even height and width, from that of the transformed kernels: with d
// a transformed patch of inputs and e one of the gradient of the outputs, it is the sum
// of e*d over patches and lanes for each of the sixteen elements of a patch, 16 products
// for 36. As in [outerGrad], the input is transposed, so that features are a vector.
//
// Each sum runs over the lanes and patches of a block, those sums over the blocks and
// groups of a chunk, and over chunks; or over all groups of the batch as in outerGrad.
type winogradGrad struct {
	weight        *param
	in, out       *value
	images        int // of a sample
	m, c          int // channels of the output and of the input
	height, width int // of the images
	units, panels int // of 64 channels of the input; of six of the output

	together, rows, cols int // images, and rows and columns of patches, of a block

	whole   bool
	partial []float32 // [chunks][units][16][panels][winogradTile]
	room    []*winogradRoom
}

// winogradRoom is what a worker, or a task of the whole batch, needs for a block.
type winogradRoom struct {
	turned  []float32 // [images][rows of a block's inputs][columns][BlockLen]
	zeros   []float32 // a row of that
	inputs  []float32 // [4][patches][BlockLen]
	outputs []float32 // [4][channels][patches][Lanes]
}

const (
	winogradTile = kernel.Rows * kernel.Cols * Lanes
	// winogradBlock is how many patches a block has at the most: the inputs of one
	// element of all of these fill most of the first-level cache.
	winogradBlock = 8
	// winogradPanels is for how many panels of channels gradients are transformed at a
	// time.
	winogradPanels = 11
	unitFeatures   = kernel.Cols * Lanes
)

// winogradGradFits reports whether a winogradGrad can make the gradient, and with few
// vectors of features in vain.
func winogradGradFits(g window, m, c, group int) bool {
	return winogradFits(g, m, c, group) && m >= kernel.Rows && c >= 3*Lanes && g.y.in%2 == 0 && g.x.in%2 == 0
}

// newWinogradGrad completes one that has all of the fields up to width.
func (b *builder) newWinogradGrad(o *winogradGrad) *winogradGrad {
	o.units, o.panels = (o.c+unitFeatures-1)/unitFeatures, (o.m+kernel.Rows-1)/kernel.Rows
	o.whole = len(o.weight.w) > o.in.size+o.out.size
	chunks, rooms, images := b.chunks(), b.threads, min(b.chunk, max(b.groups, 1))*o.images
	if o.whole {
		o.in.wholeBatch, o.out.wholeBatch = true, true
		chunks, rooms, images = 1, o.tasks(), max(b.groups, 1)*o.images
	}
	o.cols = min(o.width/2, winogradBlock)
	o.rows = min(o.height/2, winogradBlock/o.cols)
	o.together = 1
	if o.cols == o.width/2 && o.rows == o.height/2 {
		o.together = max(min(images, winogradBlock/(o.cols*o.rows)), 1)
	}
	o.partial = make([]float32, chunks*o.units*o.unitSize())
	patches, line := o.together*o.rows*o.cols, (2*o.cols+2)*kernel.BlockLen
	for range rooms {
		o.room = append(o.room, &winogradRoom{
			turned: make([]float32, o.together*(2*o.rows+2)*line), zeros: make([]float32, line),
			inputs:  make([]float32, 4*patches*kernel.BlockLen),
			outputs: make([]float32, 4*(winogradPanels+1)*kernel.Rows*patches*Lanes),
		})
	}
	return o
}

func (o *winogradGrad) unitSize() int { return 16 * o.panels * winogradTile }

func (o *winogradGrad) backward(p part) {
	if o.whole {
		return
	}
	size := o.unitSize()
	sums := o.partial[p.index*o.units*size:]
	x, dy := o.in.data(p), o.out.gradient(p)
	for i := range o.units {
		o.sum(sums[i*size:(i+1)*size], x, dy, o.room[p.worker], i, !p.opens())
	}
}

// sum makes the sums of one unit over all images in x and dy; if add is true, what
// there is in sums is added.
func (o *winogradGrad) sum(sums, x, dy []float32, room *winogradRoom, unit int, add bool) {
	in, out := o.in.size/o.images, o.out.size/o.images
	for n := len(x) / in; n > 0; n = len(x) / in {
		n = min(n, o.together)
		for left := 0; left < o.width/2; left += o.cols {
			have := -1 // the last row of the inputs that is transposed
			for top := 0; top < o.height/2; top += o.rows {
				b := patches{n, top, left, min(o.rows, o.height/2-top), min(o.cols, o.width/2-left)}
				last := min(2*(top+b.rows), o.height-1)
				for row := have + 1; row <= last; row++ {
					for i := range n {
						o.turn(room, x[i*in:], unit, i, row, b)
					}
				}
				have = max(have, last)
				o.block(sums, dy, room, b, add)
				add = true
			}
		}
		x, dy = x[n*in:], dy[n*out:]
	}
}

// patches are those of a block: rows and columns of them in some images, from a row and
// a column of patches on.
type patches struct{ images, top, left, rows, cols int }

// vector returns the first feature of a vector; the last one begins earlier than it
// would, so that it is whole. So does the last panel of rows.
func (o *winogradGrad) vector(i int) int { return min(i*Lanes, o.c-Lanes) }
func (o *winogradGrad) panel(i int) int  { return min(i*kernel.Rows, o.m-kernel.Rows) }

// line returns row number row of image i of what is transposed, or zeros.
func (o *winogradGrad) line(room *winogradRoom, i, row int) []float32 {
	if row < 0 || row >= o.height {
		return room.zeros
	}
	n := 2*o.rows + 2
	return room.turned[(i*n+row%n)*len(room.zeros):][:len(room.zeros)]
}

// turn transposes what a block needs of a row.
func (o *winogradGrad) turn(room *winogradRoom, x []float32, unit, i, row int, b patches) {
	line, plane := o.line(room, i, row), o.height*o.width*Lanes
	for k := range 2*b.cols + 2 {
		column := 2*b.left - 1 + k
		to := line[k*kernel.BlockLen:][:kernel.BlockLen]
		if column < 0 || column >= o.width {
			clear(to)
			continue
		}
		for v := unit * kernel.Cols; v < (unit+1)*kernel.Cols && v*Lanes < o.c; v++ {
			kernel.Transpose(to[v%kernel.Cols*Lanes*Lanes:], x[o.vector(v)*plane+(row*o.width+column)*Lanes:], plane, Lanes)
		}
	}
}

// winogradGradRows are the two rows of outputs of which a row of a transformed gradient
// is made, as first + sign*second.
var winogradGradRows = [4]struct {
	first, second int
	sign          float32
}{{0, 0, 0}, {0, 1, 1}, {0, 1, -1}, {1, 1, 0}}

// block adds a block of patches to the sums.
func (o *winogradGrad) block(sums, dy []float32, room *winogradRoom, b patches, add bool) {
	plane, line, out := o.height*o.width*Lanes, o.width*Lanes, o.out.size/o.images
	n := b.images * b.rows * b.cols
	for i := range 4 {
		t, g := winogradRows[i], winogradGradRows[i]
		for at := 0; at < n; at += b.cols {
			image, row := at/b.cols/b.rows, 2*(b.top+at/b.cols%b.rows)-1
			kernel.WinogradTurned(room.inputs[at*kernel.BlockLen:], o.line(room, image, row+t.first), o.line(room, image, row+t.second), n*kernel.BlockLen, t.sign, b.cols)
		}
		for p := 0; p < o.panels; p += winogradPanels {
			end := min(p+winogradPanels, o.panels)
			first := o.panel(p)
			channels := o.panel(end-1) + kernel.Rows - first
			step := channels * n * Lanes // from element to element of a patch
			for at := 0; at < n; at += b.cols {
				image, row := at/b.cols/b.rows, 2*(b.top+at/b.cols%b.rows)
				from := dy[image*out+first*plane+2*b.left*Lanes:]
				kernel.WinogradGrad(room.outputs[at*Lanes:], from[(row+g.first)*line:], from[(row+g.second)*line:], step, n*Lanes, plane, g.sign, channels, b.cols)
			}
			for j := range 4 {
				for q := p; q < end; q++ {
					acc := sums[((4*i+j)*o.panels+q)*winogradTile:]
					kernel.OuterBlocks((*[winogradTile]float32)(acc), room.outputs[j*step+(o.panel(q)-first)*n*Lanes:], room.inputs[j*n*kernel.BlockLen:], n*Lanes, n, add)
				}
			}
		}
	}
}

func (o *winogradGrad) tasks() int { return o.units }

func (o *winogradGrad) reduce(task, chunks, groups int) {
	size := o.unitSize()
	total := o.partial[task*size : (task+1)*size]
	if o.whole {
		o.sum(total, o.in.x[0][:groups*o.in.size], o.out.g[0][:groups*o.out.size], o.room[task], task, false)
	} else {
		n := o.units * size
		for i := 1; i < chunks; i++ {
			kernel.Add(total, o.partial[i*n+task*size:][:size])
		}
	}
	var dw [9 * Lanes]float32
	for row := range o.m {
		p := row / kernel.Rows
		at := p*winogradTile + (row-o.panel(p))*kernel.Cols*Lanes
		for v := task * kernel.Cols; v < (task+1)*kernel.Cols && v*Lanes < o.c; v++ {
			kernel.WinogradGradKernel(&dw, total[at+v%kernel.Cols*Lanes:], o.panels*winogradTile)
			first := o.vector(v)
			to := o.weight.dw[(row*o.c+first)*9:]
			for l := v*Lanes - first; l < Lanes; l++ {
				own := to[l*9:][:9]
				for k := range own {
					own[k] = dw[k*Lanes+l]
				}
			}
		}
	}
}
