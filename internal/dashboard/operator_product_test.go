package dashboard_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// billing is a product that the operator edits.
func billing(key string) registry.Definition {
	return registry.Definition{
		Key: key, Name: "Billing", Prefix: "/" + key, Visibility: registry.Published, SandboxAccess: registry.Open, ProductionAccess: registry.Granted,
		Upstreams: map[id.Environment]string{id.Sandbox: "http://127.0.0.1:1"},
		Permissions: []registry.Permission{
			{Key: key + ".read", Description: "Read invoices.", Assignable: registry.ByCustomer}, {Key: key + ".spare", Assignable: registry.ByCustomer},
		},
		Routes: []registry.Route{{Method: "GET", Path: "/invoices", Permissions: [][]string{{key + ".read"}}}},
	}
}

// anew fills in a product or a request of its own, so that what one did to it is
// nothing to the next.
func (s *site) anew(t testing.TB, pattern string) func(string) string {
	t.Helper()
	product, request := "", id.Request("")
	switch {
	case strings.Contains(pattern, "{product}"):
		s.products++
		product = fmt.Sprintf("bill%d", s.products)
		s.put(t, billing(product))
	case strings.Contains(pattern, "{request}"):
		grant := registry.GrantProduct{Product: "seal", Environment: id.Production}
		must(t, s.registry.Apply(t.Context(), s.system, registry.WithdrawProduct(grant)))
		by := actor.NewPerson(s.personOf(t, emailOf(actor.Developer)), s.organisation, "s", actor.RoleGrant{Role: actor.Developer}).Proven(actor.Proof{Verified: true, SecondFactor: true})
		if waits, err := s.registry.AccessRequest(t.Context(), by, grant); err == nil && waits != nil && waits.StateAt(s.clock.Now()) == registry.RequestPending {
			request = waits.ID
			break
		}
		var err error
		request, err = s.registry.RequestChange(t.Context(), by, "for contracts", grant)
		must(t, err)
	}
	fill := strings.NewReplacer("{product}", product, "{permission}", product+".spare", "{version}", "1", "{environment}", "production", "{request}", string(request))
	return func(pattern string) string { return s.at(fill.Replace(pattern)) }
}

// operatorAdmin is a browser of the operator admin.
func operatorAdmin(t testing.TB) (*site, *visitor) {
	t.Helper()
	s := newOperatorSite(t)
	s.put(t, billing("bill"))
	return s, s.as(t, emailOf(actor.OperatorAdmin)).proven()
}

func (s *site) product(t testing.TB, key string) registry.OfferedProduct {
	t.Helper()
	p, err := s.registry.Product(t.Context(), actor.NewSystem("test"), key)
	must(t, err)
	return p
}

func TestTheOperatorAddsAProduct(t *testing.T) {
	s, v := operatorAdmin(t)
	v.get("/operator/products").wants(t, http.StatusOK, "Billing bill /bill Published no client", "Echo echo · declared in the configuration file", "1 client of 1 organisation")
	form := []string{"key", "scan", "name", "Scanning <b>", "prefix", "/scan", "visibility", "draft", "sandbox_access", "open", "production_access", "granted", "sandbox_upstream", "http://scan.internal:8080"}
	page := v.follow(v.post("/operator/products/new", form...))
	page.wants(t, http.StatusOK, "Product Scanning <b> is added", "Draft", "http://scan.internal:8080")
	if strings.Contains(page.body, "Scanning <b>") {
		t.Error("a name is markup")
	}
	v.post("/operator/products/new", form...).wants(t, http.StatusConflict, "There is a product with the key scan already", "Nothing was added")
	for name, c := range map[string]struct{ field, value, want string }{
		"prefix":   {"prefix", "/bill", "another product has the prefix /bill"},
		"reserved": {"prefix", "/auth/open", "reserved"},
		"key":      {"key", "9", "needs 1 to 24"},
		"upstream": {"sandbox_upstream", "ftp://x", "the sandbox upstream of product"},
		"document": {"document", "{}", "no OpenAPI document"},
	} {
		changed := slices.Clone(form)
		changed[1] = "other"
		if at := slices.Index(changed, c.field); at >= 0 {
			changed[at+1] = c.value
		} else {
			changed = append(changed, c.field, c.value)
		}
		a := v.post("/operator/products/new", changed...)
		if a.status != http.StatusUnprocessableEntity && a.status != http.StatusConflict || !strings.Contains(strings.ToLower(a.text()), strings.ToLower(c.want)) {
			t.Errorf("%s: status %d: %s", name, a.status, a.text())
		}
	}
	changed := append(slices.Clone(form), "document", `{"openapi": "3.1.0", "paths": {"/jobs": {"get": {"security": [{"o": ["jobs:read"]}]}}}}`)
	changed[1], changed[5] = "scan2", "/scan2"
	v.follow(v.post("/operator/products/new", changed...)).wants(t, http.StatusOK, "is added")
	if p := s.product(t, "scan2"); len(p.Definition.Routes) != 1 || p.Definition.Permissions[0].Key != "scan2.jobs.read" {
		t.Errorf("%+v", p.Definition)
	}
}

