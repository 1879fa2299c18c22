package rewrite

import (
	"fmt"
	"io"
	"math"

	"lethe/model"
)

// converter gives tensors another element type.
type converter struct {
	to       model.DType
	storages map[typedStorage]*model.Storage
}

type typedStorage struct {
	*model.Storage
	dtype model.DType
}

// convert returns a tensor of real numbers in the new type, a view of a storage
// that converts what is read from it; any other tensor itself.
func (c *converter) convert(name string, t *model.Tensor) (*model.Tensor, error) {
	if c.to == model.Invalid || t.DType() == c.to || !t.DType().IsFloat() {
		return t, nil
	}
	key := typedStorage{t.Storage(), t.DType()}
	st := c.storages[key]
	if st == nil {
		n := t.Storage().Size() / int64(t.DType().Size())
		if n > math.MaxInt64/16 {
			return nil, &model.LimitError{What: "elements of a storage", Got: uint64(n), Limit: math.MaxInt64 / 16}
		}
		r := &converted{name, t.Storage(), t.DType(), c.to}
		st = model.NewStorage(r, n*int64(c.to.Size()))
		c.storages[key] = st
	}
	return model.NewTensor(c.to, t.Shape(), t.Strides(), t.Offset(), st)
}

// converted reads the elements of a storage in another type.
type converted struct {
	name     string // of the first tensor over the storage
	storage  *model.Storage
	from, to model.DType
}

// block is how many elements are converted at once.
const block = 1 << 15

func (c *converted) ReadAt(b []byte, at int64) (int, error) {
	size := int64(c.to.Size())
	all := c.storage.Size() / int64(c.from.Size())
	for n := 0; n < len(b); {
		first := (at + int64(n)) / size
		skip := (at + int64(n)) % size
		count := min((int64(len(b)-n)+skip+size-1)/size, block, all-first)
		if count <= 0 {
			return n, io.EOF
		}
		piece, err := c.convert(first, int(count))
		if err != nil {
			return n, err
		}
		n += copy(b[n:], piece[skip:])
	}
	return len(b), nil
}

// convert returns the bytes of some elements, rounded to nearest as PyTorch
// rounds: float64 by way of float32.
func (c *converted) convert(first int64, count int) ([]byte, error) {
	t, err := model.NewTensor(c.from, []int{count}, nil, int(first), c.storage)
	if err != nil {
		return nil, err
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	out, err := model.FromFloat32s(c.to, []int{count}, v)
	if err != nil {
		return nil, err
	}
	rounded, err := out.Float32s()
	if err != nil {
		return nil, err
	}
	for i, x := range rounded {
		if !math.IsInf(float64(x), 0) {
			continue
		}
		infinite, err := c.infinite(first+int64(i), v[i])
		if err != nil {
			return nil, err
		}
		if !infinite {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("%q holds a number beyond the range of %v", c.name, c.to),
				Advice: "bfloat16 has the range of float32; or drop the entry, or keep its type"}
		}
	}
	return out.Bytes()
}

// infinite reports whether an element is infinite, which float32 tells of all
// types but float64.
func (c *converted) infinite(at int64, x float32) (bool, error) {
	if c.from != model.Float64 || !math.IsInf(float64(x), 0) {
		return math.IsInf(float64(x), 0), nil
	}
	b := make([]byte, 8)
	if _, err := c.storage.Reader().ReadAt(b, 8*at); err != nil && err != io.EOF {
		return false, err
	}
	return b[7]&0x7f == 0x7f && b[6] == 0xf0 && b[5]|b[4]|b[3]|b[2]|b[1]|b[0] == 0, nil
}
