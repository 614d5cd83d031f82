package registry_test

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/egress"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

func TestSettingsOfAWebhookAreChecked(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		create := func(change func(*registry.CreateWebhook)) registry.Edit {
			edit := newWebhook(id.NewWebhook(f.Rand))
			change(&edit)
			return edit
		}
		good := func(*registry.CreateWebhook) {}
		for name, change := range map[string]func(*registry.CreateWebhook){
			"id of no form":     func(e *registry.CreateWebhook) { e.ID = "wh-1" },
			"no secret":         func(e *registry.CreateWebhook) { e.Sealed = nil },
			"no name":           func(e *registry.CreateWebhook) { e.Name = " " },
			"no URL":            func(e *registry.CreateWebhook) { e.URL = "" },
			"plain http":        func(e *registry.CreateWebhook) { e.URL = "http://hooks.example.com/" },
			"KEY-15 loopback":   func(e *registry.CreateWebhook) { e.URL = "https://127.0.0.1/" },
			"KEY-15 metadata":   func(e *registry.CreateWebhook) { e.URL = "https://169.254.169.254/" },
			"KEY-15 mapped":     func(e *registry.CreateWebhook) { e.URL = "https://[::ffff:10.0.0.1]/" },
			"credentials":       func(e *registry.CreateWebhook) { e.URL = "https://a:b@hooks.example.com/" },
			"space":             func(e *registry.CreateWebhook) { e.URL = "https://hooks.example.com/a b" },
			"other than ASCII":  func(e *registry.CreateWebhook) { e.URL = "https://hooks.example.com/ä" },
			"long URL":          func(e *registry.CreateWebhook) { e.URL += strings.Repeat("x", 2048) },
			"event of one word": func(e *registry.CreateWebhook) { e.Events = []string{"client"} },
			"every event":       func(e *registry.CreateWebhook) { e.Events = []string{"*"} },
			"star inside":       func(e *registry.CreateWebhook) { e.Events = []string{"client.*.add"} },
			"comma in an event": func(e *registry.CreateWebhook) { e.Events = []string{"client.create,secret.add"} },
			"LIKE in an event":  func(e *registry.CreateWebhook) { e.Events = []string{"client.%"} },
			"many events":       func(e *registry.CreateWebhook) { e.Events = make([]string, 33) },
		} {
			f.refuses(t, refusal{name: name, by: f.adminA, edit: create(change), want: fault.Invalid, twin: registry.TestWebhook{Webhook: f.hookA}})
		}
		f.refuses(t, refusal{name: "name of another", by: f.adminA, edit: create(func(e *registry.CreateWebhook) { e.Name = string(f.hookA) }), want: fault.Conflict, twin: create(good)})
		f.must(t, f.adminA, registry.SetWebhookState{Webhook: f.hookA, State: registry.WebhookDisabled})
		f.refuses(t, refusal{name: "test of a disabled one", by: f.adminA, edit: registry.TestWebhook{Webhook: f.hookA}, want: fault.Conflict, twin: registry.SetWebhookState{Webhook: f.hookA, State: registry.WebhookEnabled}})
		for n := 2; n < registry.MaxWebhooks; n++ {
			f.must(t, f.adminA, create(good))
		}
		f.refuses(t, refusal{name: "one too many", by: f.adminA, edit: create(good), want: fault.Conflict, twin: create(good), twinBy: f.adminB})
		f.refuses(t, refusal{name: "version of before", by: f.adminB, edit: registry.DeleteWebhook{Webhook: f.hookB, Base: 7}, want: fault.Conflict, twin: registry.DeleteWebhook{Webhook: f.hookB, Base: 1}})
	})
}

func TestAnAllowedNetworkMayBeATarget(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		config := f.Config
		config.Targets = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		inside := newWebhook("wh-cccccccccccccccccccc")
		inside.URL = "http://10.1.2.3/"
		wantKind(t, f.Apply(t.Context(), f.adminA, inside), fault.Invalid)
		if err := registry.New(config).Apply(t.Context(), f.adminA, inside); err != nil {
			t.Error(err)
		}
	})
}

func TestWhoDirectsAWebhookMustBeAbleToReadTheAuditLog(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		holding := func(permissions ...string) actor.Actor {
			return actor.NewClient("org-alpha-apple-100", f.orgA, "", "credential", permissions)
		}
		writes, reads := "management.webhook.write", "management.audit.read"
		url := "https://elsewhere.example.com/"
		for name, edit := range map[string]registry.Edit{
			"PRIV-10 create":  newWebhook("wh-dddddddddddddddddddd"),
			"PRIV-10 update":  registry.UpdateWebhook{Webhook: f.hookA, URL: &url},
			"PRIV-10 enable":  registry.SetWebhookState{Webhook: f.hookA, State: registry.WebhookEnabled},
			"PRIV-10 replace": registry.ReplaceWebhookSecret{Webhook: f.hookA, Sealed: []byte("x")},
		} {
			f.refuses(t, refusal{name: name, by: holding(writes), edit: edit, want: fault.Forbidden, twin: edit, twinBy: holding(writes, reads)})
		}
	})
}