func TestWhatStopsCallsIsReviewedFirst(t *testing.T) {
	s, v := operatorAdmin(t)
	form := func(visibility, base string) []string {
		return []string{"base", base, "name", "Billing", "prefix", "/bill", "visibility", visibility, "sandbox_access", "open", "production_access", "granted", "sandbox_upstream", "http://127.0.0.1:1"}
	}
	review := v.post("/operator/products/bill", form("draft", "1")...)
	review.wants(t, http.StatusOK, "Review changes", "All calls in sandbox are refused", "Removed: Status: published", "Added: Status: draft", "Make it live")
	if p := s.product(t, "bill"); p.Version != 1 {
		t.Errorf("version %d before it was confirmed", p.Version)
	}
	v.follow(v.post("/operator/products/bill", append(form("draft", "1"), "confirm", "1")...)).wants(t, http.StatusOK, "Product Billing is changed", "Draft")
	t.Run("twin: what stops nothing is made at once", func(t *testing.T) {
		v.follow(v.post("/operator/products/bill", form("published", "2")...)).wants(t, http.StatusOK, "Published")
	})
	t.Run("two editors", func(t *testing.T) {
		v.post("/operator/products/bill", append(form("sandbox", "2"), "confirm", "1")...).wants(t, http.StatusConflict, "Nothing was changed", "changed meanwhile")
		if p := s.product(t, "bill"); p.Definition.Visibility != registry.Published {
			t.Error("the older form won")
		}
	})
	t.Run("declared ones are read-only", func(t *testing.T) {
		page := v.get("/operator/products/echo")
		page.wants(t, http.StatusOK, "It is declared in the configuration file", "http://127.0.0.1:1", "Test connection")
		if strings.Contains(page.body, "Save settings") {
			t.Error("there is a form")
		}
		v.post("/operator/products/echo", append(form("published", ""), "confirm", "1")...).wants(t, http.StatusConflict, "belongs to the source config")
	})
}

func TestAnUpstreamIsTested(t *testing.T) {
	s, v := operatorAdmin(t)
	working := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the test sends credentials")
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer working.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	for address, want := range map[string]string{
		working.URL:                  "with status 404. Any status will do",
		"http://127.0.0.1:1":         "Nothing listens at 127.0.0.1:1",
		secure.URL:                   "an authority that this server does not trust",
		"https" + working.URL[4:]:    "does not speak TLS",
		"http://169.254.169.254":     "link-local address or to a metadata service",
		"http://[fe80::1]":           "link-local address or to a metadata service",
		"http://[fd00:ec2::254]":     "link-local address or to a metadata service",
		"http://nowhere.invalid:1/x": "nowhere.invalid",
	} {
		d := billing("bill")
		d.Upstreams = map[id.Environment]string{id.Sandbox: address}
		s.put(t, d)
		v.post("/operator/products/bill/test", "environment", "sandbox").wants(t, http.StatusOK, want)
	}
	v.post("/operator/products/bill/test", "environment", "production").wants(t, http.StatusBadRequest)
}

