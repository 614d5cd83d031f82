package api_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/management"
)

func decoded[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return v
}

func TestTEN04_membersThatTheContractDoesNotHaveAreRefused(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by := p.caller(t, p.Organisation, "", p.customers...)
		s := p.fresh(t)
		account := fmt.Sprintf(`{"owner":"account","account_id":%q,"name":`, s.account)
		for name, body := range map[string]string{
			"TEN-04 org_id": account + `"x","org_id":"o-1"}`, "TEN-04 created_by": account + `"x","created_by":"me"}`, "TEN-04 env": account + `"x","env":"production"}`,
			"TEN-04 verified": account + `"x","verified":true}`, "TEN-04 permissions": account + `"x","permissions":["echo.call"]}`, "TEN-04 state": account + `"x","state":"disabled"}`,
			"TEN-04 client_id": account + `"x","client_id":"sandbox-own-apple-123"}`, "another case": account + `"x","NAME":"y"}`, "twice": account + `"x","name":"y"}`,
			"two values": account + `"x"}{}`, "null": account + `null}`, "number": account + `1}`, "array": `[]`, "text": `"x"`, "nothing": ``, "space": ` `, "no JSON": `{`,
			"unknown owner": `{"owner":"me","name":"x"}`, "no owner": `{"name":"x"}`, "no name": `{"owner":"organisation"}`, "lifetime 0": account + `"x","token_lifetime":0}`,
			"lifetime of a day": account + `"x","token_lifetime":86400}`, "network": account + `"x","networks":["192.0.2.1"]}`, "networks twice": account + `"x","networks":["192.0.2.1/24"]}`,
			"account of an organisation": fmt.Sprintf(`{"owner":"organisation","account_id":%q,"name":"x"}`, s.account), "NUL": account + `"a\u0000b"}`, "long": account + `"` + strings.Repeat("x", 201) + `"}`,
		} {
			t.Run(name, func(t *testing.T) {
				header := []string{}
				if body == "" {
					header = []string{"Content-Type", "application/json"}
				}
				p.do(t, by, http.MethodPost, "/clients", body, header...).has(t, body, http.StatusBadRequest, "")
			})
		}
		t.Run("twin", func(t *testing.T) {
			p.do(t, by, http.MethodPost, "/clients", account+`"x"}`).has(t, "a client", http.StatusCreated, "")
		})
		p.do(t, by, http.MethodPost, "/clients", account+`"`+strings.Repeat("x", 65<<10)+`"}`).has(t, "a large body", http.StatusRequestEntityTooLarge, "body_too_large")
		p.do(t, by, http.MethodPost, "/clients/"+string(s.client)+"/disable", `{}`).has(t, "a body where there is none", http.StatusBadRequest, "")
		p.do(t, by, http.MethodPatch, "/clients/"+string(s.client), `{}`).has(t, "a change of nothing", http.StatusBadRequest, "")
		for _, query := range []string{"acount_id=x", "limit=0", "limit=201", "limit=x", "limit=1&limit=2", "state=deleted", "account_id=a-s-1", "expires_by=soon", "cursor=x", "%zz=1"} {
			p.do(t, by, http.MethodGet, "/clients?"+query, "").has(t, query, http.StatusBadRequest, "")
		}
		p.do(t, by, http.MethodGet, "/clients?limit=1&state=enabled&text=%25", "").has(t, "twin", http.StatusOK, "")
	})
}

