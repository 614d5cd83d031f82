// Package e2e looks at the Dashboard as people do: the real binary, in a real
// browser. It is a module of its own, so that what drives the browser is no
// dependency of the product. `make e2e` runs it; the tests are all there is.
package e2e
