package ops

import (
	"errors"
	"math"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
)

type in = []*Tensor

func ints(v ...int64) graph.Attr { return graph.Ints(v...) }

// What an operator does depends on the opset of the file.
func TestOpsets(t *testing.T) {
	x := f32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	cube := count(2, 2, 2)
	nan := float32(math.NaN())
	check(t, []wantCase{
		// Up to 12 the row of Softmax is everything from an axis on.
		{"Softmax 11", 11, "Softmax", nil, in{count(1, 2, 1)}, []int{1, 2, 1}, []float64{0.26894, 0.73106}},
		{"Softmax 13", 13, "Softmax", nil, in{count(1, 2, 1)}, []int{1, 2, 1}, []float64{1, 1}},
		{"LogSoftmax 13", 13, "LogSoftmax", graph.Attrs{"axis": graph.Int(-2)}, in{count(1, 2, 1)}, []int{1, 2, 1}, []float64{-1.31326, -0.31326}},
		{"Hardmax 12, axis 1", 12, "Hardmax", graph.Attrs{"axis": graph.Int(1)}, in{cube}, []int{2, 2, 2}, []float64{0, 0, 0, 1, 0, 0, 0, 1}},
		{"Hardmax 13, ties", 13, "Hardmax", nil, in{f32([]int{1, 3}, 2, 2, 1)}, []int{1, 3}, []float64{1, 0, 0}},

		{"ReduceSum 12 by attribute", 12, "ReduceSum", graph.Attrs{"axes": ints(-1), "keepdims": graph.Int(0)}, in{x}, []int{2}, []float64{6, 15}},
		{"ReduceSum 13 by input", 13, "ReduceSum", nil, in{x, list(0)}, []int{1, 3}, []float64{5, 7, 9}},
		{"ReduceSum 13 of all", 13, "ReduceSum", graph.Attrs{"keepdims": graph.Int(0)}, in{x}, []int{}, []float64{21}},
		{"ReduceSum 13 of none", 13, "ReduceSum", graph.Attrs{"noop_with_empty_axes": graph.Int(1)}, in{x, list()}, []int{2, 3}, []float64{1, 2, 3, 4, 5, 6}},
		{"ReduceMean 17 by attribute", 17, "ReduceMean", graph.Attrs{"axes": ints(1)}, in{x}, []int{2, 1}, []float64{2, 5}},
		{"ReduceMean 18 by input", 18, "ReduceMean", nil, in{x, list(-2)}, []int{1, 3}, []float64{2.5, 3.5, 4.5}},
		{"ReduceMax of nothing", 20, "ReduceMax", graph.Attrs{"keepdims": graph.Int(0)}, in{f32([]int{2, 0}), list(1)}, []int{2}, []float64{math.Inf(-1), math.Inf(-1)}},
		{"ReduceL2", 13, "ReduceL2", graph.Attrs{"axes": ints(1), "keepdims": graph.Int(0)}, in{f32([]int{1, 2}, 3, -4)}, []int{1}, []float64{5}},
		{"ReduceLogSumExp, large", 13, "ReduceLogSumExp", graph.Attrs{"keepdims": graph.Int(0)}, in{f32([]int{2}, 1000, 1000)}, []int{}, []float64{1000 + math.Ln2}},

		{"Clip 6 by attributes", 6, "Clip", graph.Attrs{"min": graph.Float(2), "max": graph.Float(4)}, in{x}, []int{2, 3}, []float64{2, 2, 3, 4, 4, 4}},
		{"Clip 11 by inputs", 11, "Clip", nil, in{x, nil, scalar(2)}, []int{2, 3}, []float64{1, 2, 2, 2, 2, 2}},
		{"Clip, minimum above maximum", 13, "Clip", nil, in{x, scalar(5), scalar(3)}, []int{2, 3}, []float64{3, 3, 3, 3, 3, 3}},
		{"Clip of NaN", 13, "Clip", nil, in{f32([]int{1}, nan), scalar(0), scalar(1)}, []int{1}, []float64{math.NaN()}},
		{"Clip of int64 beyond float64", 13, "Clip", nil, in{list(1<<62 + 1), i64(nil, 0), i64(nil, 1<<62)}, []int{1}, []float64{1 << 62}},

		{"Squeeze 11 by attribute", 11, "Squeeze", graph.Attrs{"axes": ints(0)}, in{count(1, 1, 2)}, []int{1, 2}, []float64{0, 1}},
		{"Squeeze 13 by input", 13, "Squeeze", nil, in{count(1, 1, 2), list(-2)}, []int{1, 2}, []float64{0, 1}},
		{"Squeeze of all", 13, "Squeeze", nil, in{count(1, 2, 1)}, []int{2}, []float64{0, 1}},
		{"Unsqueeze 11, axes in any order", 11, "Unsqueeze", graph.Attrs{"axes": ints(3, 0)}, in{count(2, 1)}, []int{1, 2, 1, 1}, []float64{0, 1}},
		{"Unsqueeze 13, from the end", 13, "Unsqueeze", nil, in{count(2), list(-1, 0)}, []int{1, 2, 1}, []float64{0, 1}},

		{"Slice 9 by attributes", 9, "Slice", graph.Attrs{"axes": ints(1), "starts": ints(-2), "ends": ints(1000)}, in{x}, []int{2, 2}, []float64{2, 3, 5, 6}},
		{"Slice 10, backwards", 10, "Slice", nil, in{x, list(-1), list(math.MinInt64), list(1), list(-2)}, []int{2, 2}, []float64{3, 1, 6, 4}},
		{"Slice of nothing", 13, "Slice", nil, in{x, list(2), list(1), list(0)}, []int{0, 3}, nil},
		{"Slice, axes from the end", 13, "Slice", nil, in{x, list(0, 1), list(1, 2), list(-2, -1)}, []int{1, 1}, []float64{2}},

		{"Pad 2 by attributes", 2, "Pad", graph.Attrs{"pads": ints(0, 1, 0, 0), "value": graph.Float(9)}, in{x}, []int{2, 4}, []float64{9, 1, 2, 3, 9, 4, 5, 6}},
		{"Pad 11, reflected twice", 11, "Pad", graph.Attrs{"mode": graph.String("reflect")}, in{f32([]int{3}, 1, 2, 3), list(2, 3)}, []int{8}, []float64{3, 2, 1, 2, 3, 2, 1, 2}},
		{"Pad 18, one axis", 18, "Pad", graph.Attrs{"mode": graph.String("edge")}, in{x, list(1, 1), nil, list(-1)}, []int{2, 5}, []float64{1, 1, 2, 3, 3, 4, 4, 5, 6, 6}},
		{"Pad 19, wrapped", 19, "Pad", graph.Attrs{"mode": graph.String("wrap")}, in{f32([]int{3}, 1, 2, 3), list(1, 2)}, []int{6}, []float64{3, 1, 2, 3, 1, 2}},
		{"Pad that crops", 13, "Pad", nil, in{x, list(0, -1, 0, 1), scalar(7)}, []int{2, 3}, []float64{2, 3, 7, 5, 6, 7}},
		{"Pad that crops all", 13, "Pad", nil, in{f32([]int{2}, 1, 2), list(-2, 3)}, []int{3}, []float64{0, 0, 0}},

		{"TopK 9 by attribute", 9, "TopK", graph.Attrs{"k": graph.Int(1)}, in{x}, []int{2, 1}, []float64{3, 6}},
		{"TopK 10 by input", 10, "TopK", graph.Attrs{"axis": graph.Int(0)}, in{x, list(1)}, []int{1, 3}, []float64{4, 5, 6}},
		{"TopK 11, smallest", 11, "TopK", graph.Attrs{"largest": graph.Int(0)}, in{x, list(2)}, []int{2, 2}, []float64{1, 2, 4, 5}},

		{"Upsample 7 by attribute", 7, "Upsample", graph.Attrs{"scales": graph.Floats(1, 2)}, in{f32([]int{1, 2}, 1, 2)}, []int{1, 4}, []float64{1, 1, 2, 2}},
		{"Upsample 9 by input, linear", 9, "Upsample", graph.Attrs{"mode": graph.String("linear")}, in{f32([]int{2}, 0, 1), f32([]int{1}, 2)}, []int{4}, []float64{0, 0.5, 1, 1}},
		{"Resize 10, asymmetric", 10, "Resize", nil, in{f32([]int{4}, 1, 2, 3, 4), f32([]int{1}, 0.5)}, []int{2}, []float64{1, 3}},
		{"Resize 11, half pixel", 11, "Resize", graph.Attrs{"mode": graph.String("linear")}, in{f32([]int{2}, 0, 1), f32([]int{0}), f32([]int{1}, 2)}, []int{4}, []float64{0, 0.25, 0.75, 1}},
		{"Resize 13, corners", 13, "Resize", graph.Attrs{"mode": graph.String("linear"), "coordinate_transformation_mode": graph.String("align_corners")},
			in{f32([]int{2}, 0, 1), nil, nil, list(3)}, []int{3}, []float64{0, 0.5, 1}},
		{"Resize 13, cubic keeps a line", 13, "Resize", graph.Attrs{"mode": graph.String("cubic")},
			in{f32([]int{6}, 0, 1, 2, 3, 4, 5), nil, f32([]int{1}, 1)}, []int{6}, []float64{0, 1, 2, 3, 4, 5}},
		{"Resize 18, one axis", 18, "Resize", graph.Attrs{"axes": ints(1)}, in{x, nil, nil, list(6)}, []int{2, 6}, []float64{1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6}},

		{"GroupNormalization 18, a scale for each group", 18, "GroupNormalization", graph.Attrs{"num_groups": graph.Int(1)},
			in{f32([]int{1, 2, 1}, -1, 1), f32([]int{1}, 2), f32([]int{1}, 5)}, []int{1, 2, 1}, []float64{3, 7}},
		{"GroupNormalization 21, a scale for each channel", 21, "GroupNormalization", graph.Attrs{"num_groups": graph.Int(1)},
			in{f32([]int{1, 2, 1}, -1, 1), f32([]int{2}, 2, 3), f32([]int{2}, 5, 6)}, []int{1, 2, 1}, []float64{3, 9}},
		{"BatchNormalization 9", 9, "BatchNormalization", graph.Attrs{"epsilon": graph.Float(0)},
			in{f32([]int{1, 1, 2}, 1, 3), f32([]int{1}, 2), f32([]int{1}, 1), f32([]int{1}, 1), f32([]int{1}, 4)}, []int{1, 1, 2}, []float64{1, 3}},
		{"Dropout 7", 7, "Dropout", graph.Attrs{"ratio": graph.Float(0.9)}, in{x}, []int{2, 3}, []float64{1, 2, 3, 4, 5, 6}},
		{"Dropout 13", 13, "Dropout", nil, in{x, scalar(0.9), Bools(nil, []bool{false})}, []int{2, 3}, []float64{1, 2, 3, 4, 5, 6}},
		{"Add 6 along an axis", 6, "Add", graph.Attrs{"broadcast": graph.Int(1), "axis": graph.Int(0)}, in{x, f32([]int{2}, 10, 20)}, []int{2, 3}, []float64{11, 12, 13, 24, 25, 26}},
		{"PRelu 6 for each channel", 6, "PRelu", nil, in{f32([]int{1, 2, 1, 1}, -1, -1), f32([]int{2}, 2, 3)}, []int{1, 2, 1, 1}, []float64{-2, -3}},
	})
}

