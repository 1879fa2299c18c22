package nn

import "lethe/internal/kernel"

// gradient makes the gradient of a weight; see layer for what its methods do.
type gradient interface {
	backward(p part)
	tasks() int
	reduce(task, chunks, groups int)
}

// plane is how the positions of a feature lie in one image of a group, in elements.
type plane struct{ feature, position int } // distances

// outerGrad makes the gradient of a weight as a product of matrices whose sum runs
// over positions and lanes at once: the features of the input are transposed, so
// that sixteen of them are a vector, and no lanes are left to add up. That wants
// sixteen features of the input and eight of the output; [weightGrad] is for fewer.
// Where a kernel has one element and that fits better, the output's features are
// transposed and the input has the rows: fields from m to w are then as if input and
// output were exchanged.
//
// Each sum runs over the lanes and positions of some rows of the output, those sums
// over the rows and the groups of a chunk, and over chunks. Where the weight has more
// elements than a group has activations, all is done when every chunk went backward,
// as in weightGrad.
type outerGrad struct {
	weight         *param
	in, out        *value
	images         int // of a sample
	group, m, c    int // groups of features, and features of the output and of the input in each
	elements       int // of the kernel
	rs, cs         int // steps of the weight from output to output and from input to input
	x, y           plane
	w              window
	exchanged      bool
	aPos, aRow     int // distances of positions and rows, as a [kernel.Walk] has them
	height, width  int // of the positions of the input that are met, padding included
	rows           int // of the output at a time
	each           int // vectors of features that are transposed together
	units          int // of these, in a group of features
	panels, blocks int // of eight rows; of three columns
	columns        []int32

	whole   bool
	partial []float32   // [chunks][group][units][panels][blocks][outerSize]
	room    [][]float32 // of each worker, or of each task if whole
}

const outerSize = kernel.OuterRows * kernel.OuterCols * kernel.Lanes

// outerRoom is about how many elements of the input are transposed at a time, a
// quarter of the second-level cache.
const outerRoom = 1 << 16

// outerFits reports whether an outerGrad can make the gradient of a weight.
func outerFits(m, c int) bool { return m >= kernel.OuterRows && c >= kernel.Lanes }

// cost is about how many cycles a position takes: products, and transpositions of a
// block of a vector of features, which the stride of the input multiplies.
func (o *outerGrad) cost(m, c, stride int) int {
	const product, transposition = 8, 64 // of a row and a vector; of a vector
	vectors := (c + Lanes - 1) / Lanes
	each := min(kernel.OuterCols, vectors)
	columns := (vectors + each - 1) / each * kernel.OuterCols
	rows := (m + kernel.OuterRows - 1) / kernel.OuterRows * kernel.OuterRows
	return rows*columns*product + vectors*transposition*stride
}

// exchange lets the input and the output change places if that costs less.
func (o *outerGrad) exchange() {
	o.aPos, o.aRow = o.y.position, o.w.x.out*o.y.position
	for _, a := range []axis{o.w.y, o.w.x} {
		if o.group != 1 || a.kernel != 1 || a.pad != 0 {
			return
		}
	}
	if !outerFits(o.c, o.m) || o.cost(o.m, o.c, o.w.y.stride*o.w.x.stride) <= o.cost(o.c, o.m, 1) {
		return
	}
	o.exchanged = true
	o.aPos, o.aRow = o.w.x.stride*o.x.position, o.w.y.stride*o.w.x.in*o.x.position
	o.m, o.c, o.x, o.y, o.rs, o.cs = o.c, o.m, o.y, o.x, o.cs, o.rs
	for _, a := range []*axis{&o.w.y, &o.w.x} {
		a.in, a.stride = a.out, 1
	}
}

// sides returns what is transposed and what has the rows.
func (o *outerGrad) sides(in, out []float32) (x, y []float32) {
	if o.exchanged {
		return out, in
	}
	return in, out
}

// newOuterGrad completes one that has all of the fields up to w.
func (b *builder) newOuterGrad(o *outerGrad) *outerGrad {
	o.exchange()
	span := func(a axis) int { return (a.out-1)*a.stride + (a.kernel-1)*a.dilat + 1 }
	o.height, o.width, o.elements = span(o.w.y), span(o.w.x), o.w.y.kernel*o.w.x.kernel
	o.each = 1
	if o.elements == 1 {
		o.each = min(kernel.OuterCols, (o.c+Lanes-1)/Lanes)
	}
	vectors := (o.c + Lanes - 1) / Lanes
	o.units = (vectors + o.each - 1) / o.each
	o.panels = (o.m + kernel.OuterRows - 1) / kernel.OuterRows
	o.rows = 1
	for o.rows < o.w.y.out && o.rowsMet(o.rows+1)*o.width*Lanes*Lanes*o.each <= outerRoom {
		o.rows++
	}
	size := o.rowsMet(o.rows) * o.width * Lanes * Lanes
	for i := range o.each {
		for ky := range o.w.y.kernel {
			for kx := range o.w.x.kernel {
				o.columns = append(o.columns, int32(i*size+(ky*o.w.y.dilat*o.width+kx*o.w.x.dilat)*Lanes*Lanes))
			}
		}
	}
	o.blocks = (len(o.columns) + kernel.OuterCols - 1) / kernel.OuterCols
	o.whole = len(o.weight.w) > o.in.size+o.out.size
	chunks, rooms := b.chunks(), b.threads
	if o.whole {
		o.in.wholeBatch, o.out.wholeBatch = true, true
		chunks, rooms = 1, o.tasks()
	}
	o.partial = make([]float32, chunks*o.group*o.units*o.unitSize())
	for range rooms {
		o.room = append(o.room, make([]float32, o.each*size))
	}
	return o
}

