package dashboard

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// clientSettings are what people choose about a client.
func (d *dashboard) clientSettings(x *exchange) error {
	return x.showClientSettings(http.StatusOK, x.settingsNow(), nil)
}

// settingsNow are the client's settings as the form writes them.
func (x *exchange) settingsNow() view.ClientForm {
	return view.ClientForm{
		Name: x.client.Name, Lifetime: strconv.Itoa(int(x.client.TokenLifetime / time.Second)), Contact: string(x.client.Contact),
		Note: x.client.Note, Networks: strings.Join(networkTexts(x.client.Networks), "\n"),
	}
}

func networkTexts(networks []netip.Prefix) (texts []string) {
	for _, n := range networks {
		texts = append(texts, n.String())
	}
	return texts
}

func (x *exchange) showClientSettings(status int, form view.ClientForm, errs []view.FieldError) (err error) {
	p, frame, err := x.clientPage("Settings")
	if err != nil {
		return err
	}
	page := view.ClientSettings{Frame: frame, Form: form, Base: x.client.Version, Errors: errs, MayDisable: x.by.May(actor.ClientDisable, x.account.ID), Lifetime: x.client.TokenLifetime}
	if page.Locked, err = x.locked("settings", actor.ClientWrite); err != nil {
		return err
	}
	members, err := x.d.Registry.Members(x.Context(), x.by)
	if err != nil {
		return err
	}
	page.People = append(page.People, view.Option{Label: "Nobody", Chosen: form.Contact == ""})
	for _, m := range members {
		page.People = append(page.People, view.Option{Value: string(m.Person), Label: titleOf(m.Name, m.Email), Chosen: form.Contact == string(m.Person)})
	}
	return x.show(status, view.ClientSettingsPage(p, page))
}

// saveClientSettings changes what is different from what the client has.
func (d *dashboard) saveClientSettings(x *exchange) error {
	form := view.ClientForm{Name: x.value("name"), Lifetime: x.value("lifetime"), Contact: x.value("contact"), Note: x.value("note"), Networks: x.value("networks")}
	edit, err := x.settingsEdit(form)
	if err == nil {
		err = x.apply(edit)
	}
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Code == fault.VersionStale {
		return x.showClientSettings(http.StatusConflict, form, x.meanwhile(form))
	}
	if err != nil {
		status, errs, err := x.refused(err, "name", "lifetime", "networks network", "contact member", "note")
		if err != nil {
			return err
		}
		return x.showClientSettings(status, form, errs)
	}
	return x.done(x.clientPath()+"/settings", "Settings of "+form.Name+" are saved.", nil)
}

func (x *exchange) settingsEdit(form view.ClientForm) (edit registry.UpdateClient, err error) {
	contact, note := id.Person(form.Contact), strings.ReplaceAll(form.Note, "\r\n", "\n")
	lifetime, err := lifetimeOf(form.Lifetime)
	if err != nil {
		return edit, err
	}
	networks, err := parseNetworks(form.Networks)
	edit = registry.UpdateClient{
		Client: x.client.ID, Name: unlike(form.Name, x.client.Name), Contact: unlike(contact, x.client.Contact), Note: unlike(note, x.client.Note),
		TokenLifetime: unlike(lifetime, x.client.TokenLifetime), Base: x.base(),
	}
	if !slices.Equal(networks, x.client.Networks) {
		edit.Networks = &networks
	}
	return edit, err
}

// unlike is what was chosen, if that is another value.
func unlike[T comparable](chosen, now T) *T {
	if chosen == now {
		return nil
	}
	return &chosen
}

// parseNetworks reads one network or address in each line.
func parseNetworks(text string) (networks []netip.Prefix, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' }) {
		network, err := netip.ParsePrefix(word)
		if addr, wrong := netip.ParseAddr(word); wrong == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "%q is no network: write it like 192.0.2.0/24 or 2001:db8::/32", word)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// meanwhile says of each setting that others changed what it is now.
func (x *exchange) meanwhile(form view.ClientForm) []view.FieldError {
	errs := []view.FieldError{{Text: "Somebody saved other settings while you looked. Yours stand in the form: save them over theirs, or discard them."}}
	now := x.settingsNow()
	for _, f := range []struct{ field, label, now, yours string }{
		{"name", "Name", now.Name, form.Name}, {"lifetime", "Lifetime", now.Lifetime, form.Lifetime}, {"contact", "Contact", now.Contact, form.Contact},
		{"note", "Note", now.Note, form.Note}, {"networks", "Networks", now.Networks, form.Networks},
	} {
		if f.now == f.yours {
			continue
		}
		text := f.label + " is “" + f.now + "” now."
		if f.field == "contact" || f.now == "" {
			text = f.label + " is another now."
		}
		errs = append(errs, view.FieldError{Field: f.field, Text: text})
	}
	return errs
}