func TestTEN06_aCursorOfAnotherOrganisationIsRefused(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		p.fresh(t)
		a, b := p.caller(t, p.Organisation, "", p.customers...), p.caller(t, p.other, "", p.customers...)
		for _, path := range []string{"/clients", "/accounts", "/permissions", "/products", "/audit-records"} {
			list := decoded[struct{ Next string }](t, p.do(t, a, http.MethodGet, path+"?limit=1", ""))
			if list.Next == "" {
				t.Errorf("%s has no next page", path)
				continue
			}
			for name, c := range map[string]struct {
				by    *caller
				query string
			}{
				"TEN-06 of another organisation": {b, list.Next}, "TEN-06 changed": {a, "A" + list.Next[1:] + "A"}, "TEN-06 truncated": {a, list.Next[:len(list.Next)-2]},
				"TEN-06 with another filter": {a, list.Next + map[bool]string{true: "&action=client", false: "&text=a"}[path == "/audit-records"]}, "TEN-06 SQL": {a, "'%20OR%201=1"},
			} {
				p.do(t, c.by, http.MethodGet, path+"?limit=1&cursor="+c.query, "").has(t, path+" "+name, http.StatusBadRequest, "invalid")
			}
			p.do(t, a, http.MethodGet, path+"?limit=1&cursor="+list.Next, "").has(t, "twin "+path, http.StatusOK, "")
		}
	})
}

func TestTEN03_idsThatDoNotBelongTogetherAreUnknown(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by := p.caller(t, p.Organisation, "", p.customers...)
		one, two := p.fresh(t), p.fresh(t)
		for _, path := range []string{"", "/descendants"} {
			p.do(t, by, http.MethodGet, fmt.Sprintf("/clients/%s/secrets/%s%s", one.client, two.secret, path), "").has(t, "TEN-03 a secret of another client", http.StatusNotFound, "not_found")
		}
		for _, verb := range []string{"disable", "enable", "revoke"} {
			p.do(t, by, http.MethodPost, fmt.Sprintf("/clients/%s/secrets/%s/%s", one.client, two.secret, verb), "").has(t, "TEN-03 "+verb, http.StatusNotFound, "not_found")
		}
		p.do(t, by, http.MethodGet, "/accounts?organisation_id="+string(p.other), "").has(t, "TEN-03 another organisation in the query", http.StatusNotFound, "not_found")
		p.do(t, by, http.MethodPost, "/clients", fmt.Sprintf(`{"owner":"organisation","organisation_id":%q,"name":"x"}`, p.other)).has(t, "TEN-17 another organisation in the body", http.StatusNotFound, "not_found")
		t.Run("twin", func(t *testing.T) {
			p.do(t, by, http.MethodGet, fmt.Sprintf("/clients/%s/secrets/%s", one.client, one.secret), "").has(t, "its own secret", http.StatusOK, "")
			p.do(t, by, http.MethodGet, "/accounts?organisation_id="+string(p.Organisation), "").has(t, "its own organisation", http.StatusOK, "")
		})
	})
}

