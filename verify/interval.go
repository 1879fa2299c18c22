package verify

import (
	"cmp"
	"math"
	"slices"
)

// normal is the 97.5 % quantile of the standard normal distribution: all
// intervals are at 95 %. Conversions to float64 keep a product from being fused
// with a sum, which would make the bits depend on the machine.
const normal = 1.959963984540054

// student holds the 97.5 % quantiles of Student's t distribution, by the number
// of values that a mean is of, one more than the degrees of freedom.
var student = [...]float64{
	2: 12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146,
	2.4469118511449786, 2.364624251592784, 2.306004135204166, 2.262157162798205,
}

// Estimate is a measured number and its 95 % confidence interval.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	N     int     `json:"n"` // images or, of a mean over runs, runs
	// Others is the accuracy on the other classes of the network or classifier
	// that Value is measured on, where that differs from the edited network.
	Others *float64 `json:"others,omitempty"`
	// AtLeast reports that a run was ended before its result was known: the true
	// value is no smaller.
	AtLeast bool `json:"at_least,omitempty"`
}

// overlap reports whether two intervals have a common point.
func (e *Estimate) overlap(o *Estimate) bool { return e.Low <= o.High && o.Low <= e.High }

// proportion returns hits/n with Wilson's score interval ("Probable inference, the
// law of succession, and statistical inference", 1927).
func proportion(hits, n int) Estimate {
	count := float64(n)
	p := float64(hits) / count
	scale := 1 + normal*normal/count
	middle := (p + normal*normal/(2*count)) / scale
	half := float64(normal / scale * math.Sqrt(float64(p*(1-p))/count+normal*normal/float64(4*count*count)))
	e := Estimate{Value: p, Low: math.Max(0, middle-half), High: math.Min(1, middle+half), N: n}
	// Rounding must not take the interval off its own value.
	e.Low, e.High = math.Min(e.Low, p), math.Max(e.High, p)
	return e
}

// mean returns the mean of values with the interval of the normal distribution.
func mean(values []float64) Estimate {
	m, deviation := moments(values)
	half := normal * deviation / math.Sqrt(float64(len(values)))
	return Estimate{Value: m, Low: m - half, High: m + half, N: len(values)}
}

// meanOfRuns returns the mean of the results of 2 to 10 runs with Student's interval.
func meanOfRuns(values []float64) Estimate {
	m, deviation := moments(values)
	half := student[len(values)] * deviation / math.Sqrt(float64(len(values)))
	return Estimate{Value: m, Low: m - half, High: m + half, N: len(values)}
}

// shareOfRuns returns the mean of shares of n images over a few runs. The runs
// share their images, so two errors meet, and are added as squares: Student's
// for the runs and Wilson's for the images.
func shareOfRuns(shares []float64, n int) Estimate {
	e := meanOfRuns(shares)
	images := proportion(int(math.Round(float64(e.Value*float64(n)))), n)
	e.Low = math.Max(0, e.Value-hypot(e.Value-e.Low, images.Value-images.Low))
	e.High = math.Min(1, e.Value+hypot(e.High-e.Value, images.High-images.Value))
	return e
}

// combineNetworks returns the mean of what several networks of one kind give, with two
// errors added as squares: Student's for the networks and the mean of their own.
// One network alone says nothing of others.
func combineNetworks(all []Estimate, isShare bool) Estimate {
	if len(all) == 1 {
		return all[0]
	}
	e := all[0]
	var values, others []float64
	below, above := 0.0, 0.0
	for _, o := range all {
		values = append(values, o.Value)
		below += (o.Value - o.Low) / float64(len(all))
		above += (o.High - o.Value) / float64(len(all))
		e.AtLeast = e.AtLeast || o.AtLeast
		if o.Others != nil {
			others = append(others, *o.Others)
		}
	}
	if len(others) > 0 {
		e = withOthers(e, others)
	}
	m := meanOfRuns(values)
	e.Value = m.Value
	e.Low = max(0, m.Value-hypot(m.Value-m.Low, below))
	e.High = m.Value + hypot(m.High-m.Value, above)
	if isShare {
		e.High = min(1, e.High)
	}
	return e
}

func hypot(a, b float64) float64 { return math.Sqrt(float64(a*a) + float64(b*b)) }

// moments returns the mean and the standard deviation of a sample, with the
// divisor n-1.
func moments(values []float64) (m, deviation float64) {
	for _, v := range values {
		m += v
	}
	m /= float64(len(values))
	if len(values) < 2 {
		return m, 0
	}
	squares := 0.0
	for _, v := range values {
		squares += float64((v - m) * (v - m))
	}
	return m, math.Sqrt(squares / float64(len(values)-1))
}

// auc returns the probability that a random one of the positive scores is larger
// than a random one of the negative ones, ties counting one half, with the
// interval of DeLong, DeLong and Clarke-Pearson ("Comparing the areas under two
// or more correlated receiver operating characteristic curves", 1988). The
// components are computed from midranks (Sun and Xu, 2014). N is the number of
// all scores.
func auc(positive, negative []float64) Estimate {
	all := midranks(slices.Concat(positive, negative))
	own, others := midranks(positive), midranks(negative)
	m, n := float64(len(positive)), float64(len(negative))
	above, below := make([]float64, len(positive)), make([]float64, len(negative))
	for i := range above {
		above[i] = (all[i] - own[i]) / n
	}
	for i := range below {
		below[i] = (all[len(positive)+i] - others[i]) / m
	}
	value, up := moments(above)
	_, down := moments(below)
	half := float64(normal * math.Sqrt(float64(up*up)/m+float64(down*down)/n))
	return Estimate{Value: value, Low: math.Max(0, value-half), High: math.Min(1, value+half), N: len(all)}
}

// midranks returns the rank of every value from 1 on; equal ones share the mean
// of their ranks.
func midranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	ranks := make([]float64, len(values))
	for lo := 0; lo < len(order); {
		hi := lo + 1
		for hi < len(order) && values[order[hi]] == values[order[lo]] {
			hi++
		}
		for _, i := range order[lo:hi] {
			ranks[i] = float64(lo+hi+1) / 2
		}
		lo = hi
	}
	return ranks
}
