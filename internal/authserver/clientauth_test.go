package authserver_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/authserver"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/internal/throttle"
)

const grantOnly = "grant_type=client_credentials"

func raw(authorization ...string) func(*http.Request) {
	return header("Authorization", authorization...)
}

func encodedBasic(id, secret string) func(*http.Request) {
	return raw("Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
}

func TestTOK16_basicHalvesAreFormEncodedOrRaw(t *testing.T) {
	w := newSQLiteWorld(t)
	id, secret := string(w.a1.id), w.a1.secret
	for name, change := range map[string]func(*http.Request){
		"TOK-16 raw":                     encodedBasic(id, secret),
		"TOK-16 form-encoded":            encodedBasic(formEncoded(id), formEncoded(secret)),
		"TOK-16 every byte escaped":      encodedBasic(percent(id), percent(secret)),
		"TOK-16 escaped in lower case":   encodedBasic(strings.ReplaceAll(id, "-", "%2d"), strings.ReplaceAll(secret, "_", "%5f")),
		"TOK-16 scheme in lower case":    raw("basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))),
		"TOK-16 client_id equal in body": encodedBasic(id, secret),
	} {
		t.Run(name, func(t *testing.T) {
			w.issued(t, request(tokenPath, grantOnly+"&client_id="+id, change))
		})
	}
}

func TestTOK18_brokenBasicIsInvalidClient(t *testing.T) {
	w := newSQLiteWorld(t)
	id, secret := string(w.a1.id), w.a1.secret
	good := base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	for name, change := range map[string]func(*http.Request){
		"TOK-18 bad base64":          raw("Basic !" + good[1:]),
		"TOK-18 base64url":           raw("Basic _-" + good[2:]),
		"TOK-18 padding cut":         raw("Basic " + base64.RawStdEncoding.EncodeToString([]byte(id + ":" + secret + "x"))[:len(good)-1]),
		"TOK-18 line break":          raw("Basic " + good[:8] + "\n" + good[8:]),
		"TOK-18 trailing garbage":    raw("Basic " + good + "="),
		"TOK-18 second value":        raw("Basic " + good + " x"),
		"TOK-18 no colon":            raw("Basic " + base64.StdEncoding.EncodeToString([]byte(id))),
		"TOK-18 empty id":            encodedBasic("", secret),
		"TOK-18 empty secret":        encodedBasic(id, ""),
		"TOK-18 both empty":          encodedBasic("", ""),
		"TOK-18 broken escape":       encodedBasic(id, secret[:len(secret)-1]+"%z"),
		"TOK-12 NUL":                 encodedBasic(id+"%00", secret),
		"TOK-12 not UTF-8":           encodedBasic("%FF"+id, secret),
		"TOK-12 NUL raw":             encodedBasic(id+"\x00", secret),
		"TOK-18 no credentials":      raw("Basic"),
		"TOK-18 empty header":        raw(""),
		"TOK-18 other scheme":        raw("Bearer " + good),
		"TOK-18 two headers":         raw("Basic "+good, "Basic "+good),
		"TOK-18 too long":            raw("Basic " + strings.Repeat(" ", 8<<10) + good),
		"TOK-18 trailing bits":       raw(trailingBits(id, secret)),
		"TOK-18 comma":               raw("Basic " + good + ",Basic " + good),
		"JWT-32 look-alike of an id": encodedBasic(formEncoded(strings.Replace(id, "-", "\u2010", 1)), secret),
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(t, request(tokenPath, grantOnly, change), 401, "invalid_client")
			t.Run("twin", func(t *testing.T) { w.issued(t, request(tokenPath, grantOnly, raw("Basic "+good))) })
		})
	}
}

