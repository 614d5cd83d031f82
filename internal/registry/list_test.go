package registry_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// filters are the filters of all lists, and whose secrets are listed.
type filters struct {
	organisation registry.OrganisationFilter
	account      registry.AccountFilter
	product      registry.ProductFilter
	client       registry.ClientFilter
	secret       registry.SecretFilter
	secretsOf    id.Client
	permission   registry.PermissionFilter
	grant        registry.GrantFilter
	audit        registry.AuditFilter
}

// lister asks for a page of a list and returns what its items are called.
type lister func(by actor.Actor, x filters, page registry.Page) (names []string, next registry.Cursor, err error)

func lists(t testing.TB, f *fixture) map[string]lister {
	t.Helper()
	ctx := t.Context()
	return map[string]lister{
		"organisations": func(by actor.Actor, x filters, page registry.Page) ([]string, registry.Cursor, error) {
			list, err := f.Organisations(ctx, by, x.organisation, page)
			return named(list, err, func(o registry.Organisation) any { return o.ID })
		},
		"accounts": func(by actor.Actor, x filters, page registry.Page) ([]string, registry.Cursor, error) {
			list, err := f.Accounts(ctx, by, x.account, page)
			return named(list, err, func(a registry.Account) any { return a.ID })
		},
		"products": func(by actor.Actor, x filters, page registry.Page) ([]string, registry.Cursor, error) {
			list, err := f.Products(ctx, by, x.product, page)
			return named(list, err, func(p registry.OfferedProduct) any { return p.Definition.Key })
		},
		"clients": func(by actor.Actor, x filters, page registry.Page) ([]string, registry.Cursor, error) {
			list, err := f.Clients(ctx, by, x.client, page)
			return named(list, err, func(c registry.ClientSummary) any { return c.ID })
		},
		"secrets": func(by actor.Actor, x filters, page registry.Page) ([]string, registry.Cursor, error) {
			list, err := f.Secrets(ctx, by, x.secretsOf, x.secret, page)
			return named(list, err, func(s registry.Secret) any { return s.ID })
		},
		"permissions": func(by actor.Actor, x filters, page registry.Page) ([]string, registry.Cursor, error) {
			list, err := f.DefinedPermissions(ctx, by, x.permission, page)
			return named(list, err, func(p registry.DefinedPermission) any { return p.Key })
		},
		"grants": func(by actor.Actor, x filters, page registry.Page) ([]string, registry.Cursor, error) {
			list, err := f.Grants(ctx, by, x.grant, page)
			return named(list, err, func(g registry.Grant) any {
				return g.Product + " " + string(g.Environment) + " " + string(g.Organisation)
			})
		},
		"audit": func(by actor.Actor, x filters, page registry.Page) ([]string, registry.Cursor, error) {
			list, err := f.AuditRecords(ctx, by, x.audit, page)
			return named(list, err, func(a registry.AuditRecord) any { return fmt.Sprint(a.Seq, a.Action, a.Subject, a.Organisation) })
		},
	}
}

func named[T any](list registry.List[T], err error, name func(T) any) (names []string, next registry.Cursor, _ error) {
	for _, item := range list.Items {
		names = append(names, fmt.Sprint(name(item)))
	}
	return names, list.Next, err
}

// crowded gives A, B and the operator so much that each list of each has
// three items at least.
func crowded(t testing.TB, f *fixture) {
	t.Helper()
	for i, at := range []id.Client{"alpha-apple", "beta-apple", "gamma-apple"} {
		f.clock.add(time.Second)
		n := fmt.Sprint(i)
		f.must(t, f.operator, registry.CreateOrganisation{ID: id.NewOrganisation(f.Rand), Name: "More " + n}, registry.CreateClient{ID: "op-" + at + "-200", Name: "op " + n})
		for account, owner := range map[id.Account]id.Organisation{f.productionA: f.orgA, f.productionB: f.orgB} {
			key := at + "-30"
			if owner == f.orgB {
				key = at + "-40"
			}
			f.must(t, f.operator.In(owner), registry.CreateAccount{ID: id.NewAccount(f.Rand, id.Sandbox), Name: "More " + n},
				registry.CreateClient{ID: "prod-" + key + id.Client(n), Account: account, Name: "More " + n})
		}
		f.must(t, f.operator.In(f.orgA), f.newSecret(f.a1, id.Secret("aaaaaaaaaaa"+n)))
		f.must(t, f.operator.In(f.orgB), f.newSecret(f.b1, id.Secret("bbbbbbbbbbb"+n)), registry.GrantProduct{Product: "p2", Environment: id.Production}, registry.GrantProduct{Product: "p2", Environment: id.Sandbox})
	}
}

