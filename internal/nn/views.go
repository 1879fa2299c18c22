package nn

import "slices"

// What changes nothing but the shape.

func inferSame(n *site) ([]shape, error) { return n.in[:1], nil }

// inferDropout is for evaluation, in which Dropout changes nothing.
func inferDropout(n *site) ([]shape, error) {
	if len(n.Outputs) > 1 && n.Outputs[1] != "" {
		return nil, unsupported("Dropout with a mask for an output is not supported: export the network after model.eval(), with training=TrainingMode.EVAL")
	}
	return n.in[:1], nil
}

// inferCast takes numbers for what they are: values hold whole numbers and
// fractions alike, and only a Cast that would change them matters; see expandCast.
func inferCast(n *site) ([]shape, error) { return n.in[:1], nil }

// Types of elements as ONNX numbers them.
const (
	onnxFloat, onnxInt32, onnxInt64, onnxBool, onnxFloat16, onnxDouble, onnxBFloat16 = 1, 6, 7, 9, 10, 11, 16
)

// expandCast is for a Cast of fractions to whole numbers, and of numbers to truth
// values.
func expandCast(e *expansion) (string, error) {
	from := e.net.whole[e.input(0)]
	switch to := e.Int("to", 0); to {
	case onnxFloat, onnxFloat16, onnxDouble, onnxBFloat16:
		return "", nil
	case onnxInt32, onnxInt64:
		if from {
			return "", nil
		}
		return e.op("Truncate", nil, e.input(0)), nil
	case onnxBool:
		return e.op("Truth", nil, e.input(0)), nil
	default:
		return "", unsupported("Cast to type %d is not supported", to)
	}
}

func inferReshape(n *site) ([]shape, error) {
	in := n.in[0]
	if n.stated == nil {
		return nil, unsupported("Reshape of shape %v to what is computed from the data is not supported", in)
	}
	out := *n.stated
	if in.batch >= 0 && out.batch < 0 && out.elements() == in.elements() {
		out.batch = batchAfter(in, out)
	}
	if out.elements() != in.elements() {
		return nil, misfit("Reshape gives shape %v the shape %v, which has another number of elements", in, out)
	}
	placed, ok := in.reshaped(out.dims, out.batch)
	if !ok {
		return nil, unsupported("Reshape of shape %v to %v would mix samples", in, out)
	}
	return []shape{placed}, only(n, "allowzero", "shape")
}

// batchAfter finds the axis that takes the batch where a network was exported
// for one sample: as much stands before it as before.
func batchAfter(in, out shape) int {
	before := in.before()
	for i, d := range out.dims {
		if d == in.dims[in.batch] && product(out.dims[:i]) == before {
			return i
		}
	}
	return -1
}

func inferSqueeze(n *site) ([]shape, error) {
	in := n.in[0]
	list, err := n.intsOr(1, "axes")
	if err != nil {
		return nil, err
	}
	axes, err := axesOf(list, len(in.dims))
	if err != nil {
		return nil, err
	}
	if list == nil {
		for i, d := range in.dims {
			if d == 1 && i != in.batch {
				axes = append(axes, i)
			}
		}
	}
	out := shape{batch: -1}
	for i, d := range in.dims {
		if slices.Contains(axes, i) {
			if d != 1 || i == in.batch {
				return nil, misfit("Squeeze takes axis %d away from shape %v, whose size is not 1 or which is the batch", i, in)
			}
			continue
		}
		if i == in.batch {
			out.batch, out.lead = len(out.dims), in.lead
		}
		out.dims = append(out.dims, d)
	}
	return []shape{out}, only(n, "axes")
}

func inferUnsqueeze(n *site) ([]shape, error) {
	in := n.in[0]
	list, err := n.intsOr(1, "axes")
	if err != nil {
		return nil, err
	}
	rank := len(in.dims) + len(list)
	axes, err := axesOf(list, rank)
	if err != nil {
		return nil, err
	}
	out, at := shape{dims: make([]int, rank), batch: -1}, 0
	for i := range rank {
		if slices.Contains(axes, i) {
			out.dims[i] = 1
			continue
		}
		if at == in.batch {
			out.batch, out.lead = i, in.lead
		}
		out.dims[i] = in.dims[at]
		at++
	}
	return []shape{out}, only(n, "axes")
}
