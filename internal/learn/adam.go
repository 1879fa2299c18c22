package learn

import (
	"math"

	"lethe/internal/kernel"
)

// epsilon keeps the division of a step finite: the default of torch.optim.Adam.
const epsilon = 1e-8

// Adam is the state of the optimiser of Kingma and Ba ("Adam: a method for
// stochastic optimization", 2015, algorithm 1).
type Adam struct {
	beta1, beta2   float64   // decay of the moments
	m, v           []float32 // the moments
	power1, power2 float64   // beta1^t and beta2^t after t steps
}

// NewAdam returns the state before the first step of n parameters. beta1 and
// beta2 are the decay rates of the first and the second moment, 0 to 1.
func NewAdam(n int, beta1, beta2 float64) *Adam {
	return &Adam{beta1: beta1, beta2: beta2, m: make([]float32, n), v: make([]float32, n), power1: 1, power2: 1}
}

// Step moves the parameters theta against their gradient by a step of size rate.
func (a *Adam) Step(theta, grad []float32, rate float64) {
	a.power1 *= a.beta1
	a.power2 *= a.beta2
	kernel.Adam(theta, a.m, a.v, grad, kernel.AdamRates{
		Rate: float32(rate / (1 - a.power1)), Beta1: float32(a.beta1), Beta2: float32(a.beta2),
		Root: float32(1 / math.Sqrt(1-a.power2)), Eps: epsilon,
	})
}

// Fall returns the share of the step size that is left after a part x, 0 to 1, of
// a run: a cubic close to half a cosine, from 1 to 0.
func Fall(x float64) float64 { return 1 - float64(float64(x*x)*(3-float64(2*x))) }
