package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/snippet"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

const (
	defaultSecretDays = 90
	day               = 24 * time.Hour
)

// secrets lists the secrets of a client; revoked ones are asked for.
func (d *dashboard) secrets(x *exchange) error {
	p, frame, err := x.clientPage("Secrets")
	if err != nil {
		return err
	}
	list, err := d.Registry.Secrets(x.Context(), x.by, x.client.ID, registry.SecretFilter{}, registry.Page{Limit: registry.MaxPageSize})
	if err != nil {
		return err
	}
	page := view.Secrets{Frame: frame, All: x.URL.Query().Has("all"), Most: registry.MaxSecrets}
	if page.Locked, err = x.locked("secrets", actor.SecretWrite); err != nil {
		return err
	}
	page.MayDisable = x.by.May(actor.ClientDisable, x.account.ID)
	people, err := x.people()
	if err != nil {
		return err
	}
	for _, s := range list.Items {
		if s.State == registry.SecretRevoked {
			page.Revoked++
			if !page.All {
				continue
			}
		}
		row := x.secretRow(&s)
		row.CreatedBy = people.of(s.CreatedBy)
		page.Rows = append(page.Rows, row)
	}
	page.Full = len(list.Items)-page.Revoked >= registry.MaxSecrets
	return x.show(http.StatusOK, view.SecretsPage(p, page))
}

func (x *exchange) secretRow(s *registry.Secret) view.SecretRow {
	now := x.d.Now()
	row := view.SecretRow{
		Name: s.Name, ID: string(s.ID), Path: x.clientPath() + "/secrets/" + string(s.ID), State: string(s.StateAt(now)),
		CreatedAt: s.CreatedAt, EndsAt: s.ExpiresAt, UsedAt: s.LastUsedAt, Ending: !s.ExpiresAt.IsZero() && s.ExpiresAt.Before(now.Add(soon)),
	}
	if s.LastUsedFrom.IsValid() {
		row.UsedFrom = s.LastUsedFrom.String()
	}
	switch s.StateAt(now) {
	case registry.SecretRetiring:
		row.EndsAt = s.EndsAt
	case registry.SecretDisabled:
		row.UndoUntil = s.DisabledAt.Add(registry.UndoWindow)
	case registry.SecretRevoked:
		row.EndsAt = s.RevokedAt
	}
	return row
}

// secretEnd is when a new secret ends unless the person chooses another day: at
// the end of a day, as far ahead as they may choose.
func (x *exchange) secretEnd() time.Time {
	end := x.d.Now().UTC().Truncate(day).Add((defaultSecretDays+1)*day - time.Second)
	if latest := x.d.Now().Add(registry.UnverifiedSecretLifetime); !x.by.Verified() && end.After(latest) {
		return latest.Truncate(time.Second)
	}
	return end
}

func (d *dashboard) newSecret(x *exchange) error {
	return x.showNewSecret(http.StatusOK, view.NewSecretForm{Ends: dateOf(x.secretEnd())})
}

func (x *exchange) showNewSecret(status int, form view.NewSecretForm) (err error) {
	form.Client, form.Path, form.Once = x.client.Name, x.clientPath(), x.d.random()
	form.Earliest, form.Latest = dateOf(x.d.Now()), ""
	if !x.by.Verified() {
		form.Latest = dateOf(x.d.Now().Add(registry.UnverifiedSecretLifetime))
	}
	if form.Locked, err = x.locked("secrets", actor.SecretWrite); err != nil {
		return err
	}
	p := x.page("Add secret", x.client.Name)
	p.Width = "narrow"
	return x.show(status, view.NewSecret(p, form))
}

func dateOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// endOf reads the last day on which a secret works; nothing is for ever.
func (x *exchange) endOf(date string) (time.Time, error) {
	if date == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return t, fault.Errorf(fault.Invalid, "the last day of the secret is a date like %s", dateOf(x.d.Now().Add(defaultSecretDays*day)))
	}
	end := t.Add(day - time.Second)
	if latest := x.d.Now().Add(registry.UnverifiedSecretLifetime); !x.by.Verified() && end.After(latest) && t.Before(latest) {
		end = latest // the last day that they may choose ends early
	}
	return end, nil
}

// addSecret adds a secret; the answer itself shows it, once.
func (d *dashboard) addSecret(x *exchange) error {
	form := view.NewSecretForm{Name: x.value("name"), Ends: x.value("ends")}
	expires, err := x.endOf(form.Ends)
	if err == nil {
		var add registry.AddSecret
		var value secret.Plaintext
		if add, value, err = d.Registry.PrepareSecret(x.client.ID, form.Name, expires); err != nil {
			return err
		}
		if err = x.once().Apply(x.Context(), x.by, add); err == nil {
			return x.reveal("Secret "+form.Name+" is added", revealed{id: add.ID, name: form.Name, value: value, expires: expires})
		}
	}
	return x.secretRefused(err, func(status int, errs []view.FieldError) error {
		form.Errors = errs
		return x.showNewSecret(status, form)
	}, "name", "ends last day", "ends expired")
}