// A client that manages others gives no more than it holds, on any way.
func TestPRIV10_nobodyGivesMoreThanTheyHold(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		held := []string{"management.client.read", "management.client.write", "management.permission.write", "management.secret.write"}
		organisation, sandbox := p.caller(t, p.Organisation, "", held...), p.caller(t, p.Organisation, p.Sandbox, held...)
		powerful := p.caller(t, p.Organisation, p.Sandbox, "management.account.write")
		wide := p.caller(t, p.Organisation, "", "management.client.write")
		s := p.fresh(t)
		p.Apply(registry.SetClientState{Client: powerful.id, State: registry.Disabled})
		for _, c := range []struct {
			name               string
			by                 *caller
			method, path, body string
			twinPath, twinBody string
		}{
			{"PRIV-10 a permission that it lacks", organisation, http.MethodPatch, "/clients/" + string(s.client) + "/permissions", `{"add":["management.account.write"]}`, "", `{"add":["management.client.write"]}`},
			{"PRIV-10 its permission to a client with a wider reach", sandbox, http.MethodPatch, "/clients/" + string(wide.id) + "/permissions", `{"add":["management.client.read"]}`, "/clients/" + string(s.client) + "/permissions", ""},
			{"PRIV-10 one that only the operator assigns", organisation, http.MethodPatch, "/clients/" + string(s.client) + "/permissions", `{"add":["management.key.write"]}`, "", `{"remove":["management.key.write"]}`},
			{"PRIV-10 a secret of a client that holds more", organisation, http.MethodPost, "/clients/" + string(powerful.id) + "/secrets", `{"name":"mine"}`, "/clients/" + string(s.client) + "/secrets", ""},
			{"PRIV-10 a rotated secret of a client that holds more", organisation, http.MethodPost, fmt.Sprintf("/clients/%s/secrets/%s/rotate", powerful.id, powerful.secret), `{"name":"mine","ends_at":"2030-01-01T00:00:00Z"}`, fmt.Sprintf("/clients/%s/secrets/%s/rotate", s.client, s.secret), ""},
			{"PRIV-10 enabling a client that holds more", organisation, http.MethodPost, "/clients/" + string(powerful.id) + "/enable", ``, "/clients/" + string(s.client) + "/enable", ""},
			{"PRIV-10 a client of the organisation by one of an account", sandbox, http.MethodPost, "/clients", `{"owner":"organisation","name":"x"}`, "", fmt.Sprintf(`{"owner":"account","account_id":%q,"name":"x"}`, p.Sandbox)},
			{"PRIV-10 a client of the operator", organisation, http.MethodPost, "/clients", `{"owner":"operator","name":"y"}`, "", `{"owner":"organisation","name":"y"}`},
			{"PRIV-10 a client of another account", sandbox, http.MethodPost, "/clients", fmt.Sprintf(`{"owner":"account","account_id":%q,"name":"z"}`, p.Production), "", `{"owner":"account","name":"z"}`},
		} {
			t.Run(c.name, func(t *testing.T) {
				p.do(t, c.by, c.method, c.path, c.body).has(t, "it", http.StatusForbidden, "forbidden")
				t.Run("twin", func(t *testing.T) {
					path, body := c.path, c.body
					if c.twinPath != "" {
						path = c.twinPath
					}
					if c.twinBody != "" {
						body = c.twinBody
					}
					if got := p.do(t, c.by, c.method, path, body); got.status >= 300 {
						t.Errorf("%d %s", got.status, got.body)
					}
				})
			})
		}
	})
}

func TestWEB03_otherMediaTypesAreRefused(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by := p.caller(t, p.Organisation, "", p.customers...)
		path := "/organisations/" + string(p.Organisation)
		for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json5", "application/merge-patch+json", "json", ";"} {
			p.do(t, by, http.MethodPatch, path, `{"name":"A"}`, "Content-Type", media).has(t, "WEB-03 "+media, http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
		p.do(t, by, http.MethodPatch, path, `{"name":"A"}`, "Content-Type", "application/json; charset=utf-8").has(t, "twin", http.StatusOK, "")
	})
}

func TestWEB34_noOriginIsLetIn(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by := p.caller(t, p.Organisation, "", p.customers...)
		for _, origin := range []string{"null", "https://evil.example", p.URL, p.DashboardURL} {
			for _, got := range []answer{
				p.do(t, by, http.MethodGet, "/clients", "", "Origin", origin),
				p.do(t, nil, http.MethodOptions, "/clients", "", "Origin", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization"),
				p.do(t, nil, http.MethodOptions, "/openapi.json", "", "Origin", origin, "Access-Control-Request-Method", "GET"),
			} {
				for name := range got.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("WEB-34, TOK-49: an answer to %s has %s: %s", origin, name, got.header.Get(name))
					}
				}
			}
		}
		t.Run("twin", func(t *testing.T) {
			p.do(t, by, http.MethodGet, "/clients", "").has(t, "without an origin", http.StatusOK, "")
		})
	})
}

