package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// Bounds of a search.
const (
	foundFew    = 6   // of a group beside others
	foundMany   = 25  // of a group alone
	maxSearched = 5   // organisations
	maxSearch   = 100 // characters
)

// search finds pages, places, API clients, people, products and help by their
// names and ids. Its list is also what the palette shows.
func (d *dashboard) search(x *exchange) error {
	query := x.URL.Query()
	if err := x.lookFrom(query.Get("at")); err != nil {
		return err
	}
	s := &searching{exchange: x, text: searchText(query.Get("q"))}
	var err error
	if kind := query.Get("only"); kind != "" {
		err = s.alone(kind, id.Organisation(query.Get("in")), registry.Cursor(query.Get("after")))
	} else {
		err = s.everywhere()
	}
	if err != nil {
		return err
	}
	p := x.page("Search")
	p.Searching = true
	return x.show(http.StatusOK, view.SearchPage(p, view.Search{Text: s.text, At: x.here(), Groups: s.groups}))
}

// lookFrom goes to the place from which somebody searches, if it is theirs; else
// to their only organisation, or to none.
func (x *exchange) lookFrom(at string) (err error) {
	kind, key, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/")
	switch {
	case kind == "a":
		err = x.enterAccount(id.Account(key))
	case kind == "o":
		err = x.enterOrganisation(id.Organisation(key))
	case at == operatorPath && x.isOperators():
		err = x.enterOperator()
	case len(x.session.Memberships) == 1 && x.session.Memberships[0].Organisation != "":
		err = x.enterOrganisation(x.session.Memberships[0].Organisation)
	}
	if err != nil {
		x.organisation, x.account, x.by = registry.Organisation{}, registry.Account{}, actor.Actor{}
		if err = unlessGone(err); err != nil && !errors.Is(err, errNoPage) {
			return err
		}
	}
	x.places = nil
	return x.findPlaces()
}

// searchText is what somebody looks for, cut to what names can be.
func searchText(text string) string {
	text = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", ""))
	if runes := []rune(text); len(runes) > maxSearch {
		return string(runes[:maxSearch])
	}
	return text
}

// searching is a search under way.
type searching struct {
	*exchange
	text   string
	groups []view.FoundGroup
}

// kind is what an organisation holds many of.
type kind struct {
	name, title string
	find        func(s *searching, by actor.Actor, page registry.Page) ([]view.Found, registry.Cursor, error)
}

var kinds = []kind{
	{"clients", "Clients", (*searching).findClients},
	{"accounts", "Accounts", (*searching).findAccounts},
	{"people", "People", (*searching).findPeople},
}

// everywhere finds a few of each kind in all organisations of the person.
func (s *searching) everywhere() error {
	s.add("Pages", "", s.pages())
	s.add("Places", "", s.findPlacesNamed())
	if s.text == "" {
		return nil
	}
	for _, organisation := range s.organisations() {
		for _, k := range kinds {
			if err := s.inside(organisation, k, registry.Page{Limit: foundFew}); err != nil {
				return err
			}
		}
	}
	found, err := s.findProducts()
	if err != nil {
		return err
	}
	s.add("API products", "", found)
	s.add("Error codes", "", s.help())
	return nil
}

// alone goes through one kind in one organisation, page by page.
func (s *searching) alone(name string, organisation id.Organisation, after registry.Cursor) error {
	at := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if at < 0 || !slices.Contains(s.organisations(), organisation) {
		return errNoPage
	}
	err := s.inside(organisation, kinds[at], registry.Page{Limit: foundMany, After: after})
	if fault.KindOf(err) == fault.Invalid && after != "" { // a cursor of another search
		return s.inside(organisation, kinds[at], registry.Page{Limit: foundMany})
	}
	return err
}

// organisations are those in which the person can look, where they are first.
func (s *searching) organisations() (list []id.Organisation) {
	if s.organisation.ID != "" {
		list = append(list, s.organisation.ID)
	}
	for _, m := range s.session.Memberships {
		if m.Organisation != "" && !slices.Contains(list, m.Organisation) && len(list) < maxSearched {
			list = append(list, m.Organisation)
		}
	}
	return list
}

// inside adds what one organisation holds of a kind, as far as the person may see
// it there.
func (s *searching) inside(organisation id.Organisation, k kind, page registry.Page) error {
	by, err := s.d.People.Actor(s.session, organisation, s.origin())
	if err != nil {
		return unlessGone(err)
	}
	found, next, err := k.find(s, by, page)
	if err != nil {
		return unlessGone(err)
	}
	more, title := "", k.title
	if next != "" {
		more = "/search?" + url.Values{"q": {s.text}, "at": {s.here()}, "only": {k.name}, "in": {string(organisation)}, "after": {string(next)}}.Encode()
	}
	if name := s.nameOfOrganisation(organisation); len(s.organisations()) > 1 && name != "" {
		title += " in " + name
	}
	s.add(title, more, found)
	return nil
}