func TestWindows(t *testing.T) {
	image := count(1, 1, 3, 3)
	ones := func(n int) *Tensor {
		v := make([]float32, n*n)
		for i := range v {
			v[i] = 1
		}
		return f32([]int{1, 1, n, n}, v...)
	}
	kernel := func(n int64, more ...any) graph.Attrs {
		a := graph.Attrs{"kernel_shape": ints(n, n)}
		for i := 0; i < len(more); i += 2 {
			a[more[i].(string)] = more[i+1].(graph.Attr)
		}
		return a
	}
	check(t, []wantCase{
		{"Conv", 11, "Conv", nil, in{image, ones(2), f32([]int{1}, 100)}, []int{1, 1, 2, 2}, []float64{108, 112, 120, 124}},
		{"Conv SAME_UPPER", 11, "Conv", graph.Attrs{"auto_pad": graph.String("SAME_UPPER")}, in{image, ones(2)}, []int{1, 1, 3, 3}, []float64{8, 12, 7, 20, 24, 13, 13, 15, 8}},
		{"Conv SAME_LOWER", 11, "Conv", graph.Attrs{"auto_pad": graph.String("SAME_LOWER")}, in{image, ones(2)}, []int{1, 1, 3, 3}, []float64{0, 1, 3, 3, 8, 12, 9, 20, 24}},
		{"Conv SAME, stride 2", 11, "Conv", graph.Attrs{"auto_pad": graph.String("SAME_UPPER"), "strides": ints(2, 2)}, in{image, ones(2)}, []int{1, 1, 2, 2}, []float64{8, 7, 13, 8}},
		{"Conv VALID takes no pads", 11, "Conv", graph.Attrs{"auto_pad": graph.String("VALID"), "pads": ints(9, 9, 9, 9)}, in{image, ones(3)}, []int{1, 1, 1, 1}, []float64{36}},
		{"Conv, dilation", 11, "Conv", graph.Attrs{"dilations": ints(2, 2)}, in{image, ones(2)}, []int{1, 1, 1, 1}, []float64{16}},
		{"Conv, pads on one side", 11, "Conv", graph.Attrs{"pads": ints(1, 0, 0, 0)}, in{image, ones(3)}, []int{1, 1, 2, 1}, []float64{15, 36}},
		{"Conv of one axis in groups", 11, "Conv", graph.Attrs{"group": graph.Int(2)},
			in{f32([]int{1, 2, 2}, 1, 2, 3, 4), f32([]int{2, 1, 2}, 1, 1, 1, -1)}, []int{1, 2, 1}, []float64{3, -1}},
		{"Conv of three axes", 11, "Conv", nil, in{count(1, 1, 2, 2, 2), f32([]int{1, 1, 2, 2, 2}, 1, 1, 1, 1, 1, 1, 1, 1)}, []int{1, 1, 1, 1, 1}, []float64{28}},

		{"ConvTranspose, stride 2", 11, "ConvTranspose", graph.Attrs{"strides": ints(2, 2)}, in{f32([]int{1, 1, 1, 2}, 1, 2), ones(2)}, []int{1, 1, 2, 4}, []float64{1, 1, 2, 2, 1, 1, 2, 2}},
		{"ConvTranspose, output_padding", 11, "ConvTranspose", graph.Attrs{"strides": ints(2, 2), "pads": ints(1, 1, 1, 1), "output_padding": ints(1, 1)},
			in{f32([]int{1, 1, 1, 1}, 1), ones(3)}, []int{1, 1, 2, 2}, []float64{1, 1, 1, 1}},
		{"ConvTranspose SAME_UPPER", 11, "ConvTranspose", graph.Attrs{"strides": ints(2, 2), "auto_pad": graph.String("SAME_UPPER")},
			in{f32([]int{1, 1, 1, 1}, 1), ones(3)}, []int{1, 1, 2, 2}, []float64{1, 1, 1, 1}},

		{"MaxPool", 12, "MaxPool", kernel(2), in{image}, []int{1, 1, 2, 2}, []float64{4, 5, 7, 8}},
		{"MaxPool, rounded up", 12, "MaxPool", kernel(2, "strides", ints(2, 2), "ceil_mode", graph.Int(1)), in{image}, []int{1, 1, 2, 2}, []float64{4, 5, 7, 8}},
		{"MaxPool, no window that starts in the padding", 12, "MaxPool", kernel(2, "strides", ints(2, 2), "ceil_mode", graph.Int(1), "pads", ints(1, 1, 1, 1)),
			in{image}, []int{1, 1, 2, 2}, []float64{0, 2, 6, 8}},
		{"MaxPool of negative numbers, padded", 12, "MaxPool", kernel(3, "pads", ints(1, 1, 1, 1)), in{f32([]int{1, 1, 1, 1}, -5)}, []int{1, 1, 1, 1}, []float64{-5}},
		{"AveragePool does not count the padding", 11, "AveragePool", kernel(2, "pads", ints(1, 1, 0, 0)), in{count(1, 1, 2, 2)}, []int{1, 1, 2, 2}, []float64{0, 0.5, 1, 1.5}},
		{"AveragePool counts the padding", 11, "AveragePool", kernel(2, "pads", ints(1, 1, 0, 0), "count_include_pad", graph.Int(1)), in{count(1, 1, 2, 2)}, []int{1, 1, 2, 2}, []float64{0, 0.25, 0.5, 1.5}},
		{"AveragePool rounded up does not count beyond the padding", 11, "AveragePool", kernel(2, "strides", ints(2, 2), "ceil_mode", graph.Int(1), "count_include_pad", graph.Int(1)),
			in{image}, []int{1, 1, 2, 2}, []float64{2, 3.5, 6.5, 8}},
		{"LpPool", 11, "LpPool", kernel(2), in{f32([]int{1, 1, 2, 2}, 1, 1, 1, 1)}, []int{1, 1, 1, 1}, []float64{2}},
		{"GlobalAveragePool", 1, "GlobalAveragePool", nil, in{image}, []int{1, 1, 1, 1}, []float64{4}},
	})
}