// trailingBits is a good header but for bits behind the last byte, which lax
// decoders pass over.
func trailingBits(id, secret string) string {
	for len(id+secret)%3 != 0 { // with the colon, one byte is left for the last four characters
		id = strings.Replace(id, "-", "%2D", 1)
	}
	text := strings.TrimSuffix("Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)), "==")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[last+1:last+2] + "=="
}

// outcome is all that a caller sees of an answer.
func outcome(a *answer) string {
	var b strings.Builder
	b.WriteString(a.Status + "\n")
	_ = a.Header.Write(&b)
	return b.String() + a.body
}

// badClients are requests that fail to authenticate, each for another reason.
func (w *world) badClients() map[string]credentials {
	made, err := w.mint.New(rand.Reader, 'p', id.NewSecret(rand.Reader))
	w.must(err)
	other := w.client(w.organisationA, w.productionA, "other")
	expired := w.secret(w.organisationA, w.a1.id, w.now.Add(time.Hour))
	revoked, disabled := w.secret(w.organisationA, w.a1.id, time.Time{}), w.secret(w.organisationA, w.a1.id, time.Time{})
	off := w.client(w.organisationA, w.productionA, "off")
	deleted := w.client(w.organisationA, w.productionA, "deleted")
	stopped := w.account(w.organisationB, id.Production)
	suspended := w.client(w.organisationB, stopped, "suspended")
	fenced := w.client(w.organisationA, w.productionA, "fenced")
	w.apply(w.organisationA,
		registry.SetSecretState{Client: w.a1.id, Secret: revoked.secretID, State: registry.SecretRevoked},
		registry.SetSecretState{Client: w.a1.id, Secret: disabled.secretID, State: registry.SecretDisabled},
		registry.SetClientState{Client: off.id, State: registry.Disabled},
		registry.SetClientState{Client: deleted.id, State: registry.Deleted},
		registry.UpdateClient{Client: fenced.id, Networks: &[]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	w.apply(w.organisationB, registry.SetAccountState{Account: stopped, State: registry.Suspended})
	w.now = w.now.Add(time.Hour)
	w.must(w.access.Refresh(w.t.Context()))
	return map[string]credentials{
		"unknown client":           {id: "prod-grey-cloud-100", secret: w.a1.secret},
		"id of no form":            {id: "nobody", secret: w.a1.secret},
		"made-up secret":           {id: w.a1.id, secret: w.a1.secret[:len(w.a1.secret)-1] + "_"},
		"secret never stored":      {id: w.a1.id, secret: made.Reveal()},
		"secret of another client": {id: w.a1.id, secret: other.secret},
		"no secret at all":         {id: w.a1.id, secret: "x"},
		"expired secret":           expired,
		"revoked secret":           revoked,
		"disabled secret":          disabled,
		"disabled client":          off,
		"deleted client":           deleted,
		"suspended account":        suspended,
		"other network":            fenced,
	}
}

func TestTOK22_allFailuresToAuthenticateAnswerAlike(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		bad := w.badClients()
		want := outcome(w.do(request(tokenPath, grantOnly+"&client_id=prod-grey-cloud-999&client_secret=x")))
		for name, c := range bad {
			t.Run("TOK-22 "+name, func(t *testing.T) {
				a := w.refused(t, request(tokenPath, c.tokenForm()), 401, "invalid_client")
				if diff := cmp.Diff(want, outcome(a)); diff != "" {
					t.Errorf("answer (-unknown client +%s):\n%s", name, diff)
				}
				if diff := cmp.Diff(want, outcome(w.do(request(tokenPath, grantOnly, basic(string(c.id), c.secret))))); diff != "" {
					t.Errorf("answer to Basic (-unknown client +%s):\n%s", name, diff)
				}
				t.Run("twin", func(t *testing.T) { w.issued(t, request(tokenPath, w.a1.tokenForm())) })
			})
		}
		t.Run("other network/twin", func(t *testing.T) {
			w.issued(t, request(tokenPath, bad["other network"].tokenForm(), from("198.51.100.7")))
		})
	})
}

func TestOwnersLearnTheTrueReason(t *testing.T) {
	w := newSQLiteWorld(t)
	want := map[string]string{
		"unknown client": "client_unknown", "id of no form": "credentials_malformed", "made-up secret": "secret_wrong", "secret never stored": "secret_wrong",
		"secret of another client": "secret_wrong", "no secret at all": "secret_wrong", "expired secret": "secret_expired", "revoked secret": "secret_revoked",
		"disabled secret": "secret_disabled", "disabled client": "client_disabled", "deleted client": "client_unknown", "suspended account": "account_suspended",
		"other network": "address_refused",
	}
	got := map[string]string{}
	for name, c := range w.badClients() {
		w.do(request(tokenPath, c.tokenForm()))
		got[name] = w.seen[len(w.seen)-1].Reason
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if strings.Contains(w.log.String(), w.a1.secret) || !strings.Contains(w.log.String(), "reason=secret_wrong") {
		t.Errorf("log = %s, want reasons and no secret", &w.log)
	}
}

// The three cases do the same counted work: as many allocations, and no SQL.
func TestTOK23_failuresDoTheSameWork(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, func(c *authserver.Config) { c.Observe = nil })
		bad := w.badClients()
		work := func(t *testing.T, c credentials) float64 {
			body := c.tokenForm()
			serve := func() { w.server.ServeHTTP(newDiscard(), request(tokenPath, body)) }
			for range 50 { // warm, and past the cap of the log
				serve()
			}
			before := db.Statements()
			allocations := fewestAllocations(serve)
			if n := db.Statements() - before; n > 0 {
				t.Errorf("%d SQL statements, want none", n)
			}
			return allocations
		}
		want := work(t, bad["unknown client"])
		for _, name := range []string{"secret of another client", "secret never stored", "disabled client", "expired secret", "suspended account"} {
			t.Run("TOK-23 "+name, func(t *testing.T) {
				if got := work(t, bad[name]); got != want {
					t.Errorf("%v allocations, want %v as for an unknown client", got, want)
				}
			})
		}
	})
}

