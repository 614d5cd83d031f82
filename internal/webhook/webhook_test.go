package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/egress"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/metrics"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/internal/webhook"
)

// installation is a database with a registry and a receiver beside it.
type installation struct {
	t        *testing.T
	db       *sqldb.DB
	registry *registry.Registry
	sealer   *secret.Sealer
	client   *egress.Client
	receiver *receiver
	organisation,
	another id.Organisation
	log     bytes.Buffer
	metrics *metrics.Registry // of the last node

	mu  sync.Mutex
	now time.Time
}

func (i *installation) Now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *installation) pass(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = i.now.Add(d)
}

// receiver answers with its status and keeps what it got.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	status   int
	got      []delivery
	entered  chan struct{} // if not nil: a value for each request
	released chan struct{} // if not nil: waited for before the answer
}

type delivery struct {
	header http.Header
	body   []byte
	event  struct {
		SpecVersion, ID, Source, Type, Subject, DataContentType string
		Time                                                    time.Time
		Data                                                    map[string]any
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if r.entered != nil {
		r.entered <- struct{}{}
	}
	if r.released != nil {
		<-r.released
	}
	d := delivery{header: request.Header}
	d.body, _ = io.ReadAll(request.Body)
	_ = json.Unmarshal(d.body, &d.event)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, d)
	if r.status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(r.status)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// take returns what came since the last call.
func (r *receiver) take() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

func types(deliveries []delivery) (all []string) {
	for _, d := range deliveries {
		all = append(all, d.event.Type)
	}
	return all
}

// each runs a test on each engine.
func each(t *testing.T, test func(t *testing.T, i *installation)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(t, newInstallation(t, db)) })
}

func newInstallation(t *testing.T, db *sqldb.DB) *installation {
	t.Helper()
	i := &installation{t: t, db: db, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), receiver: &receiver{status: http.StatusNoContent}}
	i.receiver.Server = httptest.NewServer(i.receiver)
	t.Cleanup(i.receiver.Close)
	var err error
	if i.sealer, err = secret.NewSealer(make([]byte, secret.KeySize)); err != nil {
		t.Fatal(err)
	}
	mint, err := secret.NewMint(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	loopback := egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	i.client = egress.New(egress.Config{Policy: loopback})
	t.Cleanup(i.client.Close)
	i.registry = registry.New(registry.Config{DB: db, Now: i.Now, Rand: rand.Reader, Mint: mint, Sealer: i.sealer, Targets: loopback, IssuerPath: "/auth/open"})
	for _, o := range []*id.Organisation{&i.organisation, &i.another} {
		if *o, err = i.registry.CreateOrganisation(t.Context(), actor.NewSystem("test"), "Test"); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func (i *installation) admin() actor.Actor { return i.adminOf(i.organisation) }

func (i *installation) adminOf(o id.Organisation) actor.Actor {
	return actor.NewPerson("p-admin", o, "session", actor.RoleGrant{Role: actor.OrganisationAdmin}).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true}).From(netip.MustParseAddr("192.0.2.9"), "request-9")
}