func TestIfMatchGuardsAgainstChangesAtTheSameTime(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by := p.caller(t, p.Organisation, "", p.customers...)
		path := "/clients/" + string(p.fresh(t).client)
		tag := p.do(t, by, http.MethodGet, path, "").header.Get("ETag")
		changed := p.do(t, by, http.MethodPatch, path, `{"name":"first"}`, "If-Match", tag)
		changed.has(t, "the first", http.StatusOK, "")
		p.do(t, by, http.MethodPatch, path, `{"name":"second"}`, "If-Match", tag).has(t, "the second", http.StatusPreconditionFailed, "version_stale")
		p.do(t, by, http.MethodPatch, path, `{"name":"second"}`, "If-Match", changed.header.Get("ETag")).has(t, "twin", http.StatusOK, "")
		p.do(t, by, http.MethodPatch, path, `{"name":"third"}`, "If-Match", "*").has(t, "any version", http.StatusOK, "")
		for _, bad := range []string{`"x"`, `W/"1"`, `"1", "2"`, `"1`, `0`, `-1`, ``} {
			p.do(t, by, http.MethodPatch, path, `{"name":"fourth"}`, "If-Match", bad).has(t, "If-Match: "+bad, http.StatusBadRequest, "invalid")
		}
	})
}

func TestARepeatedCreationAnswersTheSame(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by, other := p.caller(t, p.Organisation, "", p.customers...), p.caller(t, p.Organisation, "", p.customers...)
		body := fmt.Sprintf(`{"owner":"account","account_id":%q,"name":"once"}`, p.Sandbox)
		first := p.do(t, by, http.MethodPost, "/clients", body, "Idempotency-Key", "k")
		second := p.do(t, by, http.MethodPost, "/clients", body, "Idempotency-Key", "k")
		if first.status != http.StatusCreated || second.status != http.StatusCreated || first.body != second.body {
			t.Errorf("%d %s, then %d %s", first.status, first.body, second.status, second.body)
		}
		p.do(t, by, http.MethodPost, "/clients", strings.Replace(body, "once", "twice", 1), "Idempotency-Key", "k").has(t, "another body", http.StatusConflict, "idempotency_key_reused")
		p.do(t, by, http.MethodPost, "/accounts", `{"environment":"sandbox","name":"x"}`, "Idempotency-Key", "k").has(t, "another operation", http.StatusConflict, "idempotency_key_reused")
		p.do(t, other, http.MethodPost, "/clients", strings.Replace(body, "once", "by another", 1), "Idempotency-Key", "k").has(t, "another client", http.StatusCreated, "")
		for _, bad := range []string{"a b", strings.Repeat("k", 101), "é"} {
			p.do(t, by, http.MethodPost, "/clients", body, "Idempotency-Key", bad).has(t, "the key "+bad, http.StatusBadRequest, "invalid")
		}
		key := decoded[management.APIClient](t, first).ClientID
		p.do(t, by, http.MethodDelete, "/clients/"+key, "").has(t, "delete", http.StatusNoContent, "")
		p.do(t, by, http.MethodPost, "/clients", body, "Idempotency-Key", "k").has(t, "after it is gone", http.StatusConflict, "idempotency_key_reused")
	})
}

func TestSEC01_aSecretIsInTheAnswerThatCreatedItAlone(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by := p.caller(t, p.Organisation, "", p.customers...)
		s := p.fresh(t)
		path := "/clients/" + string(s.client) + "/secrets"
		made := p.do(t, by, http.MethodPost, path, `{"name":"ci"}`, "Idempotency-Key", "k")
		made.has(t, "create", http.StatusCreated, "")
		secret := decoded[management.NewSecret](t, made)
		rotated := p.do(t, by, http.MethodPost, path+"/"+secret.ID+"/rotate", `{"name":"ci","ends_at":"2030-01-01T00:00:00Z"}`)
		rotated.has(t, "rotate", http.StatusCreated, "")
		for _, a := range []answer{made, rotated} {
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control = %q", a.header.Get("Cache-Control"))
			}
		}
		again := p.do(t, by, http.MethodPost, path, `{"name":"ci"}`, "Idempotency-Key", "k")
		again.has(t, "repeat", http.StatusConflict, "secret_already_shown")
		if got := decoded[management.Problem](t, again); got.ID == nil || *got.ID != secret.ID {
			t.Errorf("the refusal %s does not name %s", again.body, secret.ID)
		}
		everything := again.body + p.Logs()
		for _, get := range []string{path, path + "/" + secret.ID, path + "/" + secret.ID + "/descendants", "/clients", "/clients/" + string(s.client), "/audit-records?limit=200", "/permissions"} {
			everything += p.do(t, by, http.MethodGet, get, "").body
		}
		for _, one := range []management.NewSecret{secret, decoded[management.NewSecret](t, rotated)} {
			random := one.ClientSecret[strings.LastIndex(one.ClientSecret, "_")+1:]
			if len(random) < 20 || strings.Contains(everything, random) {
				t.Errorf("SEC-01: the secret %s can be read again", one.ID)
			}
			if !strings.Contains(everything, one.ID) {
				t.Errorf("twin: the id of the secret %s was not found either", one.ID)
			}
		}
	})
}

