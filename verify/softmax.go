package verify

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"lethe/internal/kernel"
	"lethe/internal/learn"
)

// regression is multinomial logistic regression: it minimises, over weights w of
// [features+1][classes] whose last row is the intercept,
//
//	sum over samples of -log softmax(x w)[label] + penalty/2 * ||w - w0||^2
//
// with a penalty on all but the intercept. All sums run in a fixed order.
type regression struct {
	x       []float64 // [samples][features]
	labels  []int
	classes int
	penalty float64
	w0      []float64 // nil: zero
	threads int
}

const (
	block      = 256   // samples that are added up by one goroutine
	mostSteps  = 100   // steps of Newton's method, and of conjugate gradients in each
	tolerance  = 1e-12 // of twice what a step gains, relative to the objective
	negligible = 1e-3  // variance of a prediction that the preconditioner leaves out
)

func (r *regression) features() int { return len(r.x) / len(r.labels) }

// fit returns the minimum. It is Newton's method; the system of each step is solved by conjugate gradients, only as well as the step
// deserves (Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.1),
// preconditioned by the Hessian without its coupling of classes.
func (r *regression) fit() []float64 {
	w := slices.Clone(r.w0)
	if w == nil {
		w = make([]float64, (r.features()+1)*r.classes)
	}
	f, g, p := r.objective(w)
	first := math.Sqrt(dot(g, g))
	for range mostSteps {
		length := math.Sqrt(dot(g, g))
		step := r.solve(g, p, length*min(0.5, math.Sqrt(length/first)))
		gain := dot(g, step)
		if !(gain > tolerance*max(1, f)) {
			return w
		}
		for t := 1.0; ; t /= 2 {
			if t < 1e-10 {
				return w // the objective cannot tell smaller steps apart
			}
			next := slices.Clone(w)
			axpy(next, -t, step)
			fn, gn, pn := r.objective(next)
			if fn <= f-float64(1e-4*t*gain) {
				w, f, g, p = next, fn, gn, pn
				break
			}
		}
	}
	return w
}

// objective returns the value and the gradient at w, and the probabilities of
// every sample there, [samples][classes].
func (r *regression) objective(w []float64) (f float64, g, p []float64) {
	k := r.classes
	p = make([]float64, len(r.labels)*k)
	losses := make([]float64, len(r.labels))
	g = r.gather(func(i int, x, residual []float64) {
		affine(residual, x, w)
		own := p[i*k : (i+1)*k]
		sum := learn.Exps(residual, own, residual)
		losses[i] = kernel.Log(sum) - residual[r.labels[i]]
		for c := range own {
			own[c] /= sum
		}
		copy(residual, own)
		residual[r.labels[i]]--
	})
	for _, loss := range losses {
		f += loss
	}
	for i := range r.features() * k {
		e := w[i]
		if r.w0 != nil {
			e -= r.w0[i]
		}
		f += float64(r.penalty / 2 * float64(e*e))
		g[i] += float64(r.penalty * e)
	}
	return f, g, p
}

// hessian multiplies v by the second derivative where the probabilities are p.
func (r *regression) hessian(v, p []float64) []float64 {
	k := r.classes
	out := r.gather(func(i int, x, change []float64) {
		affine(change, x, v)
		own := p[i*k : (i+1)*k]
		mean := dot(own, change)
		for c := range change {
			change[c] = own[c] * (change[c] - mean)
		}
	})
	for i := range r.features() * k {
		out[i] += float64(r.penalty * v[i])
	}
	return out
}

// gather adds up, over all samples, the products of the features, and of 1 for
// the intercept, with the numbers that each sets for every class.
func (r *regression) gather(each func(i int, x, perClass []float64)) []float64 {
	d, k := r.features(), r.classes
	blocks := (len(r.labels) + block - 1) / block
	partial := make([]float64, blocks*(d+1)*k)
	parallel(blocks, r.threads, func(b int) {
		sum, perClass := partial[b*(d+1)*k:(b+1)*(d+1)*k], make([]float64, k)
		for i := b * block; i < min((b+1)*block, len(r.labels)); i++ {
			x := r.x[i*d : (i+1)*d]
			each(i, x, perClass)
			for j, v := range x {
				if v != 0 {
					axpy(sum[j*k:(j+1)*k], v, perClass)
				}
			}
			axpy(sum[d*k:], 1, perClass)
		}
	})
	sum := partial[:(d+1)*k]
	for b := 1; b < blocks; b++ {
		axpy(sum, 1, partial[b*(d+1)*k:(b+1)*(d+1)*k])
	}
	return sum
}

