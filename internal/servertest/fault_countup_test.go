//go:build linux && faults

package servertest_test

import (
	"crypto/rand"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// Each word between server and database is lost once: the connection breaks at
// the first word of a sequence of changes, then at the second, and so on until
// the sequence is through before anything breaks.
func TestSTO03_aFaultAtEachWordOfTheDatabaseLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for name, side := range map[string]bool{"of the server": false, "of the database": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withPostgres(t, func(t *testing.T, database *url.URL) {
				proxy := newFaultyProxy(t, database.Host)
				k := newKilledWorkersOn(t, database.String(), 1)
				through := *database
				through.Host = proxy.listener.Addr().String()
				db := sqldbtest.Open(t, through.String())
				var left atomic.Int64
				breaks := breakage(func(fromServer bool, _ []byte) bool { return fromServer == side && left.Add(-1) == 0 })
				proxy.breaks.Store(&breaks)
				refused, broken := 0, int64(0)
				for n := int64(1); ; n++ {
					left.Store(n)
					refused += k.sequence(t, db)
					all := left.Swap(0) > 0
					k.check(t, k.touched)
					if t.Failed() {
						t.Fatalf("word %d", n)
					}
					if all {
						break
					}
					broken = n
				}
				if broken < 10 || refused == 0 {
					t.Errorf("%d words, %d changes refused: nothing broke", broken, refused)
				}
				figure(t, "%d words lost, one at a time; %d changes acknowledged, none lost; %d refused, %d of which were made all the same, whole", broken, k.acknowledged, refused, k.unheard)
			})
		})
	}
}

// sequence creates a client, adds two secrets, rotates one and revokes the other,
// up to the first change that is refused; it returns how many were.
func (k *killedWorkers) sequence(t *testing.T, db *sqldb.DB) (refused int) {
	t.Helper()
	r, err := k.settings.registry(db)
	if err != nil {
		t.Fatal(err)
	}
	k.pending, k.touched = map[int]change{}, map[id.Client]bool{}
	client := id.NewClient(rand.Reader, id.SandboxClient, 9)
	try := func(c change, edits ...registry.Edit) bool {
		c.Client = client
		k.hear(c)
		err := r.Apply(t.Context(), k.settings.operator(), edits...)
		if err != nil {
			if fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s: %v, want unavailable", c.Operation, err)
			}
			return false
		}
		c.Acknowledged = true
		k.hear(c)
		return true
	}
	secrets := [3]id.Secret{}
	adding := func(i int, old id.Secret) bool {
		secrets[i] = id.NewSecret(rand.Reader)
		value, err := r.Mint.New(rand.Reader, registry.EnvironmentLetter(client), secrets[i])
		if err != nil {
			t.Fatal(err)
		}
		c := change{Operation: "add", Secret: secrets[i], Old: old, Value: value.Reveal()}
		edits := []registry.Edit{registry.AddSecret{Client: client, ID: secrets[i], Name: "counted", Digest: secret.DigestOf(value)}}
		if old != "" {
			c.Operation = "rotate"
			edits = append(edits, registry.RetireSecret{Client: client, Secret: old, Successor: secrets[i], Ends: time.Now().Add(time.Hour)})
		}
		return try(c, edits...)
	}
	made := try(change{Operation: "create"}, registry.CreateClient{ID: client, Account: k.settings.Account, Name: string(client)}) &&
		adding(0, "") && adding(1, "") && adding(2, secrets[0]) &&
		try(change{Operation: "revoke", Secret: secrets[1]}, registry.SetSecretState{Client: client, Secret: secrets[1], State: registry.SecretRevoked})
	if made {
		return 0
	}
	return 1
}