func TestClientsOfTheOperatorAreAnsweredOnTheirListenerAlone(t *testing.T) {
	p := seeded(t, servertest.Start(t, servertest.OperatorsApart))
	operator, customer := p.caller(t, "", "", p.permissions...), p.caller(t, p.Organisation, "", p.customers...)
	public := p.URL
	for _, path := range []string{"/clients", "/organisations", "/signing-keys", "/products", "/audit-records"} {
		p.URL = public
		p.do(t, operator, http.MethodGet, path, "").has(t, path+" on the API listener", http.StatusForbidden, "forbidden")
		p.URL = p.OperatorURL
		p.do(t, operator, http.MethodGet, path, "").has(t, "twin "+path, http.StatusOK, "")
	}
	p.URL = public
	p.do(t, customer, http.MethodGet, "/clients", "").has(t, "a customer on the API listener", http.StatusOK, "")
	p.URL = p.OperatorURL
	if got := p.call(t, customer.token, "/echo/hello"); got != http.StatusNotFound {
		t.Errorf("a product on the operator's listener answers %d", got)
	}
	token, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.OperatorURL+"/auth/open/connect/token", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := p.httpClient.Do(token)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		t.Error("the token service does not answer on the operator's listener")
	}
}

func TestOnlyAProductOfTheOperatorsOwnIsChanged(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by := p.caller(t, "", "", p.permissions...)
		for key, want := range map[string]int{"echo": http.StatusConflict, "management": http.StatusBadRequest} {
			p.do(t, by, http.MethodPut, "/products/"+key+"/routes", `{"method":"GET","path":"/x","public":true}`).has(t, key, want, "")
		}
		p.do(t, by, http.MethodPut, "/products/new", `{"name":"New","prefix":"/new","permissions":[{"key":"new.read"}],"routes":[{"method":"GET","path":"/","permissions":[["new.read"]]}],"upstreams":{"sandbox":"http://127.0.0.1:9"}}`).has(t, "twin", http.StatusOK, "")
		got := decoded[management.Product](t, p.do(t, by, http.MethodGet, "/products/new", ""))
		if got.Version != 1 || got.Source != management.SourceManaged || len(got.Routes) != 1 {
			t.Errorf("the product is %+v", got)
		}
		customer := p.caller(t, p.Organisation, "", p.customers...)
		if seen := p.do(t, customer, http.MethodGet, "/products/new", ""); strings.Contains(seen.body, "127.0.0.1:9") {
			t.Errorf("a customer sees the upstream: %s", seen.body)
		}
	})
}

