package main

import "lethe/internal/kernel"

func fma(n int) {
	switch kernel.CPU() {
	case "avx512":
		fma512(n)
	case "avx2":
		fma256(n)
	default:
		portable(n)
	}
}