func (s *searching) nameOfOrganisation(key id.Organisation) string {
	for _, m := range s.session.Memberships {
		if m.Organisation == key {
			return m.Name
		}
	}
	return ""
}

func (s *searching) add(title, more string, found []view.Found) {
	if len(found) > 0 {
		s.groups = append(s.groups, view.FoundGroup{Title: title, More: more, Found: found})
	}
}

// fits says whether one of some words holds what is looked for, whatever the case.
func (s *searching) fits(words ...string) bool {
	return strings.Contains(strings.ToLower(strings.Join(words, "\n")), strings.ToLower(s.text))
}

// pages are those of the place, of the person and of the help.
func (s *searching) pages() (found []view.Found) {
	for _, item := range s.nav() {
		found = append(found, view.Found{Name: item.Label, Path: item.Path, Icon: item.Icon, Detail: titleOf(s.account.Name, s.organisation.Name)})
	}
	for _, e := range meNav {
		found = append(found, view.Found{Name: e.label, Path: "/me" + e.path, Icon: e.icon, Detail: "You"})
	}
	for _, l := range []view.Link{{Label: "Help", Path: "/help"}, {Label: "Error codes", Path: view.HelpErrorsPath}, {Label: "Management API", Path: "/help/api"}, {Label: "Keys", Path: "/help/keys"}} {
		found = append(found, view.Found{Name: l.Label, Path: l.Path, Icon: "circle-help", Detail: "Help"})
	}
	return slices.DeleteFunc(found, func(f view.Found) bool { return !s.fits(f.Name, f.Detail) })
}

// findPlacesNamed are organisations, and without a text the accounts at hand too.
func (s *searching) findPlacesNamed() (found []view.Found) {
	for _, place := range s.places {
		account := strings.HasPrefix(place.Path, "/a/")
		if s.fits(place.Name, place.Path) && (!account || s.text == "") {
			found = append(found, view.Found{Name: place.Name, Path: place.Path, Icon: "layers", Environment: place.Environment})
		}
	}
	return found
}

func (s *searching) findClients(by actor.Actor, page registry.Page) (found []view.Found, next registry.Cursor, err error) {
	list, err := s.d.Registry.Clients(s.Context(), by, registry.ClientFilter{Text: s.text, Owner: registry.OwnedByAccount}, page)
	for _, c := range list.Items {
		found = append(found, view.Found{Name: c.Name, ID: string(c.ID), Path: "/a/" + string(c.Account) + "/clients/" + string(c.ID), Icon: "boxes", Environment: string(c.Account.Environment())})
	}
	return found, list.Next, err
}

func (s *searching) findAccounts(by actor.Actor, page registry.Page) (found []view.Found, next registry.Cursor, err error) {
	list, err := s.d.Registry.Accounts(s.Context(), by, registry.AccountFilter{Text: s.text}, page)
	for _, a := range list.Items {
		found = append(found, view.Found{Name: a.Name, ID: string(a.ID), Path: "/a/" + string(a.ID), Icon: "layers", Environment: string(a.ID.Environment())})
	}
	return found, list.Next, err
}

func (s *searching) findPeople(by actor.Actor, page registry.Page) (found []view.Found, next registry.Cursor, err error) {
	list, err := s.d.Registry.MemberList(s.Context(), by, registry.MemberFilter{Text: s.text}, page)
	for _, m := range list.Items {
		found = append(found, view.Found{Name: titleOf(m.Name, m.Email), Detail: m.Email, Path: "/o/" + string(by.Organisation()) + "/team/" + string(m.Person), Icon: "user"})
	}
	return found, list.Next, err
}

// findProducts are those of the account, or of the first one here.
func (s *searching) findProducts() (found []view.Found, err error) {
	account := s.account.ID
	for _, place := range s.places {
		if key, ok := strings.CutPrefix(place.Path, "/a/"); ok && account == "" {
			account = id.Account(key)
		}
	}
	if account == "" || s.organisation.ID == "" {
		return nil, nil
	}
	list, err := s.d.Registry.Products(s.Context(), s.by, registry.ProductFilter{Text: s.text, Available: account.Environment()}, registry.Page{Limit: foundFew})
	for _, p := range list.Items {
		found = append(found, view.Found{Name: p.Definition.Name, Detail: p.Definition.Prefix, Path: "/a/" + string(account) + "/products/" + p.Definition.Key, Icon: "package"})
	}
	return found, unlessGone(err)
}

// help are the error codes that fit.
func (s *searching) help() (found []view.Found) {
	for _, section := range errorSections() {
		for _, e := range section.Entries {
			if s.fits(e.Code, e.Title) && len(found) < foundFew {
				found = append(found, view.Found{Name: e.Title, ID: e.Code, Path: view.HelpErrorsPath + "#" + e.Anchor, Icon: "circle-help"})
			}
		}
	}
	return found
}
