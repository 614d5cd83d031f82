//go:build linux

package servertest_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/backup"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb"
)

// serverSettings tell a server process what to serve.
type serverSettings struct{ Folder string }

func (s serverSettings) database() string { return filepath.Join(s.Folder, "doorward.db") }

// served is what a server process says of itself.
type served struct {
	URL     string
	OpsURL  string
	Clients []servertest.Client
}

// runServer serves until it is killed, on a fresh SQLite database.
func runServer(text []byte) error {
	var s serverSettings
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	ctx := context.Background()
	config := server.Config{
		APIListen: "127.0.0.1:0", DashboardListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0",
		Database: "sqlite:" + s.database(), AccessLog: "off",
	}
	config.KeyEncryptionKey.File = filepath.Join(s.Folder, "key")
	if _, err := secret.CreateKeyEncryptionKey(config.KeyEncryptionKey.File, rand.Reader); err != nil {
		return err
	}
	listeners, err := config.Listen(ctx)
	if err != nil {
		return err
	}
	said := served{URL: "http://" + listeners.API.Addr().String(), OpsURL: "http://" + listeners.Ops.Addr().String()}
	config.PublicURL = said.URL
	running, err := server.Open(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if said.Clients, err = newClients(ctx, running.Registry(), 8); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		return err
	}
	return running.Serve(ctx, listeners)
}

// backupSettings tell a process what to back up, and where to.
type backupSettings struct{ Database, Target string }

// runBackup makes a backup and says so.
func runBackup(text []byte) error {
	var s backupSettings
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	db, err := sqldb.Open(context.Background(), sqldb.Config{URL: s.Database})
	if err != nil {
		return err
	}
	if _, err := backup.Make(context.Background(), db, s.Target); err != nil {
		return err
	}
	_, err = os.Stdout.WriteString("done\n")
	return err
}

func newClients(ctx context.Context, r *registry.Registry, count int) ([]servertest.Client, error) {
	organisation, err := r.CreateOrganisation(ctx, actor.NewSystem("test"), "Test")
	if err != nil {
		return nil, err
	}
	operator := actor.NewSystem("test").In(organisation)
	account, err := r.CreateAccount(ctx, operator, id.Sandbox, "sandbox")
	if err != nil {
		return nil, err
	}
	clients := make([]servertest.Client, count)
	for i := range clients {
		key, err := r.CreateClient(ctx, operator, registry.NewClient{Account: account, Name: strconv.Itoa(i)})
		if err != nil {
			return nil, err
		}
		public, value, err := r.AddSecret(ctx, operator, key, "first", time.Time{})
		if err != nil {
			return nil, err
		}
		clients[i] = servertest.Client{ID: key, Secret: public, Value: value.Reveal()}
	}
	return clients, nil
}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// post sends a form and returns the answer; status 0 is none within the time.
func post(t *testing.T, address string, form url.Values) answer {
	t.Helper()
	return send(t, http.MethodPost, address, form, "")
}

func get(t *testing.T, address, token string) answer {
	t.Helper()
	return send(t, http.MethodGet, address, nil, token)
}

