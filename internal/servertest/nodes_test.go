//go:build linux

package servertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/management"
)

func named(name string) func(*server.Config) {
	return func(c *server.Config) { c.NodeName = name }
}

// operatorToken is an access token of a client of the operator.
func operatorToken(t *testing.T, p *servertest.Platform, permissions ...string) string {
	t.Helper()
	return token(t, p.URL, operatorClient(t, p, permissions...))
}

func operatorClient(t *testing.T, p *servertest.Platform, permissions ...string) servertest.Client {
	t.Helper()
	r, by := p.Server.Registry(), actor.NewSystem("test")
	key, err := r.CreateClient(t.Context(), by, registry.NewClient{Name: "operator"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(t.Context(), by, registry.AddPermissions{Client: key, Permissions: permissions}); err != nil {
		t.Fatal(err)
	}
	public, value, err := r.AddSecret(t.Context(), by, key, "first", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return servertest.Client{ID: key, Secret: public, Value: value.Reveal()}
}

// nodes asks the management API where a revision is in force; 0: the newest.
func nodes(t *testing.T, p *servertest.Platform, accessToken string, revision int64) (list management.NodeList) {
	t.Helper()
	query := ""
	if revision != 0 {
		query = fmt.Sprint("?revision=", revision)
	}
	a := get(t, p.OperatorURL+"/management/v1/nodes"+query, accessToken)
	if a.status != http.StatusOK {
		t.Fatalf("nodes = %d %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// spread waits until everything that was committed is in force on that many nodes.
func spread(t *testing.T, p *servertest.Platform, accessToken string, count int) {
	t.Helper()
	revision := nodes(t, p, accessToken, 0).Revision
	eventually(t, "the change on all nodes", func() bool {
		list := nodes(t, p, accessToken, revision)
		return list.InForce == count && len(list.Items) == count
	})
}

// keeping makes requests on connections that it keeps.
func keeping(t *testing.T) *http.Client {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// ask returns the status of a token request; 0 is no answer. It comes from an
// address of its own: what is refused many times is throttled by its address.
func ask(t *testing.T, client *http.Client, p *servertest.Platform, c servertest.Client) (status int, accessToken string) {
	t.Helper()
	form := credentials(c)
	form.Set("grant_type", "client_credentials")
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, p.TokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", mathrand.IntN(256), mathrand.IntN(256), mathrand.IntN(256)))
	response, err := client.Do(r)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	_, rest, _ := strings.Cut(string(body), `"access_token":"`)
	accessToken, _, _ = strings.Cut(rest, `"`)
	return response.StatusCode, accessToken
}

// Revoked here, used there: once the nodes are said to know, none of them
// accepts what was revoked.
func TestWhatIsSaidToBeInForceOnAllNodesIs(t *testing.T) {
	t.Parallel()
	for name, pollOnly := range map[string]bool{"with notifications": false, "by the poll alone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withPostgres(t, func(t *testing.T, database *url.URL) {
				here := servertest.Start(t, servertest.On(database.String()), named("a"), func(c *server.Config) { c.PollOnly = pollOnly })
				there := here.Node(named("b"))
				operator := operatorToken(t, here, "management.node.read")
				for range 3 {
					revokeHereUseThere(t, here, there, operator, 20)
				}
			})
		})
	}
}

func revokeHereUseThere(t *testing.T, here, there *servertest.Platform, operator string, count int) {
	t.Helper()
	clients, tokens := make([]servertest.Client, count), make([]string, count)
	for i := range clients {
		clients[i] = here.NewClient("echo.call")
	}
	spread(t, here, operator, 2)
	for i, c := range clients {
		tokens[i] = token(t, there.URL, c)
		if a := get(t, there.URL+"/echo/x", tokens[i]); a.status != http.StatusOK {
			t.Fatalf("twin: before the revocation the call gets %d %s", a.status, a.body)
		}
	}
	var revoking sync.WaitGroup
	for _, c := range clients {
		revoking.Go(func() {
			edit := registry.SetSecretState{Client: c.ID, Secret: c.Secret, State: registry.SecretRevoked}
			if err := here.Server.Registry().Apply(t.Context(), here.Operator(), edit); err != nil {
				t.Error(err)
			}
		})
	}
	revoking.Wait()
	acknowledged := time.Now()
	spread(t, here, operator, 2)
	t.Logf("%d revocations were in force on both nodes after %s; published: 2s", count, time.Since(acknowledged).Round(time.Millisecond))
	for i, c := range clients {
		if a := get(t, there.URL+"/echo/x", tokens[i]); a.status != http.StatusUnauthorized {
			t.Errorf("the call with a token of a revoked secret gets %d %s", a.status, a.body)
		}
		if a := issue(t, there.URL, c); a.status != http.StatusUnauthorized {
			t.Errorf("a revoked secret gets %d %s", a.status, a.body)
		}
	}
}

func TestANodeThatIsCutOffFromTheDatabaseIsNamed(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		hole := newFaultyProxy(t, database.Host)
		through := *database
		through.Host = hole.listener.Addr().String()
		short := func(c *server.Config) { c.StaleLimit = 5 * time.Second }
		here := servertest.Start(t, servertest.On(database.String()), named("a"), short)
		there := here.Node(named("b"), servertest.On(through.String()))
		operator := operatorToken(t, here, "management.node.read")
		c := here.NewClient("echo.call")
		spread(t, here, operator, 2)
		accessToken := token(t, there.URL, c)
		hole.gate.Lock()
		open := sync.OnceFunc(hole.gate.Unlock)
		t.Cleanup(open)
		here.Apply(registry.SetClientState{Client: c.ID, State: registry.Disabled})
		revision := nodes(t, here, operator, 0).Revision
		var list management.NodeList
		eventually(t, "the report of the node that is cut off", func() bool {
			list = nodes(t, here, operator, revision)
			return list.InForce == 1 && slices.ContainsFunc(list.Items, func(n management.Node) bool { return n.Name == "b" && n.Silent && n.StopsBy != nil })
		})
		eventually(t, "its refusal of everything", func() bool { return nodes(t, here, operator, revision).InForce == 2 })
		if a := get(t, there.URL+"/echo/x", accessToken); a.status == http.StatusOK {
			t.Errorf("the node that is said to refuse everything answers %d", a.status)
		}
		if a := get(t, here.URL+"/echo/x", token(t, here.URL, here.NewClient("echo.call"))); a.status != http.StatusOK {
			t.Errorf("twin: the node that reaches the database answers %d %s", a.status, a.body)
		}
		open()
		eventually(t, "its return", func() bool {
			list := nodes(t, here, operator, 0)
			return list.InForce == 2 && !slices.ContainsFunc(list.Items, func(n management.Node) bool { return n.Silent })
		})
		if a := get(t, there.URL+"/echo/x", accessToken); a.status != http.StatusUnauthorized {
			t.Errorf("after its return the node answers the disabled client %d %s", a.status, a.body)
		}
	})
}
