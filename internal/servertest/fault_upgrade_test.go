//go:build linux && faults

package servertest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/demo"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// program is the path of a built doorward.
type program string

func build(t *testing.T, source, name string) program {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	command := exec.CommandContext(t.Context(), "go", "build", "-o", out, "./cmd/doorward")
	command.Dir = source
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, said)
	}
	return program(out)
}

// installation is what the servers of a test share.
type installation struct {
	t        *testing.T
	folder   string
	database *url.URL
	echo     string

	operator servertest.Client
	account  string

	using sync.RWMutex // read-locked while a request is under way
	nodes []*node      // that get traffic
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	database, err := url.Parse(sqldbtest.URL(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	echo := httptest.NewServer(demo.NewEcho(""))
	t.Cleanup(echo.Close)
	i := &installation{t: t, folder: t.TempDir(), database: database, echo: echo.URL}
	if _, err := secret.CreateKeyEncryptionKey(filepath.Join(i.folder, "key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return i
}

// configuration writes that of a node, and returns its path.
func (i *installation) configuration(name, databaseHost string) string {
	i.t.Helper()
	database := *i.database
	database.Host = databaseHost
	path := filepath.Join(i.folder, name+".yaml")
	text := fmt.Sprintf(`public_url: http://127.0.0.1:1
node_name: %s
database: %q
stale_limit: 5s
api_listen: 127.0.0.1:0
dashboard_listen: 127.0.0.1:0
ops_listen: 127.0.0.1:0
management_listen: 127.0.0.1:0
access_log: "off"
issuing_limit: {per_second: 0}
key_encryption_key: {file: %q}
products:
  - key: echo
    name: Echo
    prefix: /echo
    visibility: published
    sandbox_access: open
    production_access: open
    upstreams: {sandbox: %q, production: %q}
    permissions: [{key: echo.call, description: Call it., assignable: customer}]
    routes: [{method: "*", path: "/{path...}", permissions: [[echo.call]]}]
`, name, &database, filepath.Join(i.folder, "key"), i.echo, i.echo)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

// run runs a command to its end.
func (i *installation) run(b program, args ...string) (string, error) {
	args = append(args, "--config", i.configuration("command", i.database.Host))
	out, err := exec.CommandContext(i.t.Context(), string(b), args...).CombinedOutput()
	return string(out), err
}

func (i *installation) must(b program, args ...string) string {
	i.t.Helper()
	out, err := i.run(b, args...)
	if err != nil {
		i.t.Fatalf("doorward %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// node is a running server.
type node struct {
	name    string
	url     string // of the API domain
	process *exec.Cmd
	said    bytes.Buffer
	ended   chan error
}

// start starts a server, whose process ends with the test at the latest. A
// server that does not come to serving has an empty url.
func (i *installation) start(b program, name, databaseHost string) *node {
	i.t.Helper()
	n := &node{name: name, ended: make(chan error, 1)}
	n.process = exec.CommandContext(context.WithoutCancel(i.t.Context()), string(b), "serve", "--config", i.configuration(name, databaseHost))
	log, err := n.process.StderrPipe()
	if err == nil {
		err = n.process.Start()
	}
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = n.process.Process.Kill() })
	serving := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(io.TeeReader(log, &n.said))
		for lines.Scan() {
			var line struct{ Msg, API string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				serving <- "http://" + line.API
			}
		}
		close(serving)
		n.ended <- n.process.Wait()
	}()
	n.url = <-serving
	return n
}

// end waits for the end of a server that ends by itself.
func (n *node) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-n.ended:
		return err
	case <-time.After(time.Minute):
		_ = n.process.Process.Kill()
		t.Errorf("%s did not end within a minute", n.name)
		return <-n.ended
	}
}

// add starts a server that gets traffic.
func (i *installation) add(b program, name string) {
	i.t.Helper()
	n := i.start(b, name, i.database.Host)
	if n.url == "" {
		i.t.Fatalf("%s does not start: %v\n%s", name, <-n.ended, &n.said)
	}
	i.using.Lock()
	defer i.using.Unlock()
	i.nodes = append(i.nodes, n)
}

// remove ends a server once it gets no more traffic.
func (i *installation) remove(name string, how syscall.Signal) {
	i.t.Helper()
	i.using.Lock()
	at := slices.IndexFunc(i.nodes, func(n *node) bool { return n.name == name })
	n := i.nodes[at]
	i.nodes = slices.Delete(i.nodes, at, at+1)
	i.using.Unlock()
	if err := n.process.Process.Signal(how); err != nil {
		i.t.Fatal(err)
	}
	if err := <-n.ended; err != nil && how == syscall.SIGTERM {
		i.t.Errorf("%s stopped with %v\n%s", name, err, &n.said)
	}
}

// manage makes a request of the management API as the operator.
func (i *installation) manage(n *node, method, path string, body any) map[string]any {
	i.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		i.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(i.t.Context(), method, n.url+"/management/v1"+path, bytes.NewReader(text))
	if err != nil {
		i.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token(i.t, n.url, i.operator))
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode >= 300 {
		i.t.Fatalf("%s %s on %s = %d %v", method, path, n.name, response.StatusCode, answer)
	}
	return answer
}

// newClient makes a client on one server.
func (i *installation) newClient(n *node) servertest.Client {
	i.t.Helper()
	made := i.manage(n, "POST", "/clients", map[string]any{"owner": "account", "account_id": i.account, "name": rand.Text()})
	path := "/clients/" + made["client_id"].(string)
	i.manage(n, "PATCH", path+"/permissions", map[string]any{"add": []string{"echo.call"}})
	added := i.manage(n, "POST", path+"/secrets", map[string]any{"name": "first"})
	return servertest.Client{ID: id.Client(made["client_id"].(string)), Secret: id.Secret(added["id"].(string)), Value: added["client_secret"].(string)}
}

// check makes a client on each server, uses it on every other, revokes it there
// and sees it refused everywhere.
func (i *installation) check() {
	i.t.Helper()
	for at, here := range i.nodes {
		there := i.nodes[(at+1)%len(i.nodes)]
		c := i.newClient(here)
		for _, n := range i.nodes {
			eventually(i.t, "the client of "+here.name+" gets tokens on "+n.name, func() bool { return issue(i.t, n.url, c).status == http.StatusOK })
		}
		accessToken := token(i.t, here.url, c)
		for _, n := range i.nodes {
			if a := get(i.t, n.url+"/echo/x", accessToken); a.status != http.StatusOK {
				i.t.Errorf("the call with a token of %s gets %d %s on %s", here.name, a.status, a.body, n.name)
			}
		}
		i.manage(there, "POST", "/clients/"+string(c.ID)+"/secrets/"+string(c.Secret)+"/revoke", map[string]any{})
		for _, n := range i.nodes {
			eventually(i.t, "what "+there.name+" revoked is refused on "+n.name, func() bool {
				return issue(i.t, n.url, c).status == http.StatusUnauthorized && get(i.t, n.url+"/echo/x", accessToken).status == http.StatusUnauthorized
			})
		}
	}
}

// traffic gets a token and makes a call on each server in turn until stop is
// called, which returns how many it made. Each must succeed.
func (i *installation) traffic(c servertest.Client) (stop func() int) {
	ctx, cancel := context.WithCancel(i.t.Context())
	var running sync.WaitGroup
	count := 0
	running.Go(func() {
		for ctx.Err() == nil {
			i.using.RLock()
			n := i.nodes[count%len(i.nodes)]
			a := issue(i.t, n.url, c)
			if a.status == http.StatusOK {
				a = get(i.t, n.url+"/echo/x", token(i.t, n.url, c))
			}
			if a.status != http.StatusOK {
				i.t.Errorf("meanwhile %s answers %d %s", n.name, a.status, a.body)
			}
			i.using.RUnlock()
			count++
			<-time.After(5 * time.Millisecond) // let others lock
		}
	})
	return func() int { cancel(); running.Wait(); return count }
}

func (i *installation) oldestBinary() (oldest int64) {
	i.t.Helper()
	err := i.open().View(i.t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(i.t.Context(), `SELECT oldest_binary FROM installation WHERE id = 1`).Scan(&oldest)
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return oldest
}

func (i *installation) open() *sqldb.DB {
	i.t.Helper()
	db, err := sqldb.Open(i.t.Context(), sqldb.Config{URL: i.database.String(), MaxConns: 1})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = db.Close() })
	return db
}

// An upgrade as docs/operating.md tells it, from the newest commit whose schema is
// older than today's: nothing fails meanwhile.
func TestServersOfOldAndNewBinariesWorkSideBySide(t *testing.T) {
	t.Parallel()
	if !slices.Contains(sqldbtest.Engines(), "postgres") {
		return
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	commit, knows, err := commitBefore(t.Context(), root, sqldb.Schema())
	if err != nil {
		t.Fatal(err)
	}
	source := worktree(t, root, commit)
	before, today := build(t, source, "before"), build(t, root, "today")
	i := newInstallation(t)

	i.must(before, "migrate")
	i.add(before, "a")
	i.add(before, "b")
	var made struct {
		ID     id.Client `json:"client_id"`
		Secret string    `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(i.must(before, "operator", "client", "create", "-o", "json")), &made); err != nil {
		t.Fatal(err)
	}
	i.operator = servertest.Client{ID: made.ID, Value: made.Secret}
	organisation := i.manage(i.nodes[0], "POST", "/organisations", map[string]any{"name": "Test"})["id"]
	i.account = i.manage(i.nodes[0], "POST", "/accounts", map[string]any{"organisation_id": organisation, "environment": "sandbox", "name": "Sandbox"})["id"].(string)
	c := i.newClient(i.nodes[0])
	eventually(t, "the client on both nodes", func() bool { return issue(t, i.nodes[1].url, c).status == http.StatusOK })
	stop := i.traffic(c)
	i.check()

	first := i.must(today, "migrate")
	if i.oldestBinary() > knows {
		t.Fatalf("the schema was contracted under servers that know migration %d:\n%s", knows, first)
	}
	i.check()
	i.remove("b", syscall.SIGTERM)
	i.add(today, "b")
	i.check()
	i.remove("a", syscall.SIGKILL)
	i.add(before, "a")
	i.check()
	again := i.must(today, "migrate")

	hole := newFaultyProxy(t, i.database.Host)
	cutOff := i.start(before, "c", hole.listener.Addr().String())
	if a := issue(t, cutOff.url, c); a.status != http.StatusOK {
		t.Fatalf("the server that is to be cut off answers %d %s", a.status, a.body)
	}
	hole.gate.Lock()
	i.remove("a", syscall.SIGTERM)
	i.add(today, "a")
	i.check()
	var last string
	eventually(t, "the end of all leases of old servers", func() bool {
		last = i.must(today, "migrate")
		return last == "the database is up to date\n"
	})
	contracted := i.oldestBinary() > knows
	for _, out := range []string{first, again} {
		if waited := strings.Contains(out, "waits for"); waited != contracted || waited && !strings.Contains(out, "a (knows migration") {
			t.Errorf("migrate said this while a ran the old binary:\n%s", out)
		}
	}
	if !contracted { // today's migrations only expand: as one that contracts would
		err := i.open().Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE installation SET oldest_binary = $1 WHERE id = 1`, knows+1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	hole.gate.Unlock()
	if err := cutOff.end(t); err == nil || !strings.Contains(cutOff.said.String(), sqldb.ErrOutdated.Error()) {
		t.Errorf("the old server that was cut off ended with %v:\n%s", err, &cutOff.said)
	}
	refused := i.start(before, "c", i.database.Host)
	if err := refused.end(t); err == nil || refused.url != "" || !strings.Contains(refused.said.String(), "upgrade doorward") {
		t.Errorf("the old binary started, or said not why it did not: %v\n%s", err, &refused.said)
	}
	i.add(today, "c") // its twin
	i.check()
	calls := stop()
	if n, err := journal.Verify(t.Context(), i.open()); err != nil {
		t.Errorf("the audit chain of both binaries, after %d records: %v", n, err)
	}
	for len(i.nodes) > 0 {
		i.remove(i.nodes[0].name, syscall.SIGTERM)
	}
	figure(t, "from migration %d to %d (contracted: %v): %d tokens and calls meanwhile, none failed", knows, sqldb.Schema(), contracted, calls)
}

const migrationsFolder = "internal/sqldb/migrations/"

// commitBefore returns the newest commit of the history whose highest migration
// is lower than schema, and that migration.
func commitBefore(ctx context.Context, root string, schema int64) (commit string, highest int64, err error) {
	touching, err := git(ctx, root, "log", "--format=%H^", "HEAD", "--", migrationsFolder)
	if err != nil {
		return "", 0, err
	}
	for _, commit := range append([]string{"HEAD"}, strings.Fields(touching)...) {
		highest, err := highestMigration(ctx, root, commit)
		if shallow, _ := git(ctx, root, "rev-parse", "--is-shallow-repository"); err != nil && strings.TrimSpace(shallow) == "true" {
			return "", 0, errors.New("the history was cut off before a commit with an older schema: this is a shallow clone; run git fetch --unshallow")
		}
		if err != nil {
			break // the first commit has none before it
		}
		if highest < schema {
			return commit, highest, nil
		}
	}
	return "", 0, fmt.Errorf("no commit has a lower migration than %d: there is nothing to upgrade from", schema)
}

func highestMigration(ctx context.Context, root, commit string) (highest int64, err error) {
	names, err := git(ctx, root, "ls-tree", "--name-only", commit, migrationsFolder)
	if err != nil {
		return 0, err
	}
	for name := range strings.FieldsSeq(names) {
		var n int64
		if _, err := fmt.Sscanf(filepath.Base(name), "%04d_", &n); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		highest = max(highest, n)
	}
	if highest == 0 {
		return 0, fmt.Errorf("%s has no migrations", commit)
	}
	return highest, nil
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// worktree has a commit's files in a folder until the test ends.
func worktree(t *testing.T, root, commit string) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "before")
	if _, err := git(t.Context(), root, "worktree", "add", "--detach", folder, commit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := git(context.WithoutCancel(t.Context()), root, "worktree", "remove", "--force", folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

func TestTheCommitToUpgradeFromIsFound(t *testing.T) {
	t.Parallel()
	origin := t.TempDir()
	do := func(root string, args ...string) string {
		t.Helper()
		out, err := git(t.Context(), root, append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	do(origin, "init", "-q")
	commit := func(name string) string {
		path := filepath.Join(origin, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		do(origin, "add", "-A")
		do(origin, "commit", "-q", "-m", name)
		return do(origin, "rev-parse", "HEAD")
	}
	commit(migrationsFolder + "0001_a.sql")
	want := commit("later")
	commit(migrationsFolder + "0002_b.sql")
	newest := commit("latest")
	shallow := filepath.Join(t.TempDir(), "shallow")
	do(origin, "clone", "-q", "--depth", "1", "file://"+origin, shallow)
	for name, row := range map[string]struct {
		root   string
		schema int64
		commit string
		why    string
	}{
		"the one before the newest migration":   {origin, 2, want, ""},
		"the newest, of one not committed yet":  {origin, 3, newest, ""},
		"a shallow clone":                       {shallow, 2, "", "git fetch --unshallow"},
		"nothing is older than the first":       {origin, 1, "", "nothing to upgrade from"},
		"a shallow clone, of one not committed": {shallow, 3, newest, ""},
	} {
		got, _, err := commitBefore(t.Context(), row.root, row.schema)
		if err == nil {
			got = do(row.root, "rev-parse", got)
		}
		if got != row.commit || row.why != "" && (err == nil || !strings.Contains(err.Error(), row.why)) {
			t.Errorf("%s: %q, %v; want %q %s", name, got, err, row.commit, row.why)
		}
	}
}