func TestAPermissionInUseIsNotRemoved(t *testing.T) {
	s, v := operatorAdmin(t)
	path := "/operator/products/bill/permissions"
	v.get(path).wants(t, http.StatusOK, "Read invoices. bill.read customers no client GET /bill/invoices")
	v.follow(v.post(path, "key", "bill.write", "description", "Write <i>invoices</i>.", "assignable", "operator", "base", "1")).wants(t, http.StatusOK, "Permission bill.write is added", "Write <i>invoices</i>. bill.write the operator")
	v.post(path, "key", "bill.write", "assignable", "customer").wants(t, http.StatusConflict, "a permission with that key already")
	v.post(path, "key", "other.write", "assignable", "customer").wants(t, http.StatusUnprocessableEntity, "must begin with the product's key")
	must(t, s.registry.Apply(t.Context(), s.system, registry.AddPermissions{Client: s.client, Permissions: []string{"bill.spare"}}))
	v.get(path).wants(t, http.StatusOK, "bill.spare customers 1 client of 1 organisation no route")
	v.get(path+"/bill.spare").wants(t, http.StatusOK, "Held by 1 client", "It is in use, so it cannot be removed")
	v.post(path+"/bill.spare/remove").wants(t, http.StatusConflict, "Clients hold the permission bill.spare")
	v.post(path+"/bill.read/remove").wants(t, http.StatusUnprocessableEntity, "which the product does not declare")
	v.follow(v.post(path+"/bill.spare", "description", "Spare.", "assignable", "customer", "retired", "1")).wants(t, http.StatusOK, "Spare. bill.spare · retired")
	v.follow(v.post(path+"/bill.write/remove")).wants(t, http.StatusOK, "Permission bill.write is removed")
	v.get(path+"/bill.write").wants(t, http.StatusNotFound)
}

func TestRoutesAreAddedTriedAndRemoved(t *testing.T) {
	s, v := operatorAdmin(t)
	path := "/operator/products/bill/routes"
	v.get(path+"/edit").wants(t, http.StatusOK, "Add route")
	v.follow(v.post(path+"/edit", "base", "1", "method", "POST", "path", "/invoices/{id}", "permissions", "bill.read bill.spare\nbill.spare")).
		wants(t, http.StatusOK, "Route POST /bill/invoices/{id} is added", "POST /bill/invoices/{id} bill.read and bill.spare, or bill.spare")
	v.post(path+"/edit", "method", "POST", "path", "/invoices/{other}", "permissions", "bill.read").wants(t, http.StatusUnprocessableEntity, "declared twice")
	v.post(path+"/edit", "method", "GET", "path", "/x", "permissions", "").wants(t, http.StatusUnprocessableEntity, "give either permissions or public")
	v.post(path+"/edit", "method", "GET", "path", "/x", "permissions", "bill.unknown").wants(t, http.StatusUnprocessableEntity, "which the product does not declare")
	v.get(path+"?method=POST&path=/bill/invoices/7").wants(t, http.StatusOK, "The route POST /bill/invoices/{id} takes it", "A client needs bill.read and bill.spare, or bill.spare")
	v.get(path+"?method=DELETE&path=/bill/invoices/7").wants(t, http.StatusOK, "No route takes it", "405 method_not_allowed")
	v.get(path+"?method=GET&path=/bill/nothing").wants(t, http.StatusOK, "404 route_unknown")
	v.get(path+"?method=GET&path=/bill/..%252fx").wants(t, http.StatusOK, "No route takes it")
	v.get(path+"/edit?method=GET&path=/invoices").wants(t, http.StatusOK, "Change route", "Remove route")
	v.get(path+"/edit?method=GET&path=/gone").wants(t, http.StatusNotFound)
	v.post(path+"/remove", "base", "2", "was_method", "GET", "was_path", "/invoices").wants(t, http.StatusOK, "Review changes", "1 route that can be called now is gone", "Removed: GET /bill/invoices: bill.read")
	v.follow(v.post(path+"/remove", "base", "2", "was_method", "GET", "was_path", "/invoices", "confirm", "1")).wants(t, http.StatusOK, "Route GET /bill/invoices is removed")
	v.post(path+"/remove", "was_method", "GET", "was_path", "/invoices", "confirm", "1").wants(t, http.StatusConflict, "not there any more")
	if p := s.product(t, "bill"); len(p.Definition.Routes) != 1 {
		t.Errorf("%+v", p.Definition.Routes)
	}
}

