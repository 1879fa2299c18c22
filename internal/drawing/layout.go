package drawing

import (
	"cmp"
	"math"
	"slices"
)

// Sizes of the picture, in its own units, which are those of CSS at its natural
// size: one column of boxes fits the screen of a phone.
const (
	boxWide, boxHigh = 232.0, 60.0
	laneWide         = 14.0
	columnGap        = 14.0
	rowGap           = 22.0
	margin           = 8.0
)

// item is a box, or a place in a row that an arrow passes through.
type item struct {
	layer    int // -1 for an arrow
	row      int
	x        float64 // of the centre
	up, down []*item
}

func (i *item) wide() float64 {
	if i.layer < 0 {
		return laneWide
	}
	return boxWide
}

// layout is where everything lies.
type layout struct {
	rows       [][]*item
	boxes      []*item // by layer
	wide, high float64
}

// mostItems bounds the boxes and the places of arrows of a picture.
const mostItems = 20_000

// place puts every layer below those that it reads, long arrows into lanes of
// their own, and orders the rows so that few arrows cross. ok is false if the
// picture would have more than mostItems.
func place(layers []Layer) (l *layout, ok bool) {
	l = &layout{boxes: make([]*item, len(layers))}
	row := make([]int, len(layers))
	last := 0
	items := len(layers)
	for i := range layers {
		for _, in := range layers[i].Inputs {
			row[i] = max(row[i], row[in]+1)
		}
		last = max(last, row[i])
	}
	for i := range layers {
		for _, in := range layers[i].Inputs {
			items += row[i] - row[in] - 1
		}
	}
	if items > mostItems {
		return nil, false
	}
	l.rows = make([][]*item, last+1)
	add := func(layer, row int) *item {
		i := &item{layer: layer, row: row}
		l.rows[row] = append(l.rows[row], i)
		return i
	}
	for i := range layers {
		l.boxes[i] = add(i, row[i])
	}
	for i := range layers {
		for _, in := range layers[i].Inputs {
			from := l.boxes[in]
			for r := row[in] + 1; r <= row[i]; r++ {
				to := l.boxes[i]
				if r < row[i] {
					to = add(-1, r)
				}
				from.down, to.up = append(from.down, to), append(to.up, from)
				from = to
			}
		}
	}
	l.order()
	l.spread()
	return l, true
}

// order sorts each row by where its neighbours are, down and up in turns.
func (l *layout) order() {
	place := map[*item]float64{}
	number := func(row []*item) {
		for i, it := range row {
			place[it] = float64(i) - float64(len(row)-1)/2
		}
	}
	for _, row := range l.rows {
		number(row)
	}
	sweep := func(row []*item, near func(*item) []*item) {
		want := map[*item]float64{}
		for _, it := range row {
			want[it] = place[it]
			if list := near(it); len(list) > 0 {
				sum := 0.0
				for _, o := range list {
					sum += place[o]
				}
				want[it] = sum / float64(len(list))
			}
		}
		slices.SortStableFunc(row, func(a, b *item) int { return cmp.Compare(want[a], want[b]) })
		number(row)
	}
	for range 8 {
		for _, row := range l.rows[1:] {
			sweep(row, func(i *item) []*item { return i.up })
		}
		for r := len(l.rows) - 2; r >= 0; r-- {
			sweep(l.rows[r], func(i *item) []*item { return i.down })
		}
	}
}

// spread gives every item a place across the picture, near its neighbours.
func (l *layout) spread() {
	for _, row := range l.rows {
		settle(row, func(*item) float64 { return 0 })
	}
	turns := 16 // a large picture must not take long
	if items := len(l.rows) * len(l.boxes); items < 10_000 {
		turns = 200
	}
	for turn := range turns {
		for r := range l.rows {
			row := l.rows[r]
			if turn%2 == 1 {
				row = l.rows[len(l.rows)-1-r]
			}
			settle(row, func(i *item) float64 {
				sum, weight := 0.0, 0.0
				for _, o := range slices.Concat(i.up, i.down) {
					w := 1.0
					switch {
					case i.layer < 0 && o.layer < 0:
						w = 8 // lanes are straight
					case i.layer < 0 || o.layer < 0:
						w = .05 // and bend at their ends
					}
					sum, weight = sum+w*o.x, weight+w
				}
				if weight == 0 {
					return i.x
				}
				return sum / weight
			})
		}
	}
	left, right := math.Inf(1), math.Inf(-1)
	for _, row := range l.rows {
		for _, i := range row {
			left, right = min(left, i.x-i.wide()/2), max(right, i.x+i.wide()/2)
		}
	}
	for _, row := range l.rows {
		for _, i := range row {
			i.x += margin - left
		}
	}
	l.wide = max(right-left, 0) + 2*margin
	l.high = float64(len(l.rows))*(boxHigh+rowGap) - rowGap + 2*margin
}

// settle puts the items of a row as near to where they want to be as the distances
// between them allow: the least sum of squares.
func settle(row []*item, want func(*item) float64) {
	type block struct{ sum, weight float64 }
	var blocks []block
	var counts []int
	offset := make([]float64, len(row)) // of an item from the first, if all are close together
	for i, it := range row {
		if i > 0 {
			offset[i] = offset[i-1] + (row[i-1].wide()+it.wide())/2 + columnGap
		}
		blocks, counts = append(blocks, block{want(it) - offset[i], 1}), append(counts, 1)
		for k := len(blocks) - 1; k > 0 && blocks[k-1].sum/blocks[k-1].weight > blocks[k].sum/blocks[k].weight; k-- {
			blocks[k-1] = block{blocks[k-1].sum + blocks[k].sum, blocks[k-1].weight + blocks[k].weight}
			counts[k-1] += counts[k]
			blocks, counts = blocks[:k], counts[:k]
		}
	}
	i := 0
	for k, b := range blocks {
		for range counts[k] {
			row[i].x = b.sum/b.weight + offset[i]
			i++
		}
	}
}

// y is the upper edge of a row.
func y(row int) float64 { return margin + float64(row)*(boxHigh+rowGap) }