// all reads a list to its end in pages of that size.
func all(t testing.TB, list lister, by actor.Actor, x filters, limit int) (names []string) {
	t.Helper()
	page := registry.Page{Limit: limit}
	for range 1000 {
		part, next, err := list(by, x, page)
		if err != nil {
			t.Fatal(err)
		}
		if len(part) > limit || len(part) < limit && next != "" {
			t.Errorf("a page of %d items, limit %d, next %q", len(part), limit, next)
		}
		names = append(names, part...)
		if next == "" {
			return names
		}
		page.After = next
	}
	t.Fatal("the list has no end")
	return nil
}

func TestAListInPagesIsTheWholeList(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		crowded(t, f)
		for name, list := range lists(t, f) {
			for who, by := range map[string]actor.Actor{"admin of A": f.adminA, "operator": f.operator, "operator in B": f.operator.In(f.orgB)} {
				x := filters{secretsOf: f.a1}
				switch who {
				case "operator":
					x.secretsOf = "op-alpha-apple-200"
				case "operator in B":
					x.secretsOf = f.b1
				}
				whole := all(t, list, by, x, registry.MaxPageSize)
				slices.Sort(whole)
				if len(slices.Compact(slices.Clone(whole))) != len(whole) {
					t.Errorf("%s by %s shows an item twice: %q", name, who, whole)
				}
				nothing := who == "operator" && (name == "accounts" || name == "secrets") || who != "operator" && name == "organisations"
				if len(whole) < 2 && !nothing {
					t.Errorf("%s by %s has %d items: too few for this test", name, who, len(whole))
				}
				for _, limit := range []int{1, 2, 3, len(whole), len(whole) + 1} {
					if limit == 0 || limit > registry.MaxPageSize {
						continue
					}
					paged := all(t, list, by, x, limit)
					slices.Sort(paged)
					if diff := cmp.Diff(whole, paged); diff != "" {
						t.Errorf("%s by %s in pages of %d:\n%s", name, who, limit, diff)
					}
				}
			}
		}
	})
}

func TestListsShowTheNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		crowded(t, f)
		clients := all(t, lists(t, f)["clients"], f.adminA, filters{}, 2)
		want := []string{"prod-gamma-apple-302", "prod-beta-apple-301", "prod-alpha-apple-300", string(f.manager), string(f.a2), string(f.a1)}
		if diff := cmp.Diff(want, clients); diff != "" {
			t.Error(diff)
		}
		products := all(t, lists(t, f)["products"], f.adminA, filters{}, 2)
		if diff := cmp.Diff([]string{"management", "p1", "p2"}, products); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAPageHasAnOrdinaryAndALargestSize(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var edits []registry.Edit
		for i := range registry.DefaultPageSize + 1 {
			edits = append(edits, registry.CreateClient{ID: id.Client(fmt.Sprintf("prod-many-apple-%d", 100+i)), Account: f.productionA, Name: fmt.Sprint(i)})
		}
		f.must(t, f.adminA, edits...)
		clients := lists(t, f)["clients"]
		if got, next, err := clients(f.adminA, filters{}, registry.Page{}); len(got) != registry.DefaultPageSize || next == "" || err != nil {
			t.Errorf("the zero page has %d items, next %q, %v", len(got), next, err)
		}
		for _, limit := range []int{-1, registry.MaxPageSize + 1} {
			for name, list := range lists(t, f) {
				_, _, err := list(f.adminA, filters{secretsOf: f.a1}, registry.Page{Limit: limit})
				if fault.KindOf(err) != fault.Invalid {
					t.Errorf("%s with the limit %d: %v", name, limit, err)
				}
			}
		}
	})
}

