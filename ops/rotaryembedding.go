package ops

import "slices"

// rotaryembeddingOp turns pairs of elements by angles that depend on their
// position in the sequence.
var rotaryembeddingOp = &Operator{
	Name: "RotaryEmbedding", Since: 23,
	inputs: []input{data("X", floats), constant("cos_cache", floats), constant("sin_cache", floats), constant("position_ids", set(int64Type)).opt()},
	attrs:  []attr{intAttr("interleaved", 0), intAttr("num_heads", 0), intAttr("rotary_embedding_dim", 0)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x := c.byHeads(c.input(0), c.int("num_heads")) // batch, heads, sequence, size
		size := x.shape[3]
		turned := c.int("rotary_embedding_dim")
		if turned == 0 {
			turned = size
		}
		if turned < 0 || turned > size || turned%2 != 0 {
			c.fail("rotary_embedding_dim is %d and heads have %d elements; it must be even and no larger", turned, size)
		}
		cos, sin := c.angles(x.shape, turned/2)
		v := c.floats(x)
		half := turned / 2
		for i := range x.shape[0] * x.shape[1] * x.shape[2] {
			row := v[i*size : (i+1)*size]
			at := (i/(x.shape[1]*x.shape[2])*x.shape[2] + i%x.shape[2]) * half
			for j := range half {
				a, b := j, half+j
				if c.flag("interleaved") {
					a, b = 2*j, 2*j+1
				}
				co, si := cos[at+j], sin[at+j]
				row[a], row[b] = co*row[a]-si*row[b], si*row[a]+co*row[b]
			}
		}
		out := c.from(x.dtype, x.shape, v)
		if len(c.input(0).shape) == 3 {
			out = c.reshaped(c.transpose(out, []int{0, 2, 1, 3}), c.input(0).shape)
		}
		c.set(0, out)
	},
}

// angles returns the cosines and sines of every position [batch, sequence, half].
func (c *call) angles(shape []int, half int) (cos, sin []float64) {
	var out [2][]float64
	positions, given := c.inInts(3)
	want := []int{shape[0], shape[2]}
	if given && !slices.Equal(c.input(3).shape, want) {
		c.fail("the positions have shape %v, not %v", c.input(3).shape, want)
	}
	for i := range out {
		cache := c.input(1 + i)
		v := c.floats(cache)
		if !given {
			if !slices.Equal(cache.shape, append(want, half)) {
				c.fail("a cache has shape %v, not %v", cache.shape, append(want, half))
			}
			out[i] = v
			continue
		}
		if len(cache.shape) != 2 || cache.shape[1] != half {
			c.fail("a cache has shape %v, and %d angles are needed", cache.shape, half)
		}
		for _, p := range positions {
			if p < 0 || p >= cache.shape[0] {
				c.fail("position %d is outside of a cache of %d", p, cache.shape[0])
			}
			out[i] = append(out[i], v[p*half:(p+1)*half]...)
		}
	}
	return out[0], out[1]
}