func TestAlgebra(t *testing.T) {
	x := f32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	eq := func(s string) graph.Attrs { return graph.Attrs{"equation": graph.String(s)} }
	check(t, []wantCase{
		{"MatMul broadcasts", 13, "MatMul", nil, in{count(2, 1, 2), count(2, 1)}, []int{2, 1, 1}, []float64{1, 3}},
		{"MatMul of vectors", 13, "MatMul", nil, in{f32([]int{2}, 1, 2), f32([]int{2}, 3, 4)}, []int{}, []float64{11}},
		{"MatMul of integers", 13, "MatMul", nil, in{i64([]int{1, 2}, 3, 4), i64([]int{2, 1}, 5, 6)}, []int{1, 1}, []float64{39}},
		{"Gemm", 13, "Gemm", graph.Attrs{"transA": graph.Int(1), "alpha": graph.Float(2), "beta": graph.Float(0.5)},
			in{x, f32([]int{2, 1}, 1, 1), f32([]int{1}, 4)}, []int{3, 1}, []float64{12, 16, 20}},
		{"Einsum of a batch", 12, "Einsum", eq("bij, bjk -> bik"), in{count(1, 1, 2), count(1, 2, 1)}, []int{1, 1, 1}, []float64{1}},
		{"Einsum of a diagonal", 12, "Einsum", eq("ii->i"), in{count(2, 2)}, []int{2}, []float64{0, 3}},
		{"Einsum of a trace", 12, "Einsum", eq("ii"), in{count(2, 2)}, []int{}, []float64{3}},
		{"Einsum, dots and order", 12, "Einsum", eq("...a,b...->...ba"), in{count(2, 2), f32([]int{1, 2}, 1, 10)}, []int{2, 1, 2}, []float64{0, 1, 20, 30}},
		{"Einsum of three", 12, "Einsum", eq("a,b,c->"), in{f32([]int{2}, 1, 2), f32([]int{2}, 3, 4), f32([]int{1}, 2)}, []int{}, []float64{42}},
		{"Div of integers", 14, "Div", nil, in{list(-7, 7), list(2, -2)}, []int{2}, []float64{-3, -3}},
		{"Mod of integers", 13, "Mod", nil, in{list(-7, 7), list(3, -3)}, []int{2}, []float64{2, -2}},
		{"fmod of integers", 13, "Mod", graph.Attrs{"fmod": graph.Int(1)}, in{list(-7, 7), list(3, -3)}, []int{2}, []float64{-1, 1}},
		{"Pow of integers", 15, "Pow", nil, in{list(3, -2), list(4, 3)}, []int{2}, []float64{81, -8}},
		{"Pow has the type of the base", 15, "Pow", nil, in{list(2), f32([]int{1}, 0.5)}, []int{1}, []float64{1}},
		{"CumSum from the end, without its own", 14, "CumSum", graph.Attrs{"exclusive": graph.Int(1), "reverse": graph.Int(1)}, in{x, i64(nil, 1)}, []int{2, 3}, []float64{5, 3, 0, 11, 6, 0}},
		{"ArgMax, the last of equals", 12, "ArgMax", graph.Attrs{"select_last_index": graph.Int(1), "keepdims": graph.Int(0)}, in{f32([]int{3}, 2, 1, 2)}, []int{}, []float64{2}},
		{"Where broadcasts", 9, "Where", nil, in{Bools([]int{2, 1}, []bool{true, false}), f32([]int{2}, 1, 2), scalar(9)}, []int{2, 2}, []float64{1, 2, 9, 9}},
		{"Gather, indices from the end", 13, "Gather", graph.Attrs{"axis": graph.Int(1)}, in{x, i64([]int{1, 2}, -1, 0)}, []int{2, 1, 2}, []float64{3, 1, 6, 4}},
		{"GatherND in batches", 12, "GatherND", graph.Attrs{"batch_dims": graph.Int(1)}, in{x, i64([]int{2, 1}, 1, 0)}, []int{2}, []float64{2, 4}},
		{"ScatterND adds", 16, "ScatterND", graph.Attrs{"reduction": graph.String("add")}, in{f32([]int{2}, 1, 1), i64([]int{2, 1}, 0, 0), f32([]int{2}, 5, 6)}, []int{2}, []float64{12, 1}},
		{"OneHot, from the end", 11, "OneHot", graph.Attrs{"axis": graph.Int(0)}, in{list(0, -1, 5), i64(nil, 2), f32([]int{2}, 0, 1)}, []int{2, 3}, []float64{1, 0, 0, 0, 1, 0}},
		{"Trilu below the diagonal", 14, "Trilu", graph.Attrs{"upper": graph.Int(0)}, in{x, i64(nil, -1)}, []int{2, 3}, []float64{0, 0, 0, 4, 0, 0}},
		{"Range, downwards", 11, "Range", nil, in{i64(nil, 5), i64(nil, 0), i64(nil, -2)}, []int{3}, []float64{5, 3, 1}},
		{"Split, the last is smaller", 18, "Split", graph.Attrs{"num_outputs": graph.Int(1)}, in{list(1, 2, 3)}, []int{3}, []float64{1, 2, 3}},
		{"Expand to fewer axes", 8, "Expand", nil, in{count(2, 1), list(1)}, []int{2, 1}, []float64{0, 1}},
		{"Reshape copies and infers", 14, "Reshape", nil, in{x, list(0, -1, 1)}, []int{2, 3, 1}, []float64{1, 2, 3, 4, 5, 6}},
		{"Reshape to no elements", 14, "Reshape", graph.Attrs{"allowzero": graph.Int(1)}, in{f32([]int{0, 3}), list(3, 0)}, []int{3, 0}, nil},
		{"LRN", 13, "LRN", graph.Attrs{"size": graph.Int(3), "alpha": graph.Float(3), "beta": graph.Float(1)}, in{f32([]int{1, 2, 1}, 1, 2)}, []int{1, 2, 1}, []float64{1. / 6, 2. / 6}},
		{"LayerNormalization", 17, "LayerNormalization", graph.Attrs{"epsilon": graph.Float(0)}, in{f32([]int{1, 2}, 1, 3), f32([]int{2}, 1, 2), f32([]int{2}, 0, 10)}, []int{1, 2}, []float64{-1, 12}},
		{"RMSNormalization", 23, "RMSNormalization", graph.Attrs{"epsilon": graph.Float(0)}, in{f32([]int{1, 2}, 1, 7), f32([]int{2}, 5, 5)}, []int{1, 2}, []float64{1, 7}},
		{"QuantizeLinear rounds to even and saturates", 13, "QuantizeLinear", nil, in{f32([]int{4}, 1, 3, 1000, -1000), scalar(2), typed(model.Uint8, nil, 10)}, []int{4}, []float64{10, 12, 255, 0}},
		{"DequantizeLinear for each channel", 13, "DequantizeLinear", graph.Attrs{"axis": graph.Int(0)}, in{typed(model.Int8, []int{2, 1}, 3, 4), f32([]int{2}, 2, 10), typed(model.Int8, []int{2}, 1, -1)}, []int{2, 1}, []float64{4, 50}},
	})
}