// node is a dispatcher of its own.
func (i *installation) node() *webhook.Dispatcher {
	i.t.Helper()
	i.metrics = new(metrics.Registry)
	d, err := webhook.New(webhook.Config{
		DB: i.db, Registry: i.registry, Sealer: i.sealer, Client: i.client, Source: "https://api.example.com",
		Now: i.Now, Rand: rand.Reader, Log: slog.New(slog.NewTextHandler(&i.log, nil)), Metrics: i.metrics,
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return d
}

func (i *installation) webhook(events ...string) (id.Webhook, secret.Plaintext) {
	i.t.Helper()
	key, value, err := i.registry.CreateWebhook(i.t.Context(), i.admin(), registry.NewWebhook{Name: rand.Text(), URL: i.receiver.URL + "/hook", Events: events})
	if err != nil {
		i.t.Fatal(err)
	}
	return key, value
}

func (i *installation) apply(edits ...registry.Edit) {
	i.t.Helper()
	if err := i.registry.Apply(i.t.Context(), i.admin(), edits...); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) rename(names ...string) {
	i.t.Helper()
	for _, name := range names {
		i.apply(registry.RenameOrganisation{Name: name})
	}
}

// deliver lets a node do once what is due.
func (i *installation) deliver(d *webhook.Dispatcher) []delivery {
	i.t.Helper()
	if err := d.Pass(i.t.Context()); err != nil {
		i.t.Fatal(err)
	}
	return i.receiver.take()
}

func (i *installation) state(key id.Webhook) registry.Webhook {
	i.t.Helper()
	w, err := i.registry.Webhook(i.t.Context(), i.admin(), key)
	if err != nil {
		i.t.Fatal(err)
	}
	return w
}

// signedBy says whether a delivery is signed with a secret, as a receiver
// would find out.
func signedBy(d delivery, value secret.Plaintext) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(value.Reveal(), "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", d.header.Get("Webhook-Id"), d.header.Get("Webhook-Timestamp"), d.body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for signature := range strings.FieldsSeq(d.header.Get("Webhook-Signature")) {
		if hmac.Equal([]byte(signature), []byte(want)) {
			return true
		}
	}
	return false
}

func TestARecordArrivesAsASignedCloudEvent(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, value := i.webhook()
		i.rename("Renamed")
		got := i.deliver(i.node())
		if diff := cmp.Diff([]string{"doorward.webhook.create", "doorward.organisation.rename"}, types(got)); diff != "" {
			t.Fatalf("events (-want +got):\n%s", diff)
		}
		d := got[1]
		want := d.event
		want.SpecVersion, want.Source, want.Subject, want.DataContentType, want.Time = "1.0", "https://api.example.com", string(i.organisation), "application/json", i.Now()
		if diff := cmp.Diff(want, d.event); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
		for name, want := range map[string]any{"action": "organisation.rename", "organisation_id": string(i.organisation), "actor": "person:p-admin", "request_id": "request-9", "address": "192.0.2.9"} {
			if d.event.Data[name] != want {
				t.Errorf("data.%s = %v, want %v", name, d.event.Data[name], want)
			}
		}
		if edit := d.event.Data["edit"].(map[string]any); edit["name"] != "Renamed" {
			t.Errorf("data.edit = %v", edit)
		}
		if d.header.Get("Content-Type") != "application/cloudevents+json; charset=UTF-8" || d.header.Get("Webhook-Id") != d.event.ID || len(d.event.ID) != 32 || d.event.ID == got[0].event.ID {
			t.Errorf("header = %v, id %s and %s", d.header, d.event.ID, got[0].event.ID)
		}
		if d.header.Get("Webhook-Timestamp") != strconv.FormatInt(i.Now().Unix(), 10) || !signedBy(d, value) {
			t.Errorf("the signature %q does not fit", d.header.Get("Webhook-Signature"))
		}
		if again := i.deliver(i.node()); len(again) > 0 {
			t.Errorf("%q came again", types(again))
		}
		if w := i.state(key); w.Pending != 0 || !w.DeliveredAt.Equal(i.Now()) || w.Failure != "" {
			t.Errorf("the webhook says %+v", w)
		}
		t.Run("twin", func(t *testing.T) {
			d.body = append(d.body, ' ')
			if signedBy(d, value) {
				t.Error("the signature fits a changed body")
			}
		})
	})
}

