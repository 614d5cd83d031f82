package signingkey

import (
	"context"
	"slices"
)

// Check does once what Run does about every minute.
func (r *Ring) Check(ctx context.Context) error { return r.check(ctx) }

// RekeyedColumns are those that are sealed anew, sorted.
func RekeyedColumns() (names []string) {
	for _, c := range sealedColumns {
		names = append(names, c.name)
	}
	slices.Sort(names)
	return names
}