func TestTEN02_listsShowTheActorsOrganisationAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		crowded(t, f)
		for name, list := range lists(t, f) {
			for _, text := range []string{"", "a", "A-prod", "%", string(f.orgA), string(f.a1)} {
				x := filters{secretsOf: f.b1}
				x.organisation.Text, x.account.Text, x.client.Text, x.product.Text = text, text, text, text
				x.audit.Subject = text
				for _, item := range all(t, list, f.adminB, x, 2) {
					for _, ofA := range []string{string(f.orgA), string(f.productionA), string(f.sandboxA), string(f.a1), string(f.a2), string(f.manager), string(f.secretA1), "apple-30", "aaaaaaaaaaa"} {
						if strings.Contains(item, ofA) {
							t.Errorf("TEN-02, AUD-10: %s with the text %q shows B the item %s", name, text, item)
						}
					}
				}
			}
			t.Run("twin "+name, func(t *testing.T) {
				if len(all(t, list, f.adminB, filters{secretsOf: f.b1}, 2)) == 0 {
					t.Errorf("B sees nothing of its own in %s", name)
				}
			})
		}
		_, _, err := lists(t, f)["secrets"](f.adminB, filters{secretsOf: f.a1}, registry.Page{})
		wantKind(t, err, fault.NotFound)
	})
}

func TestTEN06_aCursorIsGoodForItsListAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		crowded(t, f)
		every := lists(t, f)
		cursors := map[string]registry.Cursor{}
		x := filters{secretsOf: f.a1}
		for name, list := range every {
			_, next, err := list(f.operator.In(f.orgA), x, registry.Page{Limit: 1})
			if err != nil || next == "" && name != "organisations" {
				t.Fatalf("%s: next %q, %v", name, next, err)
			}
			cursors[name] = next
		}
		delete(every, "organisations") // of one organisation: there is one
		for _, name := range slices.Sorted(maps.Keys(every)) {
			good, list := cursors[name], every[name]
			refuse := func(what string, by actor.Actor, x filters, after registry.Cursor) {
				t.Run("TEN-06 "+name+" "+what, func(t *testing.T) {
					_, _, err := list(by, x, registry.Page{Limit: 1, After: after})
					wantKind(t, err, fault.Invalid)
				})
			}
			raw, err := base64.RawURLEncoding.DecodeString(string(good))
			if err != nil {
				t.Fatal(err)
			}
			for i := range raw {
				changed := slices.Clone(raw)
				changed[i] ^= 1
				refuse(fmt.Sprint("changed at ", i), f.adminA, x, registry.Cursor(base64.RawURLEncoding.EncodeToString(changed)))
			}
			for _, bad := range []registry.Cursor{good[:len(good)-1], good[1:], good[:22], "x", good + "A", good + "=", good + "\n", "' OR 1=1 --", "\x00", "é"} {
				refuse(fmt.Sprintf("%q", bad), f.adminA, x, bad)
			}
			refuse("of another organisation", f.operator.In(f.orgB), filters{secretsOf: f.b1}, good)
			for other, cursor := range cursors {
				if other != name && cursor != "" {
					refuse("of "+other, f.adminA, x, cursor)
				}
			}
			filtered := filters{secretsOf: f.a1}
			filtered.account.Text, filtered.product.Text, filtered.client.Text, filtered.permission.Text = "a", "a", "a", "a"
			filtered.secret.State, filtered.grant.Product, filtered.audit.Action = registry.SecretActive, "p1", "client"
			refuse("with another filter", f.adminA, filtered, good)
			t.Run("twin "+name, func(t *testing.T) {
				if items, _, err := list(f.adminA, x, registry.Page{Limit: 1, After: good}); err != nil || len(items) != 1 {
					t.Errorf("the cursor as it was given: %q, %v", items, err)
				}
			})
		}
	})
}