// The keyed tag tells: whoever guesses secrets costs the database nothing.
func TestMadeUpSecretsAreRefusedBeforeAnyLookUp(t *testing.T) {
	w := newSQLiteWorld(t)
	statements := func(c credentials) uint64 {
		before := w.db.Statements()
		w.refused(t, request(tokenPath, c.tokenForm()), 401, "invalid_client")
		return w.db.Statements() - before
	}
	madeUp := w.a1.secret[:len(w.a1.secret)-1] + "_"
	for _, client := range []id.Client{w.a1.id, "prod-grey-cloud-100"} {
		if n := statements(credentials{id: client, secret: madeUp}); n != 0 {
			t.Errorf("%s with a made-up secret: %d statements, want none", client, n)
		}
		if n := statements(credentials{id: client, secret: w.s1.secret}); n == 0 {
			t.Errorf("%s with a secret made here: no statement, want the client looked up", client)
		}
	}
}

func TestTEN14_secretsDoNotCrossEnvironments(t *testing.T) {
	w := newSQLiteWorld(t)
	// The stored digest is right, and still the letter in the secret decides.
	plant := func(c credentials, organisation id.Organisation, letter byte) credentials {
		public := id.NewSecret(rand.Reader)
		plaintext, err := w.mint.New(rand.Reader, letter, public)
		w.must(err)
		w.apply(organisation, registry.AddSecret{Client: c.id, ID: public, Name: "planted", Digest: secret.DigestOf(plaintext)})
		return credentials{c.id, public, plaintext.Reveal()}
	}
	for name, tt := range map[string]struct{ bad, twin credentials }{
		"TEN-14 sandbox secret with a production id":          {credentials{id: w.a1.id, secret: w.s1.secret}, w.a1},
		"TEN-14 production secret with a sandbox id":          {credentials{id: w.s1.id, secret: w.a1.secret}, w.s1},
		"TEN-14 sandbox letter stored at a production client": {plant(w.a1, w.organisationA, 's'), plant(w.a1, w.organisationA, 'p')},
		"TEN-14 production letter stored at a sandbox client": {plant(w.s1, w.organisationA, 'p'), plant(w.s1, w.organisationA, 's')},
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(t, request(tokenPath, tt.bad.tokenForm()), 401, "invalid_client")
			t.Run("twin", func(t *testing.T) { w.issued(t, request(tokenPath, tt.twin.tokenForm())) })
		})
	}
}

func TestSEC03_storedDigestIsNoSecret(t *testing.T) {
	w := newSQLiteWorld(t)
	entry, err := w.reg.ClientEntry(t.Context(), w.a1.id)
	w.must(err)
	digest := entry.Secrets[0].Digest
	for name, presented := range map[string]string{
		"SEC-03 hex":            hex.EncodeToString(digest),
		"SEC-03 hex, no scheme": hex.EncodeToString(digest[1:]),
		"SEC-03 base64":         base64.StdEncoding.EncodeToString(digest),
		"SEC-03 raw":            string(digest),
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(t, request(tokenPath, grantOnly, encodedBasic(string(w.a1.id), percent(presented))), 401, "invalid_client")
			t.Run("twin", func(t *testing.T) {
				w.issued(t, request(tokenPath, grantOnly, encodedBasic(string(w.a1.id), percent(w.a1.secret))))
			})
		})
	}
}

func TestSEC06_revokedSecretGetsNoToken(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		second := w.secret(w.organisationA, w.a1.id, time.Time{})
		w.issued(t, request(tokenPath, w.a1.tokenForm()))
		w.apply(w.organisationA, registry.SetSecretState{Client: w.a1.id, Secret: w.a1.secretID, State: registry.SecretRevoked})
		t.Run("SEC-06", func(t *testing.T) {
			w.refused(t, request(tokenPath, w.a1.tokenForm()), 401, "invalid_client")
			t.Run("twin", func(t *testing.T) { w.issued(t, request(tokenPath, second.tokenForm())) })
		})
	})
}

func TestRetiringSecretWorksUntilItsEnd(t *testing.T) {
	w := newSQLiteWorld(t)
	successor := w.secret(w.organisationA, w.a1.id, time.Time{})
	w.apply(w.organisationA, registry.RetireSecret{Client: w.a1.id, Secret: w.a1.secretID, Successor: successor.secretID, Ends: w.now.Add(time.Minute)})
	w.now = w.now.Add(time.Minute - 1)
	w.issued(t, request(tokenPath, w.a1.tokenForm()))
	w.now = w.now.Add(1)
	w.refused(t, request(tokenPath, w.a1.tokenForm()), 401, "invalid_client")
	w.issued(t, request(tokenPath, successor.tokenForm()))
}