func TestADocumentIsImportedAfterAReview(t *testing.T) {
	s, v := operatorAdmin(t)
	path := "/operator/products/bill/import"
	must(t, s.registry.Apply(t.Context(), s.system, registry.AddPermissions{Client: s.client, Permissions: []string{"bill.spare"}}))
	document := "openapi: 3.1.0\npaths:\n  /credits:\n    get: {security: [{o: [read]}]}\n"
	v.post(path, "document", document, "base", "1").wants(t, http.StatusOK, "Import OpenAPI document", "Added: GET /bill/credits: bill.read", "Removed: GET /bill/invoices: bill.read", "bill.spare (retired)", "Make it live")
	v.post(path, "document", "openapi: 3.1.0\npaths: {/x: {get: {}}}\n").wants(t, http.StatusUnprocessableEntity, "Nothing was imported", "it says nothing about security")
	v.post(path).wants(t, http.StatusUnprocessableEntity, "Paste a document")

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	must(t, form.WriteField("base", "1"))
	must(t, form.WriteField("confirm", "1"))
	file, err := form.CreateFormFile("file", "openapi.yaml")
	must(t, err)
	_, err = file.Write([]byte(document))
	must(t, err)
	must(t, form.Close())
	a := v.send("POST", path, body.String(), "Content-Type", form.FormDataContentType(), "Origin", base)
	v.follow(a).wants(t, http.StatusOK, "The document is imported: 1 route", "GET /bill/credits")
	if p := s.product(t, "bill"); p.Definition.Permissions[0].Description != "Read invoices." {
		t.Errorf("what was said about a permission is lost: %+v", p.Definition.Permissions)
	}
	if a := v.send("POST", "/operator/products/bill", body.String(), "Content-Type", form.FormDataContentType(), "Origin", base); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("WEB-03: a form with a file is taken where none is: status %d", a.status)
	}
}

func TestAProductGoesBackToAVersion(t *testing.T) {
	s, v := operatorAdmin(t)
	next := billing("bill")
	next.Name, next.Routes = "Billing two", nil
	s.put(t, next)
	path := "/operator/products/bill/versions"
	v.get(path).wants(t, http.StatusOK, "Version 2 just now 1 added, 2 removed Live", "Version 1 just now the first")
	v.get(path+"/2").wants(t, http.StatusOK, "This is what the product says now")
	v.get(path+"/1").wants(t, http.StatusOK, "Removed: Name: Billing two", "Added: GET /bill/invoices: bill.read", "Go back to version 1")
	for _, version := range []string{"3", "0", "x", "99999999999999999999"} {
		v.get(path+"/"+version).wants(t, http.StatusNotFound)
	}
	v.post(path+"/1", "base", "1").wants(t, http.StatusConflict, "changed meanwhile")
	v.follow(v.post(path+"/1", "base", "2")).wants(t, http.StatusOK, "says again what it said in version 1", "Version 3")
	if p := s.product(t, "bill"); p.Definition.Name != "Billing" || p.Version != 3 {
		t.Errorf("%+v", p)
	}
}