func send(t *testing.T, method, address string, form url.Values, token string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("half an answer: %v", err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func credentials(c servertest.Client) url.Values {
	return url.Values{"client_id": {string(c.ID)}, "client_secret": {c.Value}}
}

func issue(t *testing.T, base string, c servertest.Client) answer {
	t.Helper()
	form := credentials(c)
	form.Set("grant_type", "client_credentials")
	return post(t, base+"/auth/open/connect/token", form)
}

// token returns an access token, which there must be.
func token(t *testing.T, base string, c servertest.Client) string {
	t.Helper()
	a := issue(t, base, c)
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK || body.AccessToken == "" {
		t.Fatalf("token request = %d %s", a.status, a.body)
	}
	return body.AccessToken
}

func revoke(t *testing.T, base string, c servertest.Client, accessToken string) answer {
	t.Helper()
	form := credentials(c)
	form.Set("token", accessToken)
	return post(t, base+"/auth/open/connect/revocation", form)
}

// active asks whether a token is accepted.
func active(t *testing.T, base string, c servertest.Client, accessToken string) bool {
	t.Helper()
	form := credentials(c)
	form.Set("token", accessToken)
	a := post(t, base+"/auth/open/connect/introspect", form)
	var body struct {
		Active *bool `json:"active"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK || body.Active == nil {
		t.Fatalf("introspection = %d %s", a.status, a.body)
	}
	return *body.Active
}

// wantUnavailable checks an answer that promises nothing and says when to
// come back.
func wantUnavailable(t *testing.T, a answer) {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != http.StatusServiceUnavailable || err != nil || seconds < 1 {
		t.Errorf("answer = %d %s, Retry-After %q; want 503 with Retry-After", a.status, a.body, a.header.Get("Retry-After"))
	}
}

// failingDisk is a server process whose disk can be made to refuse writes.
type failingDisk struct {
	settings serverSettings
	served   served
	process  *process
	revoked  map[string]int // acknowledged: token → client
}

func newFailingDisk(t *testing.T, folder string) *failingDisk {
	t.Helper()
	d := &failingDisk{settings: serverSettings{folder}, revoked: map[string]int{}}
	d.process = startProcess(t, "server", d.settings)
	if err := json.NewDecoder(d.process.out).Decode(&d.served); err != nil {
		t.Fatalf("the server process did not start: %v", err)
	}
	return d
}

// revokeUntil revokes fresh tokens until an answer has the status.
func (d *failingDisk) revokeUntil(t *testing.T, status int) (last answer, lastToken string, client int) {
	t.Helper()
	for i := range 700 {
		client = i % len(d.served.Clients)
		c := d.served.Clients[client]
		lastToken = token(t, d.served.URL, c)
		last = revoke(t, d.served.URL, c, lastToken)
		if last.status == http.StatusOK {
			d.revoked[lastToken] = client
		}
		if last.status == status {
			return last, lastToken, client
		}
	}
	t.Fatalf("no revocation was answered %d; the last: %d %s", status, last.status, last.body)
	return last, lastToken, client
}

// checkFailing sees how the server does while it cannot write.
func (d *failingDisk) checkFailing(t *testing.T) {
	t.Helper()
	refused, accessToken, client := d.revokeUntil(t, http.StatusServiceUnavailable)
	wantUnavailable(t, refused)
	c := d.served.Clients[client]
	if !active(t, d.served.URL, c, accessToken) {
		t.Error("the token of a revocation that failed is inactive")
	}
	if token(t, d.served.URL, c) == "" {
		t.Error("no token while nothing can be written")
	}
	if a := get(t, d.served.URL+"/auth/open/.well-known/openid-configuration/jwks", ""); a.status != http.StatusOK || !strings.Contains(a.body, `"kid"`) {
		t.Errorf("JWK Set = %d %s", a.status, a.body)
	}
	wrong := c
	wrong.Value = c.Value[:len(c.Value)-1] + "!"
	if a := issue(t, d.served.URL, wrong); a.status != http.StatusUnauthorized {
		t.Errorf("a wrong secret was answered %d", a.status)
	}
}

// checkRecovered sees that writing goes on by itself, and that nothing that
// was acknowledged is lost.
func (d *failingDisk) checkRecovered(t *testing.T) {
	t.Helper()
	d.revokeUntil(t, http.StatusOK)
	for accessToken, client := range d.revoked {
		if active(t, d.served.URL, d.served.Clients[client], accessToken) {
			t.Error("a token whose revocation was acknowledged is accepted")
		}
	}
}

// checkFile looks at the database after the server was killed.
func (d *failingDisk) checkFile(t *testing.T) {
	t.Helper()
	d.process.kill()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + d.settings.database()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	checkIntegrity(t, db)
	var stored int
	err = db.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT count(*) FROM revoked_token`).Scan(&stored)
	})
	if err != nil || stored != len(d.revoked) {
		t.Errorf("%d revocations are stored (%v), %d were acknowledged", stored, err, len(d.revoked))
	}
}

// smallDisk mounts a file system of so many megabytes. Where that needs a right
// that the tests have not, ok is false.
func smallDisk(t *testing.T, megabytes int) (folder string, ok bool) {
	t.Helper()
	folder = t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size="+strconv.Itoa(megabytes)+"m,mode=0700"); err != nil {
		return folder, false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return folder, true
}

// fill writes ballast until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for size := 64 << 10; size > 0; {
		if _, err = file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// limitFiles lets no file of a process grow over so many bytes: writes there
// end in EFBIG, which SQLite takes for an I/O error. Go programs ignore SIGXFSZ.
func limitFiles(t *testing.T, p *process, bytes uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: bytes, Max: ^uint64(0)}
	_, _, failed := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.command.Process.Pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if failed != 0 {
		t.Fatalf("limit the size of files: %v", failed)
	}
}

const unlimited = ^uint64(0)

func TestSTO07_fullDiskStopsWritesAndNothingElse(t *testing.T) {
	for _, megabytes := range []int{4, 8, 16}[:size(1, 3, 3)] {
		t.Run(strconv.Itoa(megabytes)+" MB", func(t *testing.T) {
			folder, small := smallDisk(t, megabytes)
			d := newFailingDisk(t, folder)
			ballast := filepath.Join(folder, "ballast")
			full, free := func() { fill(t, ballast) }, func() { _ = os.Remove(ballast) }
			if !small { // the nearest that needs no right
				full, free = func() { limitFiles(t, d.process, uint64(megabytes)<<18) }, func() { limitFiles(t, d.process, unlimited) }
			}
			d.revokeUntil(t, http.StatusOK)
			for range 2 {
				full()
				d.checkFailing(t)
				free()
				t.Run("twin", func(t *testing.T) { d.checkRecovered(t) })
			}
			d.checkFile(t)
		})
	}
}

// STO-08: every write of a file ends in an I/O error. No file system can be
// turned read-only under an open database; this is the same to SQLite.
func TestSTO08_failingWritesAreNeverToldAsSuccess(t *testing.T) {
	d := newFailingDisk(t, t.TempDir())
	d.revokeUntil(t, http.StatusOK)
	for range 2 {
		limitFiles(t, d.process, 0)
		d.checkFailing(t)
		if a := get(t, d.served.OpsURL+"/readyz", ""); a.status != http.StatusServiceUnavailable {
			t.Errorf("readyz = %d %s, want 503: the disk fails", a.status, a.body)
		}
		limitFiles(t, d.process, unlimited)
		t.Run("readyz/twin", func(t *testing.T) {
			if a := get(t, d.served.OpsURL+"/readyz", ""); a.status != http.StatusOK {
				t.Errorf("readyz = %d %s, want 200: the disk is well again", a.status, a.body)
			}
		})
		t.Run("twin", func(t *testing.T) { d.checkRecovered(t) })
	}
	d.checkFile(t)
}