func TestCast(t *testing.T) {
	inf := math.Inf(1)
	to := func(n int64, saturate ...int64) graph.Attrs {
		a := graph.Attrs{"to": graph.Int(n)}
		if len(saturate) > 0 {
			a["saturate"] = graph.Int(saturate[0])
		}
		return a
	}
	check(t, []wantCase{
		{"to int32, towards zero", 13, "Cast", to(6), in{f32([]int{3}, 1.9, -1.9, 0.5)}, []int{3}, []float64{1, -1, 0}},
		{"to uint8, bits left out", 13, "Cast", to(2), in{list(257, -1)}, []int{2}, []float64{1, 255}},
		{"to bool", 13, "Cast", to(9), in{f32([]int{3}, 0, -0.1, 5)}, []int{3}, []float64{0, 1, 1}},
		{"to float16, ties to even", 13, "Cast", to(10), in{f32([]int{3}, 2049, 2051, 65520)}, []int{3}, []float64{2048, 2052, inf}},
		{"to float16, below the normal numbers", 13, "Cast", to(10), in{f32([]int{2}, 0x1.8p-25, 0x1p-25)}, []int{2}, []float64{0x1p-24, 0}},
		{"to bfloat16", 13, "Cast", to(16), in{f32([]int{2}, 257, 259)}, []int{2}, []float64{256, 260}},
		{"to float8 that saturates", 19, "Cast", to(17), in{f32([]int{3}, 500, -1e9, 17)}, []int{3}, []float64{448, -448, 16}},
		{"to float8 that does not", 19, "Cast", to(17, 0), in{f32([]int{2}, 500, 448)}, []int{2}, []float64{math.NaN(), 448}},
		{"to float8 with infinity", 19, "Cast", to(19, 0), in{f32([]int{2}, 1e9, 57344)}, []int{2}, []float64{inf, 57344}},
		{"to float8 without negative zero", 19, "Cast", to(18), in{f32([]int{1}, -1e-9)}, []int{1}, []float64{0}},
		{"from strings", 13, "Cast", to(1), in{Strings([]int{3}, []string{"1.5", "-INF", "nan"})}, []int{3}, []float64{1.5, -inf, math.NaN()}},
		{"to int64 from beyond", 13, "Cast", to(7), in{f32([]int{1}, 1e30)}, []int{1}, []float64{math.MaxInt64}},
	})
	got, err := evalOne(13, "Cast", to(8), 1, f32([]int{5}, 1, 0.1, 1e20, float32(inf), 1e-5))
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := got[0].Texts(); strings.Join(s, " ") != "1.0 0.1 1e+20 inf 1e-05" {
		t.Errorf("to strings: %q", s)
	}
}