func TestTheOperatorGivesAProductAndWithdrawsIt(t *testing.T) {
	s, v := operatorAdmin(t)
	path := "/operator/products/seal/organisations"
	v.get(path).wants(t, http.StatusOK, "It was given to nobody yet")
	v.get(path+"?q=analytical").wants(t, http.StatusOK, "Analytical Engines", "Give in sandbox", "Give in production")
	v.get(path+"?q=nobody").wants(t, http.StatusOK, "No organisation has that name or id")
	v.follow(v.post(path, "organisation", string(s.organisation), "environment", "production")).wants(t, http.StatusOK, "Analytical Engines may use Sealing in production", "PRODUCTION")
	v.get(path+"?q=analytical").wants(t, http.StatusOK, "has it in production", "Give in sandbox")
	withdraw := path + "/" + string(s.organisation) + "/production/withdraw"
	v.get(withdraw).wants(t, http.StatusOK, "Calls of Analytical Engines to Sealing in production are refused", "0 clients of theirs hold")
	v.follow(v.post(withdraw)).wants(t, http.StatusOK, "does not have Sealing in production any more", "Undo", "It was given to nobody yet")
	v.get(path+"/o-99999999999999999999/production/withdraw").wants(t, http.StatusNotFound)
	v.get(path+"/"+string(s.organisation)+"/staging/withdraw").wants(t, http.StatusNotFound)
	v.post(path, "organisation", "", "environment", "production").wants(t, http.StatusNotFound)
}

func TestAProductThatIsNotUsedIsDeleted(t *testing.T) {
	s, v := operatorAdmin(t)
	path := "/operator/products/bill/delete"
	v.post(path, "name", "Billin").wants(t, http.StatusUnprocessableEntity, "Type the name of the product")
	must(t, s.registry.Apply(t.Context(), s.system, registry.AddPermissions{Client: s.client, Permissions: []string{"bill.spare"}}))
	v.get(path).wants(t, http.StatusOK, "It is in use", "1 client of 1 organisation")
	v.post(path, "name", "Billing", "base", "1").wants(t, http.StatusConflict, "Clients hold the permission bill.spare")
	must(t, s.registry.Apply(t.Context(), s.system, registry.RemovePermissions{Client: s.client, Permissions: []string{"bill.spare"}}))
	v.follow(v.post(path, "name", "Billing", "base", "1")).wants(t, http.StatusOK, "Product Billing is deleted")
	v.get("/operator/products/bill").wants(t, http.StatusNotFound)
}

func TestTheOperatorDecidesAboutRequestsOfCustomers(t *testing.T) {
	s, v := operatorAdmin(t)
	v.get("/operator/requests").wants(t, http.StatusOK, "Nothing waits")
	fill := s.anew(t, "/operator/requests/{request}/decline")
	v.get("/operator/requests").wants(t, http.StatusOK, "Asked by Developer", "For Analytical Engines", "for contracts", "Grant product seal", "Approve and make the change")
	if text := s.as(t, emailOf(actor.OperatorSupport)).proven().get("/operator/requests").text(); strings.Contains(text, "Approve") && strings.Contains(text, "Decline request") {
		t.Errorf("support can decide: %s", text)
	}
	if path := s.linkTo(t, emailOf(actor.OperatorAdmin)); path != "/operator/requests" {
		t.Errorf("the mail leads to %s", path)
	}
	v.follow(v.post(fill("/operator/requests/{request}/decline"), "organisation", string(s.organisation), "reason", "not yet")).wants(t, http.StatusOK, "The request is declined", "Nothing waits")
	fill = s.anew(t, "/operator/requests/{request}/approve")
	v.post(fill("/operator/requests/{request}/approve"), "organisation", string(s.other)).wants(t, http.StatusNotFound)
	v.follow(v.post(fill("/operator/requests/{request}/approve"), "organisation", string(s.organisation))).wants(t, http.StatusOK, "It is given")
	customer := s.as(t, emailOf(actor.Developer)).proven()
	customer.get("/a/"+string(s.production)+"/products/seal").wants(t, http.StatusOK, "Available PRODUCTION")
}