func TestListsAreForThoseWhoMayReadThem(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		crowded(t, f)
		onSandbox := proven("p-1", f.orgA, actor.RoleGrant{Role: actor.Viewer, Account: f.sandboxA})
		f.must(t, f.adminA, registry.CreateClient{ID: "sandbox-alpha-apple-100", Account: f.sandboxA, Name: "s"})
		every := lists(t, f)
		for name, list := range every {
			for who, by := range map[string]actor.Actor{
				"nobody": {}, "a person without roles": proven("p-2", f.orgA),
				"a client without permissions": actor.NewClient(f.a1, f.orgA, f.productionA, f.secretA1, []string{"p1.read"}),
				"a person of no organisation":  person("p-3", "", actor.OrganisationAdmin),
			} {
				_, _, err := list(by, filters{secretsOf: f.a1}, registry.Page{})
				if kind := fault.KindOf(err); kind != fault.Forbidden && (name != "secrets" || kind != fault.NotFound) {
					t.Errorf("%s by %s: %v", name, who, err)
				}
			}
		}
		for name, want := range map[string][]string{"accounts": {string(f.sandboxA)}, "clients": {"sandbox-alpha-apple-100"}} {
			for _, limit := range []int{1, 10} {
				if diff := cmp.Diff(want, all(t, every[name], onSandbox, filters{}, limit)); diff != "" {
					t.Errorf("%s by a viewer of one account:\n%s", name, diff)
				}
			}
		}
		for _, name := range []string{"organisations", "audit"} {
			_, _, err := every[name](onSandbox, filters{}, registry.Page{})
			wantKind(t, err, fault.Forbidden)
		}
	})
}

func TestAFilterOpensNoAccountToThoseWhoMayNotReadIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.adminA, registry.CreateClient{ID: "sandbox-alpha-apple-100", Account: f.sandboxA, Name: "s"})
		viewer := actor.RoleGrant{Role: actor.Viewer, Account: f.sandboxA}
		production := actor.RoleGrant{Role: actor.Viewer, Account: f.productionA}
		onOne, onBoth := proven("p-1", f.orgA, viewer), proven("p-1", f.orgA, viewer, production)
		for _, c := range []struct {
			by      actor.Actor
			account id.Account
			want    int
		}{
			{onOne, f.sandboxA, 1}, {onOne, f.productionA, 0}, {onOne, f.productionB, 0}, {onOne, "", 1},
			{onBoth, f.sandboxA, 1}, {onBoth, f.productionA, 3}, {onBoth, f.productionB, 0}, {onBoth, "", 4},
		} {
			filter := registry.ClientFilter{Account: c.account}
			list, err := f.Clients(t.Context(), c.by, filter, registry.Page{})
			count, countErr := f.CountClients(t.Context(), c.by, filter, 10)
			if err != nil || countErr != nil || len(list.Items) != c.want || count != c.want {
				t.Errorf("account %q: %d clients, counted %d, want %d (%v, %v)", c.account, len(list.Items), count, c.want, err, countErr)
			}
			counts, err := f.CountClientsByAccount(t.Context(), c.by, filter, 10)
			for _, n := range counts {
				count -= n
			}
			if err != nil || count != 0 {
				t.Errorf("account %q: counted as %v, want %d in all (%v)", c.account, counts, c.want, err)
			}
		}
	})
}