// affine sets z to the logits of a sample.
func affine(z, x, w []float64) {
	k := len(z)
	copy(z, w[len(x)*k:])
	for j, v := range x {
		if v != 0 {
			axpy(z, v, w[j*k:(j+1)*k])
		}
	}
}

// solve returns a v for which the Hessian times v is g up to a residual of the
// given length.
func (r *regression) solve(g, p []float64, residual float64) []float64 {
	precondition := r.preconditioner(p)
	v, rest := make([]float64, len(g)), slices.Clone(g)
	y := precondition(rest)
	direction, old := slices.Clone(y), dot(rest, y)
	for range mostSteps {
		h := r.hessian(direction, p)
		t := old / dot(direction, h)
		axpy(v, t, direction)
		axpy(rest, -t, h)
		if math.Sqrt(dot(rest, rest)) <= residual {
			break
		}
		y = precondition(rest)
		now := dot(rest, y)
		for i := range direction {
			direction[i] = y[i] + float64(now/old*direction[i])
		}
		old = now
	}
	return v
}

// preconditioner returns a function that divides by the blocks of the Hessian
// that belong to one class each, with Cholesky factors. What is common to all
// classes changes no probability, and the blocks alone would not see that: it is
// taken out, as it is not in g either. Samples whose prediction of a class is as
// good as certain are left out of its block: they make it dearer, not better.
func (r *regression) preconditioner(p []float64) func(g []float64) []float64 {
	d, k := r.features()+1, r.classes
	factors := make([][]float64, k) // lower triangles
	parallel(k, r.threads, func(c int) {
		l := make([]float64, d*d)
		for s := range r.labels {
			q := p[s*k+c]
			variance := float64(q * (1 - q))
			if variance < negligible {
				continue
			}
			x := r.x[s*(d-1) : (s+1)*(d-1)]
			for i, v := range x {
				if v != 0 {
					axpy(l[i*d:i*d+i+1], float64(variance*v), x)
				}
			}
			axpy(l[(d-1)*d:d*d-1], variance, x)
			l[d*d-1] += variance
		}
		for i := range d - 1 {
			l[i*d+i] += r.penalty
		}
		l[d*d-1] = max(l[d*d-1], negligible) // where every sample was left out
		cholesky(l, d)
		factors[c] = l
	})
	return func(g []float64) []float64 {
		out := slices.Clone(g)
		for c, l := range factors {
			for i := range d {
				for j := range i {
					out[i*k+c] -= float64(l[i*d+j] * out[j*k+c])
				}
				out[i*k+c] /= l[i*d+i]
			}
			for i := d - 1; i >= 0; i-- {
				for j := i + 1; j < d; j++ {
					out[i*k+c] -= float64(l[j*d+i] * out[j*k+c])
				}
				out[i*k+c] /= l[i*d+i]
			}
		}
		centre(out, k)
		return out
	}
}

// centre subtracts from every row of k numbers their mean.
func centre(v []float64, k int) {
	for i := 0; i < len(v); i += k {
		m := 0.0
		for _, x := range v[i : i+k] {
			m += x
		}
		m /= float64(k)
		for c := range k {
			v[i+c] -= m
		}
	}
}

// cholesky replaces the lower triangle of a positive definite d by d matrix by
// its factor.
func cholesky(l []float64, d int) {
	for i := range d {
		for j := range i + 1 {
			s := l[i*d+j] - dot(l[i*d:i*d+j], l[j*d:j*d+j])
			if i == j {
				l[i*d+i] = math.Sqrt(s)
			} else {
				l[i*d+j] = s / l[j*d+j]
			}
		}
	}
}

// classify returns the class with the largest logit for every sample of x, the
// first of equals.
func classify(x, w []float64, classes, threads int) []int {
	d := len(w)/classes - 1
	best := make([]int, len(x)/d)
	parallel((len(best)+block-1)/block, threads, func(b int) {
		z := make([]float64, classes)
		for i := b * block; i < min((b+1)*block, len(best)); i++ {
			affine(z, x[i*d:(i+1)*d], w)
			best[i] = learn.Best(z)
		}
	})
	return best
}

// parallel runs tasks 0 to n-1 on up to threads goroutines (0: one for each
// processor).
func parallel(n, threads int, f func(task int)) {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(threads, n) {
		wg.Go(func() {
			for task := int(next.Add(1)) - 1; task < n; task = int(next.Add(1)) - 1 {
				f(task)
			}
		})
	}
	wg.Wait()
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v * b[i])
	}
	return sum
}

// axpy adds a*x to y.
func axpy(y []float64, a float64, x []float64) {
	x = x[:len(y)]
	for i := range y {
		y[i] += float64(a * x[i])
	}
}
