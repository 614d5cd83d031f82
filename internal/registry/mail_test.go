package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

// newestMail is the last mail that was written, and its text.
func (f *fixture) newestMail(t testing.TB) (mail.Entry, string) {
	t.Helper()
	entries, _, err := f.Mails(t.Context(), f.operator, false, "")
	if err != nil || len(entries) == 0 {
		t.Fatalf("mails: %v, %v", entries, err)
	}
	e, text, err := f.ReadMail(t.Context(), f.operator, entries[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return e, text
}

// linkIn is the token behind a path in a mail.
func linkIn(t testing.TB, text, path string) secret.Plaintext {
	t.Helper()
	_, rest, found := strings.Cut(text, "https://dashboard.example.com"+path)
	token, _, _ := strings.Cut(rest, "\n")
	if !found || token == "" {
		t.Fatalf("no link to %s in %q", path, text)
	}
	return secret.NewPlaintext(token)
}

func TestAnInvitationReachesTheOneInvitedAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.clock.add(time.Second)
		key, err := f.Invite(t.Context(), f.chief(), "Stranger@example.com", "", roles(on(actor.Viewer, ""), on(actor.Developer, f.sandboxA)))
		if err != nil {
			t.Fatal(err)
		}
		e, text := f.newestMail(t)
		if e.Recipient != "Stranger@example.com" || e.Organisation != f.orgA || !strings.Contains(text, "as Viewer, Developer.") {
			t.Errorf("%+v: %s", e, text)
		}
		first := linkIn(t, text, "/invite/"+string(key)+".")
		f.clock.add(time.Second)
		if err := f.ResendInvitation(t.Context(), f.chief(), key); err != nil {
			t.Fatal(err)
		}
		_, text = f.newestMail(t)
		second := linkIn(t, text, "/invite/"+string(key)+".")
		wantKind(t, f.Apply(t.Context(), proven(f.stranger, ""), registry.AcceptInvitation{Invitation: key, Token: first}), fault.NotFound)
		t.Run("twin", func(t *testing.T) {
			f.must(t, proven(f.stranger, ""), registry.AcceptInvitation{Invitation: key, Token: second})
		})
		if strings.Contains(dumpText(t, f.DB), second.Reveal()) {
			t.Error("SEC-04: the link is in the database")
		}
	})
}

func TestDOS13_resendingAnInvitationInALoopMeetsALimit(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var err error
		for n := 1; err == nil && n <= mail.PerRecipient; n++ {
			err = f.ResendInvitation(t.Context(), f.chief(), f.pendingA)
		}
		wantKind(t, err, fault.RateLimited)
	})
}

func TestPRIV01_theOutboxIsTheOperatorsAndItsTextsAreItsAdmins(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e, _ := f.newestMail(t)
		for _, role := range actor.Roles() {
			by := person("p-role", f.orgA, role)
			if role.Operator() {
				by = person("p-role", "", role)
			}
			_, _, listed := f.Mails(t.Context(), by, false, "")
			_, _, read := f.ReadMail(t.Context(), by, e.ID)
			if (listed == nil) != role.Operator() || (read == nil) != (role == actor.OperatorAdmin) {
				t.Errorf("%s: list %v, read %v", role, listed, read)
			}
		}
		_, _, err := f.ReadMail(t.Context(), f.operator.Proven(actor.Proof{SecondFactor: true}), e.ID)
		if !errors.Is(err, actor.ErrRecentSignIn) {
			t.Errorf("PRIV-13: after an old sign-in: %v", err)
		}
		if got := query(t, f.DB, `SELECT count(*) FROM audit WHERE action = 'mail.read' AND subject = $1`, e.ID); got[0][0] != "2" {
			t.Errorf("AUD-01: %s records of two readings", got[0][0])
		}
		_, _, err = f.ReadMail(t.Context(), f.operator, "m-0")
		wantKind(t, err, fault.NotFound)
	})
}
