package signingkey_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// Whatever the clock does, there is one current and one next key for each
// purpose, the same on both nodes, and a token that one has just signed verifies
// on the other.
func TestStepsOfTheClockLeaveOneCurrentKey(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		y := &year{clock: newClock()}
		for i := range y.rings {
			y.rings[i] = open(t, configOf(t, db, y.clock))
			y.polls[i] = feed(t, db, y.rings[i])
		}
		day := 24 * time.Hour
		leap := time.Date(2028, 2, 28, 23, 59, 59, 0, time.UTC)
		last := time.Date(2038, 1, 19, 3, 14, 7, 0, time.UTC) // of 32 bits
		for _, step := range []time.Duration{
			time.Second, -time.Second, time.Minute, -time.Minute, time.Hour, -time.Hour, day, -day, -2 * day, 100 * day, -100 * day,
			leap.Sub(y.clock.now()), time.Second, day, -day, last.Sub(leap), time.Second, time.Second, -time.Hour,
		} {
			y.clock.advance(step)
			for i, r := range y.rings {
				check(t, r)
				y.polls[1-i](t)
			}
			now := y.clock.now()
			for _, purpose := range every() {
				for _, state := range []string{signingkey.Current, signingkey.Next} {
					if here, there := one(t, y.rings[0], purpose, state).ID, one(t, y.rings[1], purpose, state).ID; here != there {
						t.Errorf("%s, after a step of %s: the %s key of %s is %s on one node and %s on the other", now, step, state, purpose, here, there)
					}
				}
				for i, r := range y.rings {
					if err := sign(t, r, purpose, now).verify(y.rings[1-i], now); err != nil {
						t.Errorf("%s, after a step of %s: a token that node %d has just signed: %v", now, step, i, err)
					}
				}
			}
		}
	})
}
