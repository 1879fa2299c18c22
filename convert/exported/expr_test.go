package exported

import "testing"

// Sizes of images that are scaled by a number that is not whole are computed with
// whole numbers; what cannot be said exactly so is a symbol of its own, and what is
// no function of sizes an error.
func TestScaledSizes(t *testing.T) {
	const s, u = "Symbol('s', positive=True, integer=True)", "Symbol('u', positive=True, integer=True)"
	sizes := map[string]int{"s": 21, "u": 8}
	for _, c := range []struct {
		text string
		want int // for s of 21 and u of 8; -1 for an unknown one, -2 for an error
	}{
		{"TruncToInt(Mul(Float('1.5', precision=53), ToFloat(" + s + ")))", 31},
		{"Add(Integer(1), TruncToInt(Mul(Float('0.5', precision=53), ToFloat(Add(Integer(-1), " + s + ")))))", 11},
		{"CeilToInt(IntTrueDiv(" + s + ", Integer(2)))", 11},
		{"TruncToInt(FloatTrueDiv(ToFloat(" + s + "), ToFloat(" + u + ")))", 2},
		{"TruncToInt(Mul(Float('2.0', precision=53), Float('0.25', precision=53), ToFloat(" + s + ")))", 10},
		{"TruncToInt(Mul(Float('0.29', precision=53), ToFloat(" + s + ")))", -1},
		{"RoundToInt(Mul(Float('0.5', precision=53), ToFloat(" + s + ")))", -1},
		{"TruncToInt(Mul(Float('-0.5', precision=53), ToFloat(" + s + ")))", -1},
		{"TruncToInt(IntTrueDiv(" + s + ", Integer(0)))", -1},
		{"TruncToInt(system('x'))", -2},
		{"TruncToInt(Mul(Float('0.29'), system('x')))", -2},
		{"TruncToInt(Float('0.29', \"x\"))", -2},
		{"TruncToInt(Float('0.5'", -2},
		{"TruncToInt(Float(", -2},
	} {
		d, err := parseExpression(c.text)
		got, known := d.Eval(sizes)
		switch {
		case err != nil:
			got = -2
		case !known:
			got = -1
		}
		if got != c.want {
			t.Errorf("%s is %d (%v, %v), want %d", c.text, got, d, err, c.want)
		}
	}
}
