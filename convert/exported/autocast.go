package exported

import (
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/model"
)

// lowered are the operators that compute in the type of autocast. Others compute in
// it if that is the type of what they get.
var lowered = map[string]bool{
	"conv1d": true, "conv2d": true, "conv3d": true, "convolution": true, "conv_transpose1d": true, "conv_transpose2d": true, "conv_transpose3d": true,
	"linear": true, "matmul": true, "mm": true, "bmm": true, "mv": true, "addmm": true, "addbmm": true, "baddbmm": true, "addmv": true, "einsum": true,
	"chain_matmul": true, "linalg_multi_dot": true, "linalg_vecdot": true, "tensordot": true, "scaled_dot_product_attention": true, "prelu": true,
	"lstm": true, "gru": true, "rnn_tanh": true, "rnn_relu": true, "lstm_cell": true, "gru_cell": true, "rnn_tanh_cell": true, "rnn_relu_cell": true,
}

// autocast adds the casts that torch.autocast makes inside of operators, which
// the graph does not show: to its type in the operators that compute in it, and to
// float32 where the result has that.
func (b *builder) autocast(nodes []*aten.Node, half model.DType) []*aten.Node {
	var out []*aten.Node
	for _, n := range nodes {
		to := model.Invalid
		if len(n.Outputs) > 0 && n.Outputs[0] != nil {
			to = n.Outputs[0].DType
		}
		from := model.Float32
		if to == model.Float32 {
			from = half
		}
		base := n.Op[strings.IndexByte(n.Op, '.')+1:]
		if to == half && lowered[base] || to == model.Float32 && !slices.Contains([]string{"to", "_to_copy", "type_as", "float"}, base) && !strings.HasSuffix(base, "_") {
			cast := func(v *aten.Value) *aten.Value {
				if v == nil || v.DType != from {
					return v
				}
				c := &aten.Value{Name: v.Name + "." + to.String(), DType: to, Shape: v.Shape, Scattered: v.Scattered}
				out = append(out, &aten.Node{Op: "aten._to_copy", Args: []aten.Arg{{Name: "self", Value: v}, {Name: "dtype", Value: to}}, Outputs: []*aten.Value{c}, Module: n.Module})
				b.values = append(b.values, c)
				return c
			}
			for i, a := range n.Args {
				switch v := a.Value.(type) {
				case *aten.Value:
					n.Args[i].Value = cast(v)
				case []*aten.Value:
					for j := range v {
						v[j] = cast(v[j])
					}
				}
			}
		}
		out = append(out, n)
	}
	return out
}