// secretRefused answers a form that would have made a secret and did not.
func (x *exchange) secretRefused(err error, again func(int, []view.FieldError) error, fields ...string) error {
	if _, ok := errors.AsType[*registry.Repeated](err); ok {
		return x.done(x.clientPath()+"/secrets", "This secret was created already and shown once. Add another if you did not keep it, and revoke this one.", nil)
	}
	status, errs, err := x.refused(err, fields...)
	if err != nil {
		return err
	}
	return again(status, errs)
}

// revealed is a secret that was just made.
type revealed struct {
	id      id.Secret
	name    string
	value   secret.Plaintext
	expires time.Time
	asked   bool // others were asked for the client's permissions
}

// reveal shows a secret, this once. The page is the answer of the form that
// made it: it has no address of its own, and is neither kept nor compressed.
func (x *exchange) reveal(title string, s revealed) error {
	x.secret = true
	p := x.page(title, x.client.Name)
	p.Width = "middle"
	page := view.Reveal{
		Asked: s.asked, Client: x.client.Name, ClientID: string(x.client.ID), Path: x.clientPath(), SecretID: string(s.id), Name: s.name, Value: s.value.Reveal(),
		Expires: s.expires, File: envName(string(x.client.ID)),
	}
	if x.operator { // it manages, which the command line does best
		page.Login = x.login()
		return x.show(http.StatusOK, view.RevealPage(p, page))
	}
	call, _ := x.exampleCall() // without the products it is a poorer example; the secret shows now or never
	snippets, err := snippet.Write(call)
	if err != nil {
		return err
	}
	page.Script, page.Method, page.CallPath = snippets[0].Text, call.Method, call.Path
	if page.Live, err = x.liveLine(); err != nil {
		return err
	}
	return x.show(http.StatusOK, view.RevealPage(p, page))
}

func envName(client string) string { return client + ".env" }

// downloadSecret gives back as a file what the page of a new secret holds. It
// knows no secret: the form brings it.
func (d *dashboard) downloadSecret(x *exchange) error {
	if err := x.sees(actor.SecretWrite); err != nil {
		return err
	}
	value := x.value("secret")
	public, _, ok := d.Registry.Mint.Parse(value)
	if !ok {
		return errBadForm
	}
	if _, err := d.Registry.Secret(x.Context(), x.by, x.client.ID, public); err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+envName(string(x.client.ID))+`"`)
	h.Set("Cache-Control", "no-store")
	_, err := fmt.Fprintf(x.w, "CLIENT_ID=%s\nCLIENT_SECRET=%s\nTOKEN_URL=%s\nAPI_URL=%s\nACCOUNT_ID=%s\n", x.client.ID, value, d.TokenURL, d.APIURL, x.account.ID)
	return err
}

// overlaps are how long the old secret of a rotation can go on.
var overlaps = []struct {
	value, label string
	length       time.Duration
}{
	{"1h", "One hour", time.Hour}, {"1d", "One day", day}, {"7d", "Seven days", 7 * day}, {"30d", "30 days", 30 * day},
}

func (d *dashboard) newRotation(x *exchange) error {
	return x.showRotation(http.StatusOK, view.RotateForm{Ends: dateOf(x.secretEnd()), Overlap: "7d"})
}

// oldSecret is the one that the address names.
func (x *exchange) oldSecret() (registry.Secret, error) {
	return x.d.Registry.Secret(x.Context(), x.by, x.client.ID, id.Secret(x.PathValue("secret")))
}

func (x *exchange) showRotation(status int, form view.RotateForm) error {
	old, err := x.oldSecret()
	if err != nil {
		return err
	}
	form.Old, form.Client, form.Path, form.Once = x.secretRow(&old), x.client.Name, x.clientPath(), x.d.random()
	if form.Name == "" {
		form.Name = nextName(old.Name)
	}
	for _, o := range overlaps {
		form.Overlaps = append(form.Overlaps, view.Option{Value: o.value, Label: o.label, Chosen: o.value == form.Overlap})
	}
	if form.Locked, err = x.locked("secrets", actor.SecretWrite); err != nil {
		return err
	}
	p := x.page("Rotate secret "+old.Name, x.client.Name)
	p.Width = "narrow"
	return x.show(status, view.RotatePage(p, form))
}

// nextName is a name for the successor of a secret: "ci" → "ci 2" → "ci 3".
func nextName(name string) string {
	stem, n := name, 1
	if i := strings.LastIndexByte(name, ' '); i > 0 {
		if _, err := fmt.Sscanf(name[i+1:], "%d", &n); err == nil && n < 1_000_000 {
			stem = name[:i]
		} else {
			n = 1
		}
	}
	return fmt.Sprintf("%s %d", stem, n+1)
}

