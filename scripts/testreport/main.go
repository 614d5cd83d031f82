// Command testreport reads the output of `go test -json` and prints what a
// person wants to see of it: go test's own line for each package, the whole
// output of what failed, and a closing summary with the cases of the security
// catalogue that passed. It judges nothing: the exit code that counts is go
// test's.
package main

import (
	"fmt"
	"os"
)

func main() {
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	r.summary()
}
