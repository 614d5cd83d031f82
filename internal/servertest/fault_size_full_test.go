//go:build linux && faults

package servertest_test

import "os"

// size is how much of a fault a test makes; DOORWARD_FAULTS says which.
func size(_, some, all int) int {
	if os.Getenv("DOORWARD_FAULTS") == "all" {
		return all
	}
	return some
}