// rotateSecret adds a successor, which the answer shows, and lets the old
// secret go on for a while.
func (d *dashboard) rotateSecret(x *exchange) error {
	form := view.RotateForm{Name: x.value("name"), Ends: x.value("ends"), Overlap: x.value("overlap")}
	var overlap time.Duration
	for _, o := range overlaps {
		if o.value == form.Overlap {
			overlap = o.length
		}
	}
	expires, err := x.endOf(form.Ends)
	if err == nil && overlap == 0 {
		err = fault.Errorf(fault.Invalid, "choose how long the old secret goes on working")
	}
	if err == nil {
		var add registry.AddSecret
		var value secret.Plaintext
		if add, value, err = d.Registry.PrepareSecret(x.client.ID, form.Name, expires); err != nil {
			return err
		}
		retire := registry.RetireSecret{Client: x.client.ID, Secret: id.Secret(x.PathValue("secret")), Successor: add.ID, Ends: d.Now().Add(overlap)}
		if err = x.once().Apply(x.Context(), x.by, add, retire); err == nil {
			return x.reveal("Secret "+form.Name+" is added", revealed{id: add.ID, name: form.Name, value: value, expires: expires})
		}
	}
	return x.secretRefused(err, func(status int, errs []view.FieldError) error {
		form.Errors = errs
		return x.showRotation(status, form)
	}, "name", "ends last day", "ends expired", "overlap old secret")
}

// setSecretState disables a secret, or enables it again. Where that would stop
// the client, it asks first.
func (d *dashboard) setSecretState(x *exchange) error {
	s, err := x.oldSecret()
	if err != nil {
		return err
	}
	state := registry.SecretState(x.value("state"))
	if state != registry.SecretActive && state != registry.SecretDisabled {
		return errBadForm
	}
	if state == registry.SecretDisabled && x.value("confirm") == "" {
		used, err := x.usedLately()
		if err != nil {
			return err
		}
		if used && x.client.Secrets == 1 && s.StateAt(d.Now()) != registry.SecretExpired {
			return x.redirect(x.clientPath() + "/secrets/" + string(s.ID) + "/disable")
		}
	}
	if err := x.apply(registry.SetSecretState{Client: x.client.ID, Secret: s.ID, State: state}); err != nil {
		return err
	}
	if state == registry.SecretActive {
		return x.done(x.clientPath()+"/secrets", "Secret "+s.Name+" works again.", nil)
	}
	return x.done(x.clientPath()+"/secrets", "Secret "+s.Name+" is disabled, and so are the tokens that it got. You can enable it again for a day.",
		x.undo("secrets/"+string(s.ID)+"/state", "state", string(registry.SecretActive)))
}

func (d *dashboard) confirmDisableSecret(x *exchange) error {
	s, err := x.oldSecret()
	if err != nil {
		return err
	}
	path := x.clientPath() + "/secrets"
	return x.confirm(view.Confirm{
		Title: "Disable secret " + s.Name, Back: path, Keep: "Keep secret", Do: "Disable secret",
		Action: view.Action{Path: path + "/" + string(s.ID) + "/state", Fields: []view.Hidden{{Name: "state", Value: "disabled"}, {Name: "confirm", Value: "1"}}},
		Facts: []string{
			"It is the last secret that works: the client gets no more tokens, and those that this secret got are refused.",
			"You can enable it again for a day.",
		},
	}, actor.ClientDisable)
}

func (d *dashboard) confirmRevoke(x *exchange) error { return x.showRevoke(nil) }

func (x *exchange) showRevoke(errs []view.FieldError) error {
	s, err := x.oldSecret()
	if err != nil {
		return err
	}
	heirs, err := x.d.Registry.Descendants(x.Context(), x.by, x.client.ID, s.ID)
	if err != nil {
		return err
	}
	path := x.clientPath() + "/secrets"
	c := view.Confirm{
		Title: "Revoke secret " + s.Name, Back: path, Keep: "Keep secret", Do: "Revoke secret", Final: true, Errors: errs,
		Action: view.Action{Path: path + "/" + string(s.ID) + "/revoke"}, Type: x.typed(),
		Facts: []string{"It and the tokens that it got stop working at once. This cannot be undone.", "Disabling it stops them as well, and can be undone for a day."},
	}
	for _, h := range heirs {
		c.Descendants = append(c.Descendants, x.secretRow(&h))
	}
	return x.confirm(c, actor.SecretWrite)
}

func (d *dashboard) revokeSecret(x *exchange) error {
	s, err := x.oldSecret()
	if err != nil {
		return err
	}
	errs, err := x.deliberate()
	if err != nil {
		return err
	}
	if len(errs) > 0 {
		return x.showRevoke(errs)
	}
	edit := registry.SetSecretState{Client: x.client.ID, Secret: s.ID, State: registry.SecretRevoked, WithDescendants: x.value("descendants") != ""}
	if err := x.apply(edit); err != nil {
		return err
	}
	return x.done(x.clientPath()+"/secrets", "Secret "+s.Name+" is revoked.", nil)
}
