package edit

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// slowWarp is warpChannel as its definition says it, pixel by pixel.
func slowWarp(c *canvas, dst, src []uint8, m warp) {
	for y := range c.rows {
		for x := range c.cols {
			u, v := 2*x-(c.cols-1), 2*y-(c.rows-1)
			fx := (m.a*u+m.b*v+(c.cols-1)*fixedOne)/2 + m.dx
			fy := (m.c*u+m.d*v+(c.rows-1)*fixedOne)/2 + m.dy
			x0, y0, px, py := fx>>8, fy>>8, fx&(fixedOne-1), fy&(fixedOne-1)
			top := (fixedOne-px)*c.pixel(src, y0, x0) + px*c.pixel(src, y0, x0+1)
			bottom := (fixedOne-px)*c.pixel(src, y0+1, x0) + px*c.pixel(src, y0+1, x0+1)
			dst[y*c.cols+x] = uint8(((fixedOne-py)*top + py*bottom + fixedOne*fixedOne/2) / (fixedOne * fixedOne))
		}
	}
}

func TestWarp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for range 500 {
		c := &canvas{rows: 1 + rng.IntN(9), cols: 1 + rng.IntN(9)}
		src, got, want := make([]uint8, c.rows*c.cols), make([]uint8, c.rows*c.cols), make([]uint8, c.rows*c.cols)
		for i := range src {
			src[i] = uint8(rng.Uint32())
		}
		n := func() int { return rng.IntN(4*fixedOne) - 2*fixedOne }
		m := warp{n(), n(), n(), n(), n(), n()}
		c.warpChannel(got, src, m)
		slowWarp(c, want, src, m)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d x %d, %+v: got %v, want %v", c.rows, c.cols, m, got, want)
		}
	}
}

func BenchmarkWarp(b *testing.B) {
	c := &canvas{rows: 28, cols: 28}
	src, dst := bytes.Repeat([]byte{1, 80, 200, 7}, 28*7), make([]uint8, 28*28)
	b.Run("fast", func(b *testing.B) {
		for b.Loop() {
			c.warpChannel(dst, src, warp{250, 20, -20, 250, 300, -200})
		}
	})
	b.Run("slow", func(b *testing.B) {
		for b.Loop() {
			slowWarp(c, dst, src, warp{250, 20, -20, 250, 300, -200})
		}
	})
}
