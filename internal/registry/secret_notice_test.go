package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// told runs the job and returns whom it has mailed about secrets since the last
// time, with the text.
func (f *fixture) told(t testing.TB) map[string]string {
	t.Helper()
	f.clock.add(time.Second)
	since := f.Now()
	if err := f.MailEndingSecrets(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, _, err := f.Mails(t.Context(), f.operator, false, "")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, e := range entries {
		if e.Kind != mail.KindSecrets || e.CreatedAt.Before(since.Truncate(time.Microsecond)) {
			continue
		}
		if _, twice := texts[e.Recipient]; twice {
			t.Errorf("%s got two mails at once", e.Recipient)
		}
		if _, texts[e.Recipient], err = f.ReadMail(t.Context(), f.operator, e.ID); err != nil {
			t.Fatal(err)
		}
	}
	return texts
}

func keys(m map[string]string) (all []string) {
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// ending gives a client a secret that ends.
func (f *fixture) ending(t testing.TB, client id.Client, key id.Secret, in time.Duration) {
	t.Helper()
	e := f.newSecret(client, key)
	e.Name, e.Expires = "nightly "+string(key), f.Now().Add(in)
	f.must(t, f.adminA, e)
}

const day = 24 * time.Hour

func TestPeopleAreToldBeforeASecretEndsOnceEach(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.ending(t, f.a1, "e11111111111", 20*day)
		f.ending(t, f.a1, "e22222222222", 4*day) // is younger than fourteen days before its end
		days := map[int]string{}
		for n := range 30 {
			for to, text := range f.told(t) {
				if to != "member@a.example" {
					t.Errorf("%s is told, who is no developer", to)
				}
				days[n] = text
			}
			f.clock.add(day - time.Second)
		}
		var when []int
		for n := range 30 {
			if days[n] != "" {
				when = append(when, n)
			}
		}
		if want := []int{1, 4, 6, 17, 20}; !slices.Equal(when, want) { // 4-3, 4, 20-14, 20-3, 20
			t.Fatalf("told on the days %v, want %v", when, want)
		}
		if !strings.Contains(days[6], "It was never used.") || !strings.Contains(days[6], " ends on ") || !strings.Contains(days[20], " ended on ") {
			t.Errorf("%s\n%s", days[6], days[20])
		}
		if !strings.Contains(days[6], fmt.Sprintf("https://dashboard.example.com/a/%s/clients/%s/secrets", f.productionA, f.a1)) || !strings.Contains(days[6], "“nightly e11111111111” (e11111111111) of the client “a1”") {
			t.Errorf("%s", days[6])
		}
	})
}

func TestTheMailNamesTheLastUse(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.ending(t, f.a1, "e11111111111", 20*day)
		f.clock.add(18 * day)
		err := f.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO last_use (client_id, kind, key, organisation_id, at, address) VALUES ($1, 'secret', 'e11111111111', $2, $3, '192.0.2.9')`, f.a1, f.orgA, f.Now().UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if text := f.told(t)["member@a.example"]; !strings.Contains(text, "It was last used on 18 March 2026, 23:00 UTC, at 192.0.2.9.") {
			t.Errorf("%s", text)
		}
	})
}

func TestTheContactIsToldInPlaceOfTheDevelopers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		contact := f.leaverA
		for i, step := range []struct {
			name string
			by   actor.Actor
			edit registry.Edit
			want []string
		}{
			{"the developers", f.adminA, registry.RenameOrganisation{Name: "A"}, []string{"member@a.example"}},
			{"the contact", f.adminA, registry.UpdateClient{Client: f.a1, Contact: &contact}, []string{"leaver@a.example"}},
			{"a contact who wants none", proven(f.leaverA, ""), registry.ChooseMails{}, nil},
			{"the contact has left", proven(f.leaverA, f.orgA), registry.LeaveOrganisation{}, []string{"member@a.example"}},
			{"developers of another account", f.chief(), registry.ChangeRoles{Person: f.memberA, Roles: roles(on(actor.Developer, f.sandboxA))}, []string{"chief@a.example"}},
			{"a disabled client", f.adminA, registry.SetClientState{Client: f.a1, State: registry.Disabled}, nil},
			{"enabled again", f.adminA, registry.SetClientState{Client: f.a1, State: registry.Enabled}, []string{"chief@a.example"}},
			{"a suspended organisation", f.operator.In(f.orgA), registry.SetOrganisationState{State: registry.Suspended}, nil},
		} {
			f.must(t, step.by, step.edit)
			f.ending(t, f.a1, id.Secret(fmt.Sprintf("e1111111111%d", i)), 3*day+time.Hour)
			f.clock.add(time.Hour)
			if diff := cmp.Diff(step.want, keys(f.told(t))); diff != "" {
				t.Errorf("%s: %s", step.name, diff)
			}
			f.must(t, f.adminA, registry.SetSecretState{Client: f.a1, Secret: id.Secret(fmt.Sprintf("e1111111111%d", i)), State: registry.SecretRevoked})
		}
	})
}

func TestTwoNodesTellOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for i := range 3 {
			f.ending(t, f.a1, id.Secret(fmt.Sprintf("e1111111111%d", i)), 20*day)
		}
		f.clock.add(10 * day)
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i := range errs {
			both.Go(func() { errs[i] = f.MailEndingSecrets(t.Context()) })
		}
		both.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if got := query(t, f.DB, `SELECT subject FROM mail WHERE kind = 'secrets'`); len(got) != 1 || got[0][0] != "3 client secrets end" {
			t.Errorf("mails: %v", got)
		}
	})
}

func TestAContactIsAMember(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		contact := func(person id.Person) registry.UpdateClient {
			return registry.UpdateClient{Client: f.a1, Contact: &person}
		}
		f.refuses(t,
			refusal{name: "a member of another organisation", by: f.adminA, edit: contact(f.memberB), want: fault.Invalid, twin: contact(f.leaverA)},
			refusal{name: "nobody of that id", by: f.adminA, edit: contact("p-1"), want: fault.Invalid, twin: contact("")},
			refusal{name: "PRIV-01 by a viewer", by: person("p-role", f.orgA, actor.Viewer), edit: contact(f.memberA), want: fault.Forbidden, twin: contact(f.memberA), twinBy: f.adminA},
		)
		note := "Runs at night; see the runbook."
		f.must(t, f.adminA, registry.UpdateClient{Client: f.a1, Note: &note})
		client := mustClient(t, f, f.adminA, f.a1)
		if diff := cmp.Diff([]string{note, string(f.memberA)}, []string{client.Note, string(client.Contact)}); diff != "" {
			t.Error(diff)
		}
		entry, err := f.ClientEntry(t.Context(), f.a1)
		if err != nil || entry.Note != "" || entry.Contact != "" {
			t.Errorf("the directory keeps what no decision needs: %+v, %v", entry, err)
		}
	})
}
