package ops

import (
	"math"
	"testing"
)

func TestSoftsign(t *testing.T) {
	check(t, []wantCase{
		{"Softsign", 1, "Softsign", nil, in{f32([]int{4}, 0, 1, -3, 1e30)}, []int{4}, []float64{0, 0.5, -0.75, 1}},
		{"Softsign of NaN", 22, "Softsign", nil, in{scalar(float32(math.NaN()))}, []int{}, []float64{math.NaN()}},
	})
}