func TestSEC01_secretOfAWebhookIsShownOnceAndStoredSealed(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		key, first, err := f.CreateWebhook(t.Context(), f.adminA, registry.NewWebhook{Name: "mine", URL: "https://hooks.example.com/"})
		if err != nil {
			t.Fatal(err)
		}
		second, err := f.ReplaceWebhookSecret(t.Context(), f.adminA, key, 0)
		if err != nil {
			t.Fatal(err)
		}
		text := dumpText(t, f.DB)
		for _, value := range []secret.Plaintext{first, second} {
			encoded, ok := strings.CutPrefix(value.Reveal(), "whsec_")
			raw, err := base64.StdEncoding.DecodeString(encoded)
			if !ok || err != nil || len(raw) != 32 {
				t.Fatalf("the secret is not whsec_ and base64 of 32 bytes")
			}
			if strings.Contains(text, encoded) || strings.Contains(text, string(raw)) {
				t.Error("the secret is in the database")
			}
		}
		if first.Reveal() == second.Reveal() {
			t.Error("the second secret is the first")
		}
	})
}

func TestAnEditIsPostedToTheWebhooksThatWantIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		hook := func(key id.Webhook, events ...string) registry.Edit {
			edit := newWebhook(key)
			edit.Events = events
			return edit
		}
		const all, clients, exact, operators = "wh-all00000000000000000", "wh-clients0000000000000", "wh-exact000000000000000", "wh-operator000000000000"
		f.must(t, f.adminA, hook(all), hook(clients, "client.*"), hook(exact, "secret.revoke", "client.disable"))
		f.must(t, f.operator, hook(operators))
		posted := func(edit registry.Edit, by actor.Actor) (to []string) {
			seq := query(t, f.DB, `SELECT audit_count FROM revision`)[0][0]
			f.must(t, by, edit)
			for _, row := range query(t, f.DB, `SELECT webhook_id FROM webhook_outbox WHERE seq > $1 ORDER BY webhook_id`, seq) {
				to = append(to, row[0])
			}
			return to
		}
		for _, row := range []struct {
			edit registry.Edit
			by   actor.Actor
			want []string
		}{
			{registry.SetClientState{Client: f.a1, State: registry.Disabled}, f.adminA, []string{all, clients, exact, operators}},
			{registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.write"}}, f.adminA, []string{all, clients, operators}},
			{registry.RenameAccount{Account: f.sandboxA, Name: "x"}, f.adminA, []string{string(f.hookA), all, operators}},
			{registry.SetSecretState{Client: f.b1, Secret: f.secretB1, State: registry.SecretRevoked}, f.adminB, []string{operators}},
			{registry.CreateOrganisation{ID: id.NewOrganisation(f.Rand), Name: "C"}, f.operator, []string{operators}},
			{registry.TestWebhook{Webhook: exact}, f.adminA, []string{all, exact, operators}},
			{registry.SetWebhookState{Webhook: exact, State: registry.WebhookDisabled}, f.adminA, []string{all, operators}},
			{registry.SetClientState{Client: f.a1, State: registry.Enabled}, f.adminA, []string{all, clients, operators}},
		} {
			if diff := cmp.Diff(row.want, posted(row.edit, row.by)); diff != "" {
				t.Errorf("%T is posted to (-want +got):\n%s", row.edit, diff)
			}
		}
		for key, want := range map[id.Webhook]int64{exact: 0, clients: 4} { // its own creation is the first
			got, err := f.Webhook(t.Context(), f.adminA, key)
			if err != nil || got.Pending != want {
				t.Errorf("%s has %d events waiting, %v", key, got.Pending, err)
			}
		}
		f.must(t, f.adminA, registry.DeleteWebhook{Webhook: all})
		if left := query(t, f.DB, `SELECT seq FROM webhook_outbox WHERE webhook_id = $1`, all); len(left) > 0 {
			t.Errorf("%d events wait for a webhook that is gone", len(left))
		}
	})
}

func TestTEN02_webhooksAreTheActorsOrganisationsAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.operator, newWebhook("wh-operator000000000000"))
		for who, row := range map[string]struct {
			by   actor.Actor
			want id.Webhook
		}{"A": {f.adminA, f.hookA}, "B": {f.adminB, f.hookB}, "operator": {f.operator, "wh-operator000000000000"}, "operator in A": {f.operator.In(f.orgA), f.hookA}} {
			got, err := f.Webhooks(t.Context(), row.by)
			if err != nil || len(got) != 1 || got[0].ID != row.want {
				t.Errorf("TEN-02 %s sees %v, %v, want %s alone", who, got, err, row.want)
			}
		}
		_, err := f.Webhooks(t.Context(), person("p-viewer", f.orgA, actor.Viewer))
		wantKind(t, err, fault.Forbidden)
	})
}
