// The examples are a module of their own: they use the library as a program of
// somebody else would.
module example.com/lethe-examples

go 1.26.0

require lethe v0.0.0

require github.com/nlpodyssey/gopickle v0.2.0 // indirect

replace lethe => ../
