package ops

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// nonmaxsuppressionOp takes the boxes with the best scores that do not overlap
// with better ones.
var nonmaxsuppressionOp = &Operator{
	Name: "NonMaxSuppression", Since: 10,
	inputs: []input{data("boxes", floats), data("scores", floats), constant("max_output_boxes_per_class", set(int64Type)).opt(),
		constant("iou_threshold", floats).opt(), constant("score_threshold", floats).opt()},
	attrs: []attr{intAttr("center_point_box", 0)},
	infer: func(f *inference) { f.set(0, model.Int64, graph.Shape{f.unknown(0, 0), graph.Size(3)}) },
	eval: func(c *call) {
		boxes, scores := c.input(0), c.input(1)
		if len(boxes.shape) != 3 || len(scores.shape) != 3 || boxes.shape[2] != 4 || boxes.shape[0] != scores.shape[0] || boxes.shape[1] != scores.shape[2] {
			c.fail("boxes of shape %v and scores of shape %v do not go together", boxes.shape, scores.shape)
		}
		most, overlap := int(c.scalar(2, 0)), c.scalar(3, 0)
		corners, v := c.corners(c.floats(boxes)), c.floats(scores)
		n := boxes.shape[1]
		var selected []int
		for batch := range scores.shape[0] {
			for class := range scores.shape[1] {
				score := v[(batch*scores.shape[1]+class)*n:][:n]
				order := make([]int, 0, n)
				for i, s := range score {
					if c.input(4) == nil || s > c.scalar(4, 0) {
						order = append(order, i)
					}
				}
				slices.SortStableFunc(order, func(a, b int) int { return -compare(score[a], score[b]) })
				var kept []int
				for _, i := range order {
					if len(kept) >= most {
						break
					}
					hidden := slices.ContainsFunc(kept, func(j int) bool { return shared(corners[batch*n+i], corners[batch*n+j]) > overlap })
					if !hidden {
						kept = append(kept, i)
						selected = append(selected, batch, class, i)
					}
				}
			}
		}
		c.set(0, c.fromInts([]int{len(selected) / 3, 3}, selected))
	},
}

// corners returns boxes as their smallest and largest coordinates.
func (c *call) corners(v []float64) [][4]float64 {
	out := make([][4]float64, len(v)/4)
	for i := range out {
		b := v[4*i : 4*i+4]
		if c.flag("center_point_box") {
			b = []float64{b[0] - b[2]/2, b[1] - b[3]/2, b[0] + b[2]/2, b[1] + b[3]/2}
		}
		out[i] = [4]float64{min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])}
	}
	return out
}

// shared returns the intersection of two boxes as part of their union.
func shared(a, b [4]float64) float64 {
	area := func(b [4]float64) float64 { return (b[2] - b[0]) * (b[3] - b[1]) }
	h, w := min(a[2], b[2])-max(a[0], b[0]), min(a[3], b[3])-max(a[1], b[1])
	if h <= 0 || w <= 0 {
		return 0
	}
	return h * w / (area(a) + area(b) - h*w)
}