func TestFailuresAreRepeatedInOrderWithGrowingPauses(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, _ := i.webhook("organisation.*")
		node := i.node()
		i.deliver(node)
		i.rename("one", "two")
		i.receiver.answer(http.StatusInternalServerError)
		var first string
		for attempt, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second} {
			got := i.deliver(node)
			if len(got) != 1 || first != "" && got[0].event.ID != first {
				t.Fatalf("attempt %d: %d deliveries, of other events", attempt+1, len(got))
			}
			first = got[0].event.ID
			w := i.state(key)
			if left := w.NextAt.Sub(i.Now()); left > pause || left < pause*4/5 {
				t.Errorf("after attempt %d the pause is %s, want %s less a fifth at most", attempt+1, left, pause)
			}
			if w.Attempts != int64(attempt+1) || w.Pending != 2 || !strings.Contains(w.Failure, "500") {
				t.Errorf("after attempt %d: %+v", attempt+1, w)
			}
			if early := i.deliver(node); len(early) > 0 {
				t.Errorf("it came again before the pause was over")
			}
			i.pass(pause)
		}
		i.receiver.answer(http.StatusOK)
		i.rename("three")
		var names []string
		for _, d := range i.deliver(i.node()) { // another node goes on
			names = append(names, d.event.Data["edit"].(map[string]any)["name"].(string))
		}
		if diff := cmp.Diff([]string{"one", "two", "three"}, names); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		if w := i.state(key); w.Attempts != 0 || !w.FailingSince.IsZero() || w.Pending != 0 {
			t.Errorf("after a success: %+v", w)
		}
	})
}

func TestAPauseIsAnHourAtMost(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, _ := i.webhook()
		i.receiver.answer(http.StatusServiceUnavailable)
		node := i.node()
		for range 15 {
			i.deliver(node)
			if left := i.state(key).NextAt.Sub(i.Now()); left > time.Hour {
				t.Fatalf("the pause is %s", left)
			}
			i.pass(time.Hour)
		}
		if w := i.state(key); w.Attempts != 15 || w.State != registry.WebhookEnabled {
			t.Errorf("after 15 hours: %+v", w)
		}
	})
}

func TestWhatFailsForThreeDaysIsDisabledAndAudited(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, _ := i.webhook()
		i.receiver.answer(http.StatusInternalServerError)
		node := i.node()
		i.deliver(node)
		i.pass(webhook.DisableAfter - time.Second)
		i.deliver(node)
		if w := i.state(key); w.State != registry.WebhookEnabled {
			t.Fatalf("twin: a second before, it is %s", w.State)
		}
		i.pass(time.Hour)
		i.deliver(node)
		w := i.state(key)
		if w.State != registry.WebhookDisabled || !strings.Contains(w.Reason, "72 hours") || !strings.Contains(w.Reason, "500") || w.Pending != 0 {
			t.Errorf("the webhook is %+v", w)
		}
		if got := i.audited("webhook.disable"); got != "system:webhook delivery "+string(key) {
			t.Errorf("audit log: %q", got)
		}
		i.rename("meanwhile")
		i.receiver.answer(http.StatusOK)
		i.apply(registry.SetWebhookState{Webhook: key, State: registry.WebhookEnabled})
		if diff := cmp.Diff([]string{"doorward.webhook.enable"}, types(i.deliver(node))); diff != "" {
			t.Errorf("enabled again it gets (-want +got):\n%s", diff)
		}
	})
}

// audited is the actor and subject of the newest record of an action.
func (i *installation) audited(action string) (found string) {
	i.t.Helper()
	err := i.db.View(i.t.Context(), func(tx *sqldb.Tx) error {
		var by, subject string
		err := tx.QueryRow(i.t.Context(), `SELECT actor, subject FROM audit WHERE action = $1 ORDER BY seq DESC LIMIT 1`, action).Scan(&by, &subject)
		found = by + " " + subject
		return err
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return found
}

func TestAReceiverThatIsGoneIsDisabledAtOnce(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, _ := i.webhook()
		i.receiver.answer(http.StatusGone)
		i.deliver(i.node())
		if w := i.state(key); w.State != registry.WebhookDisabled || !strings.Contains(w.Reason, "410") {
			t.Errorf("the webhook is %+v", w)
		}
	})
}

