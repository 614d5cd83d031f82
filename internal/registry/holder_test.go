package registry_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestHoldersAreCountedUpToABound(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		holders := func(product, permission string) (p, q registry.Holders) {
			t.Helper()
			p, err := f.ProductHolders(t.Context(), f.operator, product)
			if err != nil {
				t.Fatal(err)
			}
			if q, err = f.PermissionHolders(t.Context(), f.operator, permission); err != nil {
				t.Fatal(err)
			}
			return p, q
		}
		before, beforeRead := holders("p1", "p1.read")
		f.must(t, f.operator.In(f.orgA), registry.CreateClient{ID: "sandbox-deleted-apple-100", Account: f.sandboxA, Name: "d"},
			registry.AddPermissions{Client: "sandbox-deleted-apple-100", Permissions: []string{"p1.read"}})
		if p, q := holders("p1", "p1.read"); p.Clients != before.Clients+1 || q.Clients != beforeRead.Clients+1 || p.More || q.More || p.Organisations != before.Organisations {
			t.Errorf("with one more client the product has %+v and the permission %+v; before %+v and %+v", p, q, before, beforeRead)
		}
		f.must(t, f.operator.In(f.orgA), registry.SetClientState{Client: "sandbox-deleted-apple-100", State: registry.Deleted})
		if p, q := holders("p1", "p1.read"); p != before || q != beforeRead {
			t.Errorf("without it the product has %+v and the permission %+v; before %+v and %+v", p, q, before, beforeRead)
		}
		if p, q := holders("p", "p1.rea"); p != (registry.Holders{}) || q != (registry.Holders{}) {
			t.Errorf("what is not there has %+v and %+v", p, q)
		}
		if p, _ := holders("p_", "p1.read"); p != (registry.Holders{}) {
			t.Errorf("a pattern has %+v", p)
		}
		var edits []registry.Edit
		for i := range 1000 - beforeRead.Clients {
			key := id.Client(fmt.Sprintf("sandbox-many-apple-%d", 1000+i))
			edits = append(edits, registry.CreateClient{ID: key, Account: f.sandboxA, Name: fmt.Sprint("many ", i)}, registry.AddPermissions{Client: key, Permissions: []string{"p1.read"}})
		}
		for some := range slices.Chunk(edits[2:], 200) {
			f.must(t, f.operator.In(f.orgA), some...)
		}
		if _, q := holders("p1", "p1.read"); q.Clients != 999 || q.More {
			t.Errorf("999 clients are counted as %+v", q)
		}
		f.must(t, f.operator.In(f.orgA), edits[:2]...)
		if p, q := holders("p1", "p1.read"); q.Clients != 1000 || !q.More || !p.More {
			t.Errorf("as many as are looked at are counted as %+v, and of the product %+v", q, p)
		}
		f.must(t, f.operator.In(f.orgA), registry.CreateClient{ID: "sandbox-other-apple-100", Account: f.sandboxA, Name: "other"},
			registry.AddPermissions{Client: "sandbox-other-apple-100", Permissions: []string{"p2.read"}})
		for name, filter := range map[string]registry.ClientFilter{"product": {Account: f.sandboxA, Product: "p1"}, "permission": {Account: f.sandboxA, Permission: "p1.read"}} {
			if count, err := f.CountClients(t.Context(), f.adminA, filter, 5000); err != nil || count != len(edits)/2 {
				t.Errorf("a list by %s that many hold has %d clients, %v; want %d", name, count, err, len(edits)/2)
			}
		}
		for name, by := range map[string]actor.Actor{"nobody": {}, "an admin of an organisation": f.adminA, "the operator inside an organisation": f.operator.In(f.orgA)} {
			for _, product := range []string{"p1", "p_"} {
				if _, err := f.ProductHolders(t.Context(), by, product); fault.KindOf(err) != fault.Forbidden {
					t.Errorf("%s counts the holders of %s: %v", name, product, err)
				}
			}
			if _, err := f.PermissionHolders(t.Context(), by, "p1.read"); fault.KindOf(err) != fault.Forbidden {
				t.Errorf("%s counts the holders of a permission: %v", name, err)
			}
		}
	})
}
