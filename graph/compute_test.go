package graph

import "testing"

// Compute follows the expression: with numbers it gives what Eval gives.
func TestCompute(t *testing.T) {
	n, m := Symbol("n"), Symbol("m")
	symbols := map[string]int{"n": 5, "m": 3}
	by := Arithmetic[int64]{
		Int:    func(n int64) int64 { return n },
		Symbol: func(name string) int64 { return int64(symbols[name]) },
		Add:    func(a, b int64) int64 { return a + b },
		Mul:    func(a, b int64) int64 { return a * b },
		Div:    floorDiv,
		Max:    func(a, b int64) int64 { return max(a, b) },
		Min:    func(a, b int64) int64 { return min(a, b) },
	}
	natural := by
	natural.Natural = func(a, b int64) int64 { return a / b }
	for _, d := range []Dim{Size(0), Size(7), n, n.Mul(m), n.Mul(Size(2)).Add(Size(1)), n.Sub(m), Size(3).Sub(n), n.Add(m).Div(Size(2)), n.Max(m).Mul(n), n.Min(Size(4)).Add(n.Mod(Size(3))),
		n.CeilDiv(Size(3)), Size(3).Sub(n).Div(Size(4)), n.Sub(m).Sub(m).Div(Size(2)), m.Sub(Size(4)).Div(Size(3)), n.Sub(Size(1)).Div(Size(3)), n.Div(m).Sub(Size(2)).Div(Size(2))} {
		want, ok := d.Eval(symbols)
		if got := Compute(d, by); !ok || got != int64(want) {
			t.Errorf("%v is %d, want %d", d, got, want)
		}
		if got := Compute(d, natural); got != int64(want) {
			t.Errorf("%v is %d where natural numbers are divided towards zero, want %d", d, got, want)
		}
	}
}