// Every code of a narrow format has a value that is encoded as that code again.
func TestFormats(t *testing.T) {
	for dtype, f := range formats {
		for code := range 1 << f.bits {
			x := f.decode(code)
			if x != x {
				continue
			}
			if again := f.encode(x); again != code {
				t.Fatalf("%v: code %#x is %v, which is encoded as %#x", dtype, code, x, again)
			}
			if r := f.round(float64(x), rounding{}); float32(r) != x {
				t.Fatalf("%v: %v is rounded to %v", dtype, x, r)
			}
		}
	}
}

func TestRecurrent(t *testing.T) {
	// One unit that adds what it reads to what it knows.
	w, r := f32([]int{1, 1, 1}, 1), f32([]int{1, 1, 1}, 1)
	affine := graph.Attrs{"hidden_size": graph.Int(1), "activations": graph.Strings("Affine")}
	x := f32([]int{3, 2, 1}, 1, 10, 2, 20, 3, 30) // two sequences of three
	with := func(name string, a graph.Attr) graph.Attrs {
		m := graph.Attrs{name: a}
		for k, v := range affine {
			m[k] = v
		}
		return m
	}
	check(t, []wantCase{
		{"RNN", 14, "RNN", affine, in{x, w, r}, []int{3, 1, 2, 1}, []float64{1, 10, 3, 30, 6, 60}},
		{"RNN backwards", 14, "RNN", with("direction", graph.String("reverse")), in{x, w, r}, []int{3, 1, 2, 1}, []float64{6, 60, 5, 50, 3, 30}},
		{"RNN of sequences that end", 14, "RNN", affine, in{x, w, r, nil, Int64s([]int{2}, []int64{2, 3})}, []int{3, 1, 2, 1}, []float64{1, 10, 3, 30, 0, 60}},
		{"RNN backwards from their ends", 14, "RNN", with("direction", graph.String("reverse")), in{x, w, r, nil, list(2, 3)}, []int{3, 1, 2, 1}, []float64{3, 60, 2, 50, 0, 30}},
		{"RNN with the batch first", 14, "RNN", with("layout", graph.Int(1)), in{f32([]int{1, 2, 1}, 1, 2), w, r}, []int{1, 2, 1, 1}, []float64{1, 3}},
		{"RNN that starts with something", 14, "RNN", affine, in{f32([]int{1, 1, 1}, 1), w, r, f32([]int{1, 2}, 10, 100), nil, f32([]int{1, 1, 1}, 5)}, []int{1, 1, 1, 1}, []float64{116}},
	})
	both := with("direction", graph.String("bidirectional"))
	both["activations"] = graph.Strings("Affine", "Affine")
	got, err := evalOne(14, "RNN", both, 2, f32([]int{2, 1, 1}, 1, 2), f32([]int{2, 1, 1}, 1, 1), f32([]int{2, 1, 1}, 1, 1))
	if err != nil || !is(got[0], []int{2, 2, 1, 1}, 1, 3, 3, 2) || !is(got[1], []int{2, 1, 1}, 3, 3) {
		t.Errorf("both directions: %v, %v", got, err)
	}
	// Gates of an LSTM whose weights are zero are 1/2, its candidate is 0.
	zero := func(shape ...int) *Tensor { return Float32s(shape, make([]float32, product(shape))) }
	got, err = evalOne(14, "LSTM", graph.Attrs{"hidden_size": graph.Int(1)}, 3, zero(1, 1, 1), zero(1, 4, 1), zero(1, 4, 1), nil, nil, nil, f32([]int{1, 1, 1}, 4))
	if err != nil || !is(got[2], []int{1, 1, 1}, 2) || !is(got[1], []int{1, 1, 1}, 0.5*math.Tanh(2)) {
		t.Errorf("LSTM: %v, %v", got, err)
	}
	got, err = evalOne(14, "GRU", graph.Attrs{"hidden_size": graph.Int(1)}, 2, zero(1, 1, 1), zero(1, 3, 1), zero(1, 3, 1), nil, nil, f32([]int{1, 1, 1}, 4))
	if err != nil || !is(got[1], []int{1, 1, 1}, 2) {
		t.Errorf("GRU: %v, %v", got, err)
	}
}