func TestTOK35_whatIsDisabledGetsNoToken(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		for name, tt := range map[string]struct{ stop, start registry.Edit }{
			"TOK-35 client":       {registry.SetClientState{Client: w.a1.id, State: registry.Disabled}, registry.SetClientState{Client: w.a1.id, State: registry.Enabled}},
			"TOK-35 account":      {registry.SetAccountState{Account: w.productionA, State: registry.Suspended}, registry.SetAccountState{Account: w.productionA, State: registry.Active}},
			"TOK-35 organisation": {registry.SetOrganisationState{State: registry.Suspended}, registry.SetOrganisationState{State: registry.Active}},
		} {
			t.Run(name, func(t *testing.T) {
				w.issued(t, request(tokenPath, w.a1.tokenForm()))
				w.apply(w.organisationA, tt.stop)
				w.refused(t, request(tokenPath, w.a1.tokenForm()), 401, "invalid_client")
				w.issued(t, request(tokenPath, w.b1.tokenForm()))
				w.apply(w.organisationA, tt.start)
				t.Run("twin", func(t *testing.T) { w.issued(t, request(tokenPath, w.a1.tokenForm())) })
			})
		}
	})
}

func TestTOK32_failuresAreThrottledAndRightSecretsAreNot(t *testing.T) {
	w := newSQLiteWorld(t, func(c *authserver.Config) {
		c.Failures = throttle.NewFailures(throttle.Config{PerClient: 3, PerAddress: 8, Window: time.Minute, Now: c.Now})
	})
	wrong := credentials{id: w.a1.id, secret: "wrong"}
	unknown := credentials{id: "prod-grey-cloud-100", secret: "wrong"}
	fail := func(c credentials, address string) (status int, retryAfter string) {
		a := w.do(request(tokenPath, c.tokenForm(), from(address)))
		checkError(t, a)
		return a.StatusCode, a.Header.Get("Retry-After")
	}
	// Both run into the limit at the same attempt, so it does not tell which exists.
	for address, c := range map[string]credentials{"192.0.2.1": wrong, "192.0.2.2": unknown} {
		for range 3 {
			if status, _ := fail(c, address); status != 401 {
				t.Fatalf("%s: status = %d, want 401", c.id, status)
			}
		}
		if status, retry := fail(c, address); status != 429 || retry != "20" {
			t.Errorf("TOK-32 %s: status = %d, Retry-After = %q, want 429 and 20", c.id, status, retry)
		}
	}
	t.Run("TOK-32 same address/twin", func(t *testing.T) { w.issued(t, request(tokenPath, w.a1.tokenForm(), from("192.0.2.1"))) })
	t.Run("TOK-32 other address/twin", func(t *testing.T) { w.issued(t, request(tokenPath, w.a1.tokenForm(), from("192.0.2.9"))) })
	if status, _ := fail(wrong, "192.0.2.9"); status != 401 {
		t.Errorf("failure from another address: status = %d, want 401", status)
	}
	for range 8 {
		fail(credentials{id: "x", secret: "x"}, "192.0.2.3")
	}
	if status, _ := fail(w.b1.with("wrong"), "192.0.2.3"); status != 429 {
		t.Errorf("TOK-32 many failures from one address: status = %d, want 429", status)
	}
	if status, _ := fail(w.b1.with("wrong"), "192.0.2.4"); status != 401 {
		t.Errorf("the same from another address: status = %d, want 401", status)
	}
	w.now = w.now.Add(20 * time.Second)
	w.must(w.access.Refresh(t.Context()))
	if status, _ := fail(wrong, "192.0.2.1"); status != 401 {
		t.Errorf("after Retry-After: status = %d, want 401", status)
	}
}

func (c credentials) with(secret string) credentials {
	c.secret = secret
	return c
}

func TestNoTokenWhenNothingIsKnown(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		w.issued(t, request(tokenPath, w.a1.tokenForm()))
		w.must(db.Close())
		w.issued(t, request(tokenPath, w.a1.tokenForm())) // from memory
		a := w.refused(t, request(tokenPath, w.b1.tokenForm()), 503, "temporarily_unavailable")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After beside 503")
		}
		w.now = w.now.Add(time.Minute + time.Second)
		w.refused(t, request(tokenPath, w.a1.tokenForm()), 503, "temporarily_unavailable")
		if !bytes.Contains(w.log.Bytes(), []byte("level=WARN")) {
			t.Errorf("log = %s, want the cause", &w.log)
		}
	})
}