// Statements stay few, however much there is.
func TestARequestAsksTheDatabaseSeldom(t *testing.T) {
	p := start(t, "sqlite")
	by := p.caller(t, p.Organisation, "", p.customers...)
	s := p.fresh(t)
	var edits []registry.Edit
	for i := range 300 {
		edits = append(edits, registry.CreateAccount{ID: id.NewAccount(rand.Reader, id.Sandbox), Name: fmt.Sprint("many ", i)})
	}
	if err := p.Server.Registry().Apply(t.Context(), actor.NewSystem("test").In(p.Organisation), edits...); err != nil {
		t.Fatal(err)
	}
	p.refresh(t)
	for path, most := range map[string]uint64{
		"/clients?limit=200": 1, "/accounts?limit=200": 1, "/audit-records?limit=200": 1, "/products": 2, "/permissions": 2,
		"/clients/" + string(s.client): 1, "/clients/" + string(s.client) + "/secrets": 2, "/organisations/" + string(p.Organisation): 1, "/openapi.json": 0,
	} {
		p.do(t, by, http.MethodGet, path, "").has(t, path, http.StatusOK, "")
		least := ^uint64(0)
		for range 5 { // jobs ask in between: the least of some is the request's own
			before := p.Server.Statements()
			p.do(t, by, http.MethodGet, path, "")
			least = min(least, p.Server.Statements()-before)
		}
		if least > most {
			t.Errorf("%s runs %d statements, want %d at most", path, least, most)
		}
	}
}