func TestSTO02_searchedTextIsTakenLiterally(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		names := []string{"100%", "a_b", `c:\d`, "axb", "Öljynjalostus Oy", "Straße", "100 percent"}
		for i, name := range names {
			f.must(t, f.operator.In(f.orgA), registry.CreateClient{ID: id.Client(fmt.Sprintf("prod-text-apple-%d", 200+i)), Account: f.productionA, Name: name},
				registry.CreateAccount{ID: id.NewAccount(f.Rand, id.Sandbox), Name: name})
			f.must(t, f.operator, registry.CreateOrganisation{ID: id.NewOrganisation(f.Rand), Name: name})
		}
		for text, want := range map[string][]string{
			"%": {"100%"}, "_": {"a_b"}, `\`: {`c:\d`}, "a_b": {"a_b"}, "0%": {"100%"}, `\d`: {`c:\d`}, "%%": nil, `\%`: nil, "a%b": nil,
			"100": {"100 percent", "100%"}, "AXB": {"axb"}, "öLJY": {"Öljynjalostus Oy"}, "STRASSE": nil, "straße": {"Straße"}, "' OR '1'='1": nil,
		} {
			x := filters{}
			x.organisation.Text, x.account.Text, x.client.Text = text, text, text
			var got [3][]string
			organisations, err1 := f.Organisations(t.Context(), f.operator, x.organisation, registry.Page{})
			accounts, err2 := f.Accounts(t.Context(), f.adminA, x.account, registry.Page{})
			clients, err3 := f.Clients(t.Context(), f.adminA, x.client, registry.Page{})
			for _, err := range []error{err1, err2, err3} {
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, o := range organisations.Items {
				got[0] = append(got[0], o.Name)
			}
			for _, a := range accounts.Items {
				got[1] = append(got[1], a.Name)
			}
			for _, c := range clients.Items {
				got[2] = append(got[2], c.Name)
			}
			for i := range got {
				slices.Sort(got[i])
				if diff := cmp.Diff(want, got[i]); diff != "" {
					t.Errorf("STO-02 %q in list %d:\n%s", text, i, diff)
				}
			}
		}
	})
}

// listsOf asks for every list with a text in each of its filters and as its
// cursor: the answer is a list or fault.Invalid.
func listsOf(t *testing.T, f *fixture, value string) {
	t.Helper()
	withText := []filters{
		{organisation: registry.OrganisationFilter{Text: value}, account: registry.AccountFilter{Text: value}, product: registry.ProductFilter{Text: value}, client: registry.ClientFilter{Text: value},
			secret: registry.SecretFilter{State: registry.SecretState(value)}, permission: registry.PermissionFilter{Text: value}, grant: registry.GrantFilter{Product: value}, audit: registry.AuditFilter{Action: value}},
		{organisation: registry.OrganisationFilter{State: registry.State(value)}, account: registry.AccountFilter{State: registry.State(value)}, product: registry.ProductFilter{Visibility: registry.Visibility(value)}, client: registry.ClientFilter{Product: value},
			permission: registry.PermissionFilter{Product: value}, grant: registry.GrantFilter{Environment: id.Environment(value)}, audit: registry.AuditFilter{Subject: value}},
		{account: registry.AccountFilter{Environment: id.Environment(value)}, product: registry.ProductFilter{Available: id.Environment(value)}, client: registry.ClientFilter{Permission: value},
			permission: registry.PermissionFilter{Assignable: registry.Assignable(value)}, audit: registry.AuditFilter{Actor: value}},
		{client: registry.ClientFilter{Account: id.Account(value)}, permission: registry.PermissionFilter{Available: id.Environment(value)}},
		{client: registry.ClientFilter{Owner: registry.Owner(value)}}, {client: registry.ClientFilter{State: registry.ClientState(value)}},
	}
	for name, list := range lists(t, f) {
		for i, x := range withText {
			x.secretsOf = f.a1
			if _, _, err := list(f.adminA, x, registry.Page{}); err != nil && fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s with filter %d = %.40q: %v", name, i, value, err)
			}
		}
		if _, _, err := list(f.adminA, filters{secretsOf: f.a1}, registry.Page{After: registry.Cursor(value)}); value != "" && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s after %.40q: %v", name, value, err)
		}
	}
}

// AUD-08: a clock that is set back changes the times of records, not their order.
func TestAUD08_recordsStandInTheOrderInWhichTheyWereMade(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var want []time.Time
		for _, step := range []time.Duration{0, -time.Hour, time.Minute} {
			f.clock.add(step)
			f.must(t, f.adminA, registry.RenameAccount{Account: f.sandboxA, Name: step.String()})
			want = append([]time.Time{f.clock.Now()}, want...)
		}
		records, err := f.AuditRecords(t.Context(), f.adminA, registry.AuditFilter{}, registry.Page{Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Time
		for i, r := range records.Items {
			got = append(got, r.At)
			if i > 0 && r.Seq != records.Items[i-1].Seq-1 {
				t.Errorf("record %d stands behind %d", r.Seq, records.Items[i-1].Seq)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("newest first (-want +got):\n%s", diff)
		}
	})
}