// rowsMet returns how many rows of the input so many of the output meet.
func (o *outerGrad) rowsMet(rows int) int {
	return (rows-1)*o.w.y.stride + (o.w.y.kernel-1)*o.w.y.dilat + 1
}

func (o *outerGrad) unitSize() int { return o.panels * o.blocks * outerSize }

func (o *outerGrad) backward(p part) {
	if o.whole {
		return
	}
	n := o.group * o.units * o.unitSize()
	sums := o.partial[p.index*n : (p.index+1)*n]
	x, y := o.sides(o.in.data(p), o.out.gradient(p))
	for i := range o.group * o.units {
		o.sum(sums[i*o.unitSize():(i+1)*o.unitSize()], x, y, o.room[p.worker], i, !p.opens())
	}
}

// sum makes the sums of one unit over all images in x and y; if add is true, what
// there is in sums is added.
func (o *outerGrad) sum(sums, x, y, room []float32, unit int, add bool) {
	group, first := unit/o.units, unit%o.units*o.each
	xSize, ySize := o.in.size/o.images, o.out.size/o.images
	if o.exchanged {
		xSize, ySize = ySize, xSize
	}
	walk := kernel.Walk{
		N: o.w.x.out, APos: o.aPos, ARow: o.aRow,
		BPos: o.w.x.stride * Lanes * Lanes, BRow: o.w.y.stride * o.width * Lanes * Lanes,
	}
	for ; len(x) > 0; x, y = x[xSize:], y[ySize:] {
		for row := 0; row < o.w.y.out; row += o.rows {
			walk.Rows = min(o.rows, o.w.y.out-row)
			for i := range o.each {
				o.turn(room[i*(len(room)/o.each):], x[group*o.c*o.x.feature:], first+i, row*o.w.y.stride-o.w.y.pad, o.rowsMet(walk.Rows))
			}
			at := 0
			for p := range o.panels {
				a := y[(group*o.m+o.panel(p))*o.y.feature+row*walk.ARow:]
				for j := 0; j < len(o.columns); j += kernel.OuterCols {
					var boff [kernel.OuterCols]int32
					for k := range boff {
						boff[k] = o.columns[min(j+k, len(o.columns)-1)]
					}
					kernel.Outer((*[outerSize]float32)(sums[at:]), a, room, &boff, o.y.feature, &walk, add)
					at += outerSize
				}
			}
			add = true
		}
	}
}

// panel returns the first row of a panel; vector the first feature of a vector. The
// last ones begin earlier than they would, so that they are whole.
func (o *outerGrad) panel(i int) int  { return min(i*kernel.OuterRows, o.m-kernel.OuterRows) }
func (o *outerGrad) vector(i int) int { return min(i*Lanes, o.c-Lanes) }

// turn transposes rows of a vector of features, from row on, with zeros for padding.
func (o *outerGrad) turn(dst, x []float32, vector, row, rows int) {
	const block = Lanes * Lanes
	x = x[o.vector(vector)*o.x.feature:]
	left := min(o.w.x.pad, o.width)
	n := max(min(o.width-left, o.w.x.in), 0)
	for r := range rows {
		line := dst[r*o.width*block : (r+1)*o.width*block]
		if row+r < 0 || row+r >= o.w.y.in || n == 0 {
			clear(line)
			continue
		}
		clear(line[:left*block])
		clear(line[(left+n)*block:])
		src := x[(row+r)*o.w.x.in*o.x.position:]
		if line = line[left*block:]; o.x.position == Lanes {
			kernel.Transpose(line, src, o.x.feature, n*Lanes)
			continue
		}
		for i := range n {
			kernel.Transpose(line[i*block:], src[i*o.x.position:], o.x.feature, Lanes)
		}
	}
}

func (o *outerGrad) tasks() int { return o.group * o.units }

func (o *outerGrad) reduce(task, chunks, groups int) {
	size := o.unitSize()
	total := o.partial[task*size : (task+1)*size]
	if o.whole {
		x, y := o.sides(o.in.x[0][:groups*o.in.size], o.out.g[0][:groups*o.out.size])
		o.sum(total, x, y, o.room[task], task, false)
	} else {
		n := o.tasks() * size
		for i := 1; i < chunks; i++ {
			kernel.Add(total, o.partial[i*n+task*size:][:size])
		}
	}
	group, first := task/o.units, task%o.units*o.each
	for p := range o.panels {
		for j := range o.columns {
			vector, element := first+j/o.elements, j%o.elements
			if vector*Lanes >= o.c {
				break
			}
			sums := total[(p*o.blocks+j/kernel.OuterCols)*outerSize+j%kernel.OuterCols*Lanes:]
			for row := p * kernel.OuterRows; row < min((p+1)*kernel.OuterRows, o.m); row++ {
				own := sums[(row-o.panel(p))*kernel.OuterCols*Lanes:]
				dw := o.weight.dw[(group*o.m+row)*o.rs+element:]
				from, to, first := vector*Lanes, min((vector+1)*Lanes, o.c), o.vector(vector)
				if o.cs == 1 {
					copy(dw[from:to], own[from-first:])
					continue
				}
				for c := from; c < to; c++ {
					dw[c*o.cs] = own[c-first]
				}
			}
		}
	}
}
