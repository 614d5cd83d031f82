package main

import (
	"math"
	mathrand "math/rand/v2"
)

// zipf draws ranks from 1 to n, the k-th as often as k to the power of -skew, by
// rejection-inversion (Hörmann and Derflinger 1996). That of the standard
// library knows only skews above 1, which are too steep for clients that each
// fetch a token when theirs ends. The skew is above 0 and not 1.
type zipf struct {
	random           *mathrand.Rand
	n, skew          float64
	first, last, gap float64
}

func newZipf(random *mathrand.Rand, n int, skew float64) *zipf {
	z := &zipf{random: random, n: float64(n), skew: skew}
	z.first, z.last = z.integral(1.5)-1, z.integral(z.n+0.5)
	z.gap = 2 - z.inverse(z.integral(2.5)-math.Pow(2, -skew))
	return z
}

func (z *zipf) integral(x float64) float64 {
	return (math.Pow(x, 1-z.skew) - 1) / (1 - z.skew)
}

func (z *zipf) inverse(y float64) float64 {
	return math.Pow(1+y*(1-z.skew), 1/(1-z.skew))
}

func (z *zipf) next() int {
	for {
		u := z.last + z.random.Float64()*(z.first-z.last)
		x := z.inverse(u)
		k := min(max(math.Round(x), 1), z.n)
		if k-x <= z.gap || u >= z.integral(k+0.5)-math.Pow(k, -z.skew) {
			return int(k)
		}
	}
}
