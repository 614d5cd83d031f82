module github.com/doorward/doorward/bench

go 1.26.0

require (
	github.com/doorward/doorward v0.0.0
	golang.org/x/sys v0.49.0
)

replace github.com/doorward/doorward => ../