func TestRequestsAreAskedByOneClientAndDecidedByAnother(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		s := p.fresh(t)
		asks := []string{"management.request.write", "management.account.read", "management.client.read"}
		pipeline := p.caller(t, p.Organisation, "", asks...)
		approver := p.caller(t, p.Organisation, "", append(asks, "management.permission.write", "management.client.write", "management.account.write")...)
		ask := func(changes string) answer {
			return p.do(t, pipeline, http.MethodPost, "/requests", `{"note":"for the release","changes":[`+changes+`]}`)
		}
		client := `"client_id":"` + string(s.client) + `"`
		for name, change := range map[string]string{
			"a member of another change": `{"action":"client.disable",` + client + `,"permissions":["echo.call"]}`, "a member that is missing": `{"action":"client.permissions.add",` + client + `}`,
			"an unknown action": `{"action":"secret.create",` + client + `}`, "no action": `{` + client + `}`, "an unknown member": `{"action":"client.disable",` + client + `,"force":true}`,
			"no such environment": `{"action":"account.create","environment":"staging","name":"x"}`, "lifetime 0": `{"action":"client.create","name":"x","token_lifetime":0}`,
			"an id of its own choice": `{"action":"client.create","name":"x",` + client + `}`, "nothing": `{"action":"client.update",` + client + `}`, "a version alone": `{"action":"client.update",` + client + `,"version":1}`, "a network": `{"action":"client.update",` + client + `,"networks":["all"]}`,
		} {
			got := ask(change)
			got.has(t, name, http.StatusBadRequest, "invalid")
		}
		ask(`{"action":"client.disable","client_id":"sandbox-none-apple-123"}`).has(t, "an unknown client", http.StatusNotFound, "")
		all := []string{
			`{"action":"client.create","account_id":"` + string(s.account) + `","name":"asked for","token_lifetime":60,"networks":["192.0.2.0/24"],"note":"n"}`,
			`{"action":"client.update",` + client + `,"name":"renamed","networks":[],"token_lifetime":30,"contact_id":"","note":"n"}`,
			`{"action":"client.permissions.add",` + client + `,"permissions":["echo.call"]}`, `{"action":"client.permissions.remove",` + client + `,"permissions":["echo.call"]}`,
			`{"action":"secret.disable",` + client + `,"secret_id":"` + string(s.secret) + `"}`, `{"action":"secret.enable",` + client + `,"secret_id":"` + string(s.secret) + `"}`,
			`{"action":"client.disable",` + client + `}`, `{"action":"client.enable",` + client + `}`,
			`{"action":"account.create","environment":"sandbox","name":"asked for"}`, `{"action":"account.rename","account_id":"` + string(s.account) + `","name":"asked for too"}`,
		}
		made := ask(strings.Join(all, ","))
		made.has(t, "twin", http.StatusCreated, "")
		r := decoded[management.Request](t, made)
		if len(r.Changes) != len(all) || r.RequestedBy != "client:"+string(pipeline.id) || r.State != "pending" {
			t.Fatalf("%s", made.body)
		}
		for i, change := range r.Changes {
			var asked, shown map[string]any
			if text, err := json.Marshal(change); err != nil || json.Unmarshal(text, &shown) != nil || json.Unmarshal([]byte(all[i]), &asked) != nil {
				t.Fatal(err)
			}
			for name, value := range asked {
				if diff := cmp.Diff(value, shown[name]); diff != "" && fmt.Sprint(value) != "[]" {
					t.Errorf("%s of %s: %s", name, all[i], diff)
				}
			}
		}
		p.addPeople(t, &s)
		offered := sold()
		offered.Upstreams[id.Production] = "http://127.0.0.1:9"
		p.Apply(registry.PutProduct{Definition: offered, Source: registry.Managed})
		person := `"person_id":"` + string(s.person) + `"`
		for _, changes := range []string{
			`{"action":"member.roles",` + person + `,"roles":[{"role":"viewer"}]},{"action":"member.remove",` + person + `}`,
			`{"action":"secret.revoke",` + client + `,"secret_id":"` + string(s.secret) + `","with_descendants":true},{"action":"client.delete",` + client + `}`,
			`{"action":"product.grant","environment":"production","product":"` + soldKey + `"}`,
		} {
			got := ask(changes)
			got.has(t, changes, http.StatusCreated, "")
			for part := range strings.SplitSeq(strings.Trim(changes, "{}"), "},{") {
				if !strings.Contains(got.body, part[:strings.LastIndex(part, ",")]) {
					t.Errorf("asked for %s, shown %s", part, got.body)
				}
			}
		}
		path := "/requests/" + r.ID
		p.do(t, pipeline, http.MethodPost, path+"/approve", "").has(t, "PRIV-02 its own", http.StatusForbidden, "forbidden")
		p.do(t, approver, http.MethodPost, path+"/withdraw", "").has(t, "another's", http.StatusForbidden, "forbidden")
		p.do(t, approver, http.MethodPost, path+"/approve", "").has(t, "PRIV-01 without the right to change secrets", http.StatusForbidden, "forbidden")
		p.do(t, approver, http.MethodPost, path+"/decline", `{"reason":"too much"}`).has(t, "declined", http.StatusOK, "")
		p.do(t, approver, http.MethodPost, path+"/approve", "").has(t, "late", http.StatusConflict, "")
		second := decoded[management.Request](t, ask(all[0]+","+all[2]))
		p.do(t, approver, http.MethodPost, "/requests/"+second.ID+"/approve", "").has(t, "twin", http.StatusOK, "")
		p.do(t, approver, http.MethodGet, "/clients/"+*second.Changes[0].ClientID, "").has(t, "the new client", http.StatusOK, "")
		if held := p.do(t, approver, http.MethodGet, "/clients/"+string(s.client)+"/permissions", "").body; !strings.Contains(held, "echo.call") {
			t.Errorf("it holds %s", held)
		}
		stale := decoded[management.Request](t, ask(all[2]))
		p.Apply(registry.SetClientState{Client: s.client, State: registry.Disabled})
		p.do(t, approver, http.MethodPost, "/requests/"+stale.ID+"/approve", "").has(t, "based on another version", http.StatusPreconditionFailed, "version_stale")
		p.do(t, pipeline, http.MethodPost, "/requests/"+stale.ID+"/withdraw", "").has(t, "withdrawn", http.StatusOK, "")
		list := decoded[management.RequestList](t, p.do(t, pipeline, http.MethodGet, "/requests?own=true", ""))
		if len(list.Items) != 6 || list.Items[0].State != "withdrawn" || *list.Items[5].Reason != "too much" {
			t.Errorf("%+v", list.Items)
		}
	})
}