func TestAttention(t *testing.T) {
	q := f32([]int{1, 1, 2, 1}, 0, 0) // every key counts alike
	v := f32([]int{1, 1, 2, 1}, 2, 4)
	check(t, []wantCase{
		{"all keys", 23, "Attention", nil, in{q, q, v}, []int{1, 1, 2, 1}, []float64{3, 3}},
		{"causal", 23, "Attention", graph.Attrs{"is_causal": graph.Int(1)}, in{q, q, v}, []int{1, 1, 2, 1}, []float64{2, 3}},
		{"masked", 23, "Attention", nil, in{q, q, v, Bools([]int{2, 2}, []bool{true, false, false, false})}, []int{1, 1, 2, 1}, []float64{2, 0}},
		{"with earlier keys", 23, "Attention", graph.Attrs{"is_causal": graph.Int(1)}, in{q, q, v, nil, f32([]int{1, 1, 1, 1}, 0), f32([]int{1, 1, 1, 1}, 6)}, []int{1, 1, 2, 1}, []float64{4, 4}},
		{"of fewer keys than there are", 24, "Attention", nil, in{q, q, v, nil, nil, nil, list(1)}, []int{1, 1, 2, 1}, []float64{2, 2}},
		{"heads in the last axis", 23, "Attention", graph.Attrs{"q_num_heads": graph.Int(2), "kv_num_heads": graph.Int(1)},
			in{f32([]int{1, 1, 2}, 0, 0), f32([]int{1, 1, 1}, 0), f32([]int{1, 1, 1}, 5)}, []int{1, 1, 2}, []float64{5, 5}},
		{"RotaryEmbedding by a right angle", 23, "RotaryEmbedding", nil, in{f32([]int{1, 1, 1, 2}, 1, 2), f32([]int{1, 1, 1}, 0), f32([]int{1, 1, 1}, 1)}, []int{1, 1, 1, 2}, []float64{-2, 1}},
	})
}

