package dashboard

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/signingkey"
)

// keyPurposes are what keys are for, and how people say it.
var keyPurposes = []struct{ key, title, words string }{
	{signingkey.Sandbox, "Sandbox", "Access tokens of sandbox accounts."},
	{signingkey.Production, "Production", "Access tokens of production accounts, of organisations and of the operator."},
	{signingkey.Assertion, "Assertions", "What the gateway tells upstreams about a call."},
}

// keys shows the signing keys of each purpose, in the order of their lives.
func (d *dashboard) keys(x *exchange) error {
	if d.Process.Keys == nil {
		return errNoPage
	}
	all := d.Process.Keys.Keys()
	order := []string{signingkey.Next, signingkey.Current, signingkey.Retired, signingkey.Withdrawn}
	slices.SortFunc(all, func(a, b signingkey.Info) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)), b.Published.Compare(a.Published))
	})
	page := view.Keys{Path: x.URL.Path, Set: d.KeySetURL, Every: d.Process.Keys.RotateEvery()}
	for _, purpose := range keyPurposes {
		group := view.KeyGroup{Purpose: purpose.key, Title: purpose.title, Words: purpose.words}
		for _, k := range all {
			if k.Purpose == purpose.key {
				group.Rows = append(group.Rows, keyRow(&k))
			}
		}
		page.Groups = append(page.Groups, group)
	}
	var err error
	if page.Locked, err = x.locked("signing keys", actor.KeyWrite); err != nil {
		return err
	}
	return x.show(http.StatusOK, view.KeysPage(x.page("Signing keys"), page))
}

func keyRow(k *signingkey.Info) view.KeyRow {
	return view.KeyRow{
		ID: k.ID, Algorithm: string(k.Algorithm), State: k.State, PublishedAt: k.Published, ActivatedAt: k.Activated, RetiredAt: k.Retired, EndsAt: k.Ends,
	}
}

var keysWay = view.Link{Label: "Signing keys", Path: operatorPath + "/keys"}

// confirmRotation says what rotating the keys of a purpose means now.
func (d *dashboard) confirmRotation(x *exchange) error {
	at := slices.IndexFunc(keyPurposes, func(p struct{ key, title, words string }) bool { return p.key == x.PathValue("purpose") })
	if d.Process.Keys == nil || at < 0 {
		return errNoPage
	}
	purpose := keyPurposes[at]
	q := view.Question{
		Title: "Rotate keys: " + purpose.title, What: "signing keys", Back: keysWay, Keep: "Keep keys", Do: "Rotate now",
		Action: view.Action{Path: operatorPath + "/keys/" + purpose.key + "/rotate"},
		Facts: []string{
			"The next key signs from now on, and another next one is published. The current key signs nothing more.",
			"Nothing that was signed ends: tokens stay valid until they expire.",
		},
	}
	keys := d.Process.Keys.Keys()
	if next := keyIn(keys, purpose.key, signingkey.Next); next >= 0 && d.Now().Sub(keys[next].Published) < signingkey.MaxAge {
		q.Facts = append(q.Facts, "The next key is published for less than "+view.Duration(signingkey.MaxAge)+": services that verify tokens by themselves may refuse new ones until they read the key set again. Better wait.")
	}
	return x.ask(q, actor.KeyWrite)
}

func (d *dashboard) rotateKey(x *exchange) error {
	if d.Process.Keys == nil {
		return errNoPage
	}
	if err := d.Process.Keys.Rotate(x.Context(), x.by, x.PathValue("purpose")); err != nil {
		return err
	}
	return x.done(keysWay.Path, "The keys are rotated: the next one signs now.", nil)
}

// keyNamed is the key that the address names, if it can be withdrawn.
func (x *exchange) keyNamed() (signingkey.Info, error) {
	if x.d.Process.Keys == nil {
		return signingkey.Info{}, errNoPage
	}
	keys := x.d.Process.Keys.Keys()
	at := slices.IndexFunc(keys, func(k signingkey.Info) bool { return k.ID == x.PathValue("key") && k.State != signingkey.Withdrawn })
	if at < 0 {
		return signingkey.Info{}, errNoPage
	}
	return keys[at], nil
}

func (d *dashboard) confirmKeyWithdrawal(x *exchange) error {
	k, err := x.keyNamed()
	if err != nil {
		return err
	}
	return x.askKeyWithdrawal(&k, nil)
}

// askKeyWithdrawal says what ends with a key.
func (x *exchange) askKeyWithdrawal(k *signingkey.Info, errs []view.FieldError) error {
	q := view.Question{
		Title: "Withdraw signing key", What: "signing keys", Back: keysWay, Keep: "Keep key", Do: "Withdraw key", Final: true, Errors: errs,
		Action: view.Action{Path: operatorPath + "/keys/" + k.ID + "/withdraw"}, Type: k.ID, TypeHint: "the id of the key",
		Facts: []string{
			"This is for a key whose private part may be known to others. It cannot be undone.",
			"Whatever it signed is refused here at once, and its private part is erased. Clients get new tokens with their secrets.",
			"Services that verify tokens by themselves may accept it for " + view.Duration(signingkey.MaxAge) + " more.",
		},
	}
	switch {
	case k.State == signingkey.Next:
		q.Facts = append(q.Facts, "It has signed nothing yet. Another next key takes its place.")
	case k.State == signingkey.Current:
		q.Facts = append(q.Facts, "It is the current key: the next one takes its place.")
	}
	return x.ask(q, actor.KeyWrite)
}

func (d *dashboard) withdrawKey(x *exchange) error {
	k, err := x.keyNamed()
	if err != nil {
		return err
	}
	if err := x.sees(actor.KeyWrite); err != nil {
		return err
	}
	if x.value("name") != k.ID {
		return x.askKeyWithdrawal(&k, []view.FieldError{{Field: "name", Text: "Type the id of the key as it stands below the field."}})
	}
	if err := d.Process.Keys.Withdraw(x.Context(), x.by, k.ID); err != nil {
		return err
	}
	return x.done(keysWay.Path, "The key is withdrawn: what it signed is refused now.", nil)
}