func TestOfTwoNodesOneDelivers(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, _ := i.webhook("organisation.*")
		i.deliver(i.node())
		i.receiver.entered, i.receiver.released = make(chan struct{}, 10), make(chan struct{})
		i.rename("one")
		first, second := i.node(), i.node()
		ended := make(chan error, 1)
		go func() { ended <- first.Pass(t.Context()) }()
		<-i.receiver.entered // the first is in the middle
		if err := second.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		// An edit meanwhile does not let the other one in either.
		i.apply(registry.TestWebhook{Webhook: key})
		if err := second.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(i.receiver.entered) > 0 {
			t.Error("the second node delivered too")
		}
		close(i.receiver.released)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"doorward.organisation.rename", "doorward.webhook.test"}, types(i.receiver.take())); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		t.Run("twin", func(t *testing.T) { // the lease was given back
			i.rename("two")
			if got := i.deliver(second); len(got) != 1 {
				t.Errorf("%d deliveries", len(got))
			}
		})
	})
}

func TestTheLeaseOfANodeThatDiedEnds(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		i.webhook()
		err := i.db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE webhook SET lease_holder = 'dead', lease_until = $1`, i.Now().Add(time.Minute).UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := i.deliver(i.node()); len(got) > 0 {
			t.Error("it came while another node held the lease")
		}
		i.pass(time.Minute)
		if got := i.deliver(i.node()); len(got) != 1 {
			t.Errorf("%d deliveries after the lease", len(got))
		}
	})
}

func TestBothSecretsSignForADay(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, first := i.webhook()
		node := i.node()
		i.deliver(node)
		second, err := i.registry.ReplaceWebhookSecret(t.Context(), i.admin(), key, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := i.deliver(node); len(got) != 1 || !signedBy(got[0], first) || !signedBy(got[0], second) {
			t.Error("at once the previous secret or the current one does not sign")
		}
		i.pass(registry.WebhookSecretOverlap)
		i.rename("a day later")
		if got := i.deliver(node); len(got) != 1 || signedBy(got[0], first) || !signedBy(got[0], second) {
			t.Error("a day later the previous secret signs, or the current one does not")
		}
	})
}

func TestTEN02_aWebhookHearsOfItsOrganisationAlone(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		i.webhook()
		if err := i.registry.Apply(t.Context(), i.adminOf(i.another), registry.RenameOrganisation{Name: "secret plan"}); err != nil {
			t.Fatal(err)
		}
		for _, d := range i.deliver(i.node()) {
			if strings.Contains(string(d.body), "secret plan") || d.event.Data["organisation_id"] != string(i.organisation) {
				t.Errorf("TEN-02 it hears of %s", d.body)
			}
		}
		t.Run("twin", func(t *testing.T) { // the operator's hears of all
			operator := actor.NewPerson("p-operator", "", "session", actor.RoleGrant{Role: actor.OperatorAdmin}).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true})
			if _, _, err := i.registry.CreateWebhook(t.Context(), operator, registry.NewWebhook{Name: "all", URL: i.receiver.URL}); err != nil {
				t.Fatal(err)
			}
			if err := i.registry.Apply(t.Context(), i.adminOf(i.another), registry.RenameOrganisation{Name: "other plan"}); err != nil {
				t.Fatal(err)
			}
			if got := i.deliver(i.node()); len(got) != 2 || !strings.Contains(string(got[1].body), "other plan") {
				t.Errorf("the operator's hears of %q", types(got))
			}
		})
	})
}

func TestSEC01_noEventHoldsASecret(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, first := i.webhook()
		second, err := i.registry.ReplaceWebhookSecret(t.Context(), i.admin(), key, 0)
		if err != nil {
			t.Fatal(err)
		}
		account, err := i.registry.CreateAccount(t.Context(), i.admin(), id.Sandbox, "sandbox")
		if err != nil {
			t.Fatal(err)
		}
		client, err := i.registry.CreateClient(t.Context(), i.admin(), registry.NewClient{Account: account, Name: "c"})
		if err != nil {
			t.Fatal(err)
		}
		old, third, err := i.registry.AddSecret(t.Context(), i.admin(), client, "s", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		_, fourth, err := i.registry.RotateSecret(t.Context(), i.admin(), client, old, "t", time.Time{}, i.Now())
		if err != nil {
			t.Fatal(err)
		}
		got := i.deliver(i.node())
		if len(got) != 7 {
			t.Fatalf("%d deliveries: %q", len(got), types(got))
		}
		for _, d := range got {
			for n, value := range []secret.Plaintext{first, second, third, fourth} {
				digest := secret.DigestOf(value)
				for _, form := range []string{value.Reveal(), strings.TrimPrefix(value.Reveal(), "whsec_"), string(digest), base64.StdEncoding.EncodeToString(digest), fmt.Sprintf("%x", []byte(digest))} {
					if bytes.Contains(d.body, []byte(form)) {
						t.Errorf("SEC-01 %s holds secret %d", d.event.Type, n)
					}
				}
			}
		}
	})
}

func TestKEY15_aWebhookThatLeadsInsideIsNotFollowed(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, _ := i.webhook()
		allowed := i.client
		i.client = egress.New(egress.Config{}) // the operator took the network back
		if got := i.deliver(i.node()); len(got) > 0 {
			t.Error("KEY-15 loopback was reached")
		}
		if w := i.state(key); !strings.Contains(w.Failure, "not a public one") || strings.Contains(w.Failure, "127") {
			t.Errorf("KEY-15 the owner is told %q", w.Failure)
		}
		i.pass(time.Minute)
		i.client = allowed
		i.receiver.answer(http.StatusFound)
		if got := i.deliver(i.node()); len(got) != 1 {
			t.Errorf("KEY-15 the redirect was followed: %d requests", len(got))
		}
		t.Run("twin", func(t *testing.T) {
			i.pass(time.Minute)
			i.receiver.answer(http.StatusOK)
			if got := i.deliver(i.node()); len(got) != 1 || i.state(key).Pending != 0 {
				t.Errorf("%d requests", len(got))
			}
		})
	})
}

func TestAnotherURLIsTriedAtOnceAndAStaleFailureIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		key, _ := i.webhook()
		i.receiver.answer(http.StatusInternalServerError)
		node := i.node()
		i.deliver(node)
		i.receiver.answer(http.StatusOK)
		url := i.receiver.URL + "/new"
		i.apply(registry.UpdateWebhook{Webhook: key, URL: &url})
		if got := i.deliver(node); len(got) != 2 || i.state(key).Attempts != 0 {
			t.Errorf("%q", types(got))
		}
	})
}

func TestAnErasedRecordIsDeliveredWithoutItsContent(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		i.webhook()
		i.rename("a person's name")
		err := i.db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE audit SET content = NULL, salt = NULL, address = '' WHERE action = 'organisation.rename'`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got := i.deliver(i.node())
		if len(got) != 2 || strings.Contains(string(got[1].body), "a person's name") || got[1].event.Data["action"] != "organisation.rename" {
			t.Errorf("got %q", types(got))
		}
		if _, err := journal.Verify(t.Context(), i.db); err != nil {
			t.Error(err)
		}
	})
}

func TestRunDeliversWhatIsCommittedAndEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		i.receiver.entered = make(chan struct{}, 100)
		stop := make(chan struct{})
		node := i.node()
		go func() { node.Run(t.Context()); close(stop) }()
		t.Cleanup(func() { <-stop })
		i.webhook("organisation.*")
		for range 3 {
			i.rename(rand.Text())
		}
		for range 4 {
			select {
			case <-i.receiver.entered:
			case <-time.After(10 * time.Second):
				t.Fatal("nothing came")
			}
		}
		var page strings.Builder
		if _, err := i.metrics.WriteTo(&page); err != nil || !strings.Contains(page.String(), "doorward_webhook_attempts_total{outcome=\"delivered\"}") {
			t.Errorf("%s, %v", page.String(), err)
		}
	})
}

func TestTheDatabaseAwayIsSaidAndSurvived(t *testing.T) {
	each(t, func(t *testing.T, i *installation) {
		i.webhook()
		node := i.node()
		if err := i.db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := node.Pass(t.Context()); err == nil || fault.KindOf(err) == fault.NotFound {
			t.Errorf("error = %v", err)
		}
	})
}
