package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// credentials is DIR/dev-credentials.json: what a script needs to use the
// sample client, and to sign in to the Dashboard.
type credentials struct {
	APIURL            string          `json:"api_url"`
	TokenURL          string          `json:"token_url"`
	Issuer            string          `json:"issuer"`
	DashboardURL      string          `json:"dashboard_url"`
	OpsURL            string          `json:"ops_url"`
	Organisation      id.Organisation `json:"organisation_id"`
	Account           id.Account      `json:"account_id"`
	ProductionAccount id.Account      `json:"production_account_id"`
	Client            id.Client       `json:"client_id"`
	ClientSecret      string          `json:"client_secret"`
	Email             string          `json:"dashboard_email"`
	Password          string          `json:"dashboard_password"`
	OperatorEmail     string          `json:"operator_email"`
	OperatorPassword  string          `json:"operator_password"`
}

// seed makes the sample organisation, accounts, client and person, unless an
// earlier start did, and gives the client the permissions of --upstream products.
func (d *dev) seed(ctx context.Context, s *server.Server, config server.Config, opsURL string, own []registry.Definition) (*credentials, error) {
	path := filepath.Join(d.folder, "dev-credentials.json")
	c, err := readCredentials(path)
	if err != nil {
		return nil, err
	}
	system := actor.NewSystem("dev")
	if c != nil {
		_, err = s.Registry().Client(ctx, system.In(c.Organisation), c.Client)
		if fault.KindOf(err) == fault.NotFound {
			c = nil // of another database
		} else if err != nil {
			return nil, err
		}
	}
	if c == nil {
		if c, err = newSample(ctx, s.Registry(), system); err != nil {
			return nil, fmt.Errorf("make the sample client: %w", err)
		}
	}
	if err := c.addPeople(ctx, s, system); err != nil {
		return nil, fmt.Errorf("make the sample people: %w", err)
	}
	if err := addOwn(ctx, s.Registry(), system.In(c.Organisation), c.Client, own); err != nil {
		return nil, err
	}
	c.APIURL, c.DashboardURL, c.OpsURL = config.PublicURL, config.DashboardURL, opsURL
	c.Issuer = config.PublicURL + "/auth/open"
	c.TokenURL = c.Issuer + "/connect/token"
	return c, c.write(path)
}

func readCredentials(path string) (*credentials, error) {
	text, err := os.ReadFile(path) //nolint:gosec // G304: in the folder that the user names
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none yet
	}
	if err != nil {
		return nil, err
	}
	c := &credentials{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w; delete it to get a new sample client", path, err)
	}
	return c, nil
}

// write replaces the file as a whole, for its owner alone.
func (c *credentials) write(path string) error {
	text, err := json.MarshalIndent(c, "", "  ") //nolint:gosec // G117: the sample client's secret belongs in this file, mode 0600
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func newSample(ctx context.Context, r *registry.Registry, system actor.Actor) (c *credentials, err error) {
	c = &credentials{}
	if c.Organisation, err = r.CreateOrganisation(ctx, system, "Sample organisation"); err != nil {
		return nil, err
	}
	by := system.In(c.Organisation)
	if c.Account, err = r.CreateAccount(ctx, by, id.Sandbox, "Sandbox"); err != nil {
		return nil, err
	}
	if c.ProductionAccount, err = r.CreateAccount(ctx, by, id.Production, "Production"); err != nil {
		return nil, err
	}
	if c.Client, err = r.CreateClient(ctx, by, registry.NewClient{Account: c.Account, Name: "Sample client"}); err != nil {
		return nil, err
	}
	err = r.Apply(ctx, by, registry.AddPermissions{Client: c.Client, Permissions: []string{"auth.sessions.create", "auth.sessions.read"}})
	if err != nil {
		return nil, err
	}
	_, value, err := r.AddSecret(ctx, by, c.Client, "doorward dev", time.Time{})
	c.ClientSecret = value.Reveal()
	return c, err
}

// addPeople makes the person who administers the sample organisation, and the
// one who works for the operator.
func (c *credentials) addPeople(ctx context.Context, s *server.Server, system actor.Actor) (err error) {
	if c.Email == "" {
		c.Email = "ada@example.com"
		c.Password, err = addPerson(ctx, s, system.In(c.Organisation), c.Email, "Ada Lovelace", actor.OrganisationAdmin)
	}
	if err == nil && c.OperatorEmail == "" {
		c.OperatorEmail = "grace@example.com"
		c.OperatorPassword, err = addPerson(ctx, s, system, c.OperatorEmail, "Grace Hopper", actor.OperatorAdmin)
	}
	return err
}

func addPerson(ctx context.Context, s *server.Server, by actor.Actor, email, name string, role actor.Role) (password string, err error) {
	password = rand.Text()
	person, err := s.People().PreparePerson(ctx, email, name, secret.NewPlaintext(password))
	if err != nil {
		return "", err
	}
	return password, s.Registry().Apply(ctx, by, person, registry.AddMember{Person: person.ID, Roles: []actor.RoleGrant{{Role: role}}})
}

// addOwn gives the sample client what the products of --upstream ask for.
func addOwn(ctx context.Context, r *registry.Registry, by actor.Actor, client id.Client, own []registry.Definition) error {
	var wanted []string
	for _, product := range own {
		for _, permission := range product.Permissions {
			wanted = append(wanted, permission.Key)
		}
	}
	held, err := r.Permissions(ctx, by, client)
	if err != nil || len(wanted) == 0 || containsAll(held, wanted) {
		return err
	}
	return r.Apply(ctx, by, registry.AddPermissions{Client: client, Permissions: wanted})
}

func containsAll(held, wanted []string) bool {
	set := map[string]bool{}
	for _, permission := range held {
		set[permission] = true
	}
	for _, permission := range wanted {
		if !set[permission] {
			return false
		}
	}
	return true
}

// welcome is what dev prints when it is ready. Its commands work as they
// stand in bash and zsh, which takes no comments at its prompt.
func (c *credentials) welcome(folder string, own []registry.Definition) string {
	var b strings.Builder
	fmt.Fprintf(&b, `Doorward is ready.

  API        %s
  Dashboard  %s — sign in as %s with the password %s
             and at /operator, where the operator works, as %s with the password %s
  Operations %s/readyz
  Files      %s (credentials of the sample client and people: dev-credentials.json)
  Operator   doorward operator client create --data-dir %s -o json | doorward login --url %s --client-secret-stdin

The client %s may create and read sessions of the product
Authentication, and may not call Echo. Paste into another terminal:

TOKEN=$(curl -s %s -d grant_type=client_credentials -d client_id=%s -d client_secret=%s | sed -E 's/.*"access_token":"([^"]*)".*/\1/') && echo "$TOKEN"
curl -s -w '\nHTTP %%{http_code}\n' -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"flow":"redirect"}' '%s/auth/rest/sessions?signicat-accountId=%s'
curl -s -w '\nHTTP %%{http_code}\n' -H "Authorization: Bearer $TOKEN" '%s/echo/hello'
`, c.APIURL, c.DashboardURL, c.Email, c.Password, c.OperatorEmail, c.OperatorPassword, c.OpsURL, folder, folder, c.APIURL, c.Client, c.TokenURL, c.Client, c.ClientSecret, c.APIURL, c.Account, c.APIURL)
	for _, product := range own {
		fmt.Fprintf(&b, "curl -s -w '\\nHTTP %%{http_code}\\n' -H \"Authorization: Bearer $TOKEN\" '%s%s/'\n", c.APIURL, product.Prefix)
	}
	b.WriteString("\nStop with Ctrl-C.\n")
	return b.String()
}
