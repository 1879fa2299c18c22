//go:build !amd64

package main

func fma(n int) { portable(n) }
