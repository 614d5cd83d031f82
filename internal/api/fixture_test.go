package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/management"
)

// platform is a running server with two organisations and callers of all kinds.
type platform struct {
	*servertest.Platform
	other        id.Organisation // the fixture's own is A, this is B
	otherAccount id.Account
	permissions  []string // that the management API has
	customers    []string // those that customers may give
	httpClient   *http.Client
}

// caller is an API client that calls the management API.
type caller struct {
	id     id.Client
	secret id.Secret
	token  string
}

func each(t *testing.T, test func(t *testing.T, p *platform)) {
	t.Helper()
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, engine))
		})
	}
}

func start(t testing.TB, engine string) *platform {
	t.Helper()
	return seeded(t, servertest.Start(t, servertest.On(sqldbtest.Migrated(t, engine))))
}

func seeded(t testing.TB, running *servertest.Platform) *platform {
	t.Helper()
	p := &platform{Platform: running, httpClient: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(p.httpClient.CloseIdleConnections)
	r := p.Server.Registry()
	var err error
	if p.other, err = r.CreateOrganisation(t.Context(), actor.NewSystem("test"), "B"); err != nil {
		t.Fatal(err)
	}
	if p.otherAccount, err = r.CreateAccount(t.Context(), actor.NewSystem("test").In(p.other), id.Production, "B"); err != nil {
		t.Fatal(err)
	}
	product, err := r.Product(t.Context(), actor.NewSystem("test"), registry.ManagementKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, permission := range product.Definition.Permissions {
		p.permissions = append(p.permissions, permission.Key)
		if permission.Assignable == registry.ByCustomer {
			p.customers = append(p.customers, permission.Key)
		}
	}
	return p
}

// caller makes a client of an account, of an organisation (no account) or of
// the operator (neither), with a token.
func (p *platform) caller(t testing.TB, organisation id.Organisation, account id.Account, permissions ...string) *caller {
	t.Helper()
	r, by := p.Server.Registry(), actor.NewSystem("test").In(organisation)
	key, err := r.CreateClient(t.Context(), by, registry.NewClient{Account: account, Name: "caller " + strings.Join(permissions, " ")[:min(100, len(strings.Join(permissions, " ")))] + time.Now().String()})
	if err != nil {
		t.Fatal(err)
	}
	if len(permissions) > 0 {
		if err := r.Apply(t.Context(), by, registry.AddPermissions{Client: key, Permissions: permissions}); err != nil {
			t.Fatal(err)
		}
	}
	public, value, err := r.AddSecret(t.Context(), by, key, "first", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	p.refresh(t)
	token, err := p.Source(servertest.Client{ID: key, Secret: public, Value: value.Reveal()}).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &caller{key, public, token}
}

func (p *platform) refresh(t testing.TB) {
	t.Helper()
	if err := p.Server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// client is the generated client for a caller.
func (p *platform) client(t testing.TB, by *caller) *management.ClientWithResponses {
	t.Helper()
	c, err := management.NewClientWithResponses(p.URL+"/management/v1", management.WithHTTPClient(p.httpClient),
		management.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+by.token)
			return nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; header is pairs of name and value.
func (p *platform) do(t testing.TB, by *caller, method, path, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.URL+"/management/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if by != nil {
		r.Header.Set("Authorization", "Bearer "+by.token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := p.httpClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

func (a answer) has(t testing.TB, what string, status int, code string) {
	t.Helper()
	if a.status != status || code != "" && !strings.Contains(a.body, `"code":"`+code+`"`) {
		t.Errorf("%s: %d %s, want %d %s", what, a.status, a.body, status, code)
	}
}
