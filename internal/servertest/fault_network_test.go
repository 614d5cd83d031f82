//go:build linux

package servertest_test

import (
	"bytes"
	mathrand "math/rand/v2"
	"net/url"
	"testing"
)

// committed is PostgreSQL's word that a transaction is in (CommandComplete).
var committed = []byte("C\x00\x00\x00\x0bCOMMIT\x00")

// breakages are moments at which connections to PostgreSQL break.
var breakages = map[string]breakage{
	"in the middle of a statement": func(fromServer bool, _ []byte) bool { return !fromServer && mathrand.IntN(60) == 0 },
	"in the middle of an answer":   func(fromServer bool, _ []byte) bool { return fromServer && mathrand.IntN(60) == 0 },
	"between COMMIT and its answer": func(fromServer bool, data []byte) bool {
		return fromServer && bytes.Contains(data, committed) && mathrand.IntN(3) == 0
	},
}

// A writer whose connection broke during COMMIT is told the outcome all the
// same: what it was told is there once, and what it was not told is there whole
// or not at all.
func TestSTO03_brokenConnectionsLoseNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for name, breaks := range breakages {
		t.Run("STO-03 "+name, func(t *testing.T) {
			t.Parallel()
			withPostgres(t, func(t *testing.T, database *url.URL) {
				proxy := newFaultyProxy(t, database.Host)
				k := newKilledWorkersOn(t, database.String(), 4)
				through := *database
				through.Host = proxy.listener.Addr().String()
				k.through = through.String()
				proxy.breaks.Store(&breaks)
				rounds := size(1, 5, 50)
				for range rounds {
					k.round(t, 200)
					k.check(t, k.touched)
				}
				if proxy.broken.Load() == 0 {
					t.Error("no connection was broken")
				}
				figure(t, "%d connections broken, %d changes acknowledged, none lost; %d not acknowledged were there all the same, whole", proxy.broken.Load(), k.acknowledged, k.unheard)
			})
		})
	}
}