// What does not fit is an error that says what it is.
func TestEvalRefuses(t *testing.T) {
	var format *model.FormatError
	var unsupported *model.UnsupportedError
	var limit *model.LimitError
	x := count(2, 3)
	for _, c := range []struct {
		name string
		kind any
		text string
		op   string
		at   graph.Attrs
		in   in
	}{
		{"shapes", &format, "[2 3] [2]", "Add", nil, in{x, count(2)}},
		{"types", &format, "float32 and int64", "Add", nil, in{x, list(1)}},
		{"division", &format, "by zero", "Div", nil, in{list(1), list(0)}},
		{"axis", &format, "axis 5", "Softmax", graph.Attrs{"axis": graph.Int(5)}, in{x}},
		{"axis twice", &format, "named twice", "ReduceSum", nil, in{x, list(0, -2)}},
		{"index", &format, "index 7", "Gather", nil, in{x, list(7)}},
		{"attribute", &format, `no attribute "mystery"`, "Relu", graph.Attrs{"mystery": graph.Int(1)}, in{x}},
		{"type of attribute", &format, "axis is FLOAT, not INT", "Softmax", graph.Attrs{"axis": graph.Float(1)}, in{x}},
		{"value of attribute", &format, `"odd", not one of`, "Pad", graph.Attrs{"mode": graph.String("odd")}, in{x, list(0, 0, 0, 0)}},
		{"missing attribute", &format, "no attribute axis", "Concat", nil, in{x}},
		{"missing input", &format, "no input B", "MatMul", nil, in{x}},
		{"too many inputs", &format, "no input 1", "Relu", nil, in{x, x}},
		{"element type", &unsupported, "of bool", "Exp", nil, in{Bools(nil, []bool{true})}},
		{"Reshape", &format, "cannot become", "Reshape", nil, in{x, list(4, -1)}},
		{"hostile Expand", &limit, "elements", "Expand", nil, in{x, list(1<<40, 1, 3)}},
		{"hostile Tile", &limit, "elements", "Tile", nil, in{x, list(1<<40, 1)}},
		{"overflowing Tile", &format, "repeats", "Tile", nil, in{x, list(math.MaxInt64, math.MaxInt64)}},
		{"hostile ConstantOfShape", &limit, "elements", "ConstantOfShape", nil, in{list(1<<20, 1<<20)}},
		{"overflowing ConstantOfShape", &format, "more elements", "ConstantOfShape", nil, in{list(1<<40, 1<<40)}},
		{"hostile Range", &format, "range", "Range", nil, in{scalar(0), scalar(1e30), scalar(1)}},
		{"hostile Pad", &format, "pads", "Pad", nil, in{x, list(0, math.MaxInt64, 0, math.MaxInt64)}},
		{"hostile Resize", &limit, "elements", "Resize", nil, in{x, nil, nil, list(1<<40, 1)}},
		{"hostile OneHot", &limit, "elements", "OneHot", nil, in{list(1), i64(nil, 1<<50), f32([]int{2}, 0, 1)}},
		{"hostile kernel", &format, "must be from 1", "MaxPool", graph.Attrs{"kernel_shape": ints(1 << 40)}, in{count(1, 1, 3)}},
		{"kernel larger than the image", &format, "larger than the image", "MaxPool", graph.Attrs{"kernel_shape": ints(9)}, in{count(1, 1, 3)}},
		{"equation", &format, "equation", "Einsum", graph.Attrs{"equation": graph.String("i,j->k")}, in{count(1), count(1)}},
	} {
		_, err := evalOne(18, c.op, c.at, 1, c.in...)
		if err == nil || !errors.As(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %T with %q", c.name, err, c.kind, c.text)
		}
	}
}
