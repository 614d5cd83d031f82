//go:build linux && !faults

package servertest_test

// size is how much of a fault a test makes: little in `make test`. With the tag
// faults, some in `make faults-short` and all in `make faults`.
func size(little, _, _ int) int { return little }
