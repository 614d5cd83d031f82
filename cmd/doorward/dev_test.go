package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/sqldb"
)

// running is a `doorward dev` in this process.
type running struct {
	credentials
	text  string      // what it printed until it was ready
	later chan string // the lines after that
	stop  func() int
}

// output is a buffer that a command writes while a test reads.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// devArgs are those of a dev on free ports.
func devArgs(folder string, more ...string) []string {
	args := []string{"dev", "--data-dir", folder, "--api-listen", "127.0.0.1:0", "--dashboard-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"}
	return append(args, more...)
}

// startDev runs `doorward dev` until it is ready. It stops with the test.
func startDev(t *testing.T, folder string, more ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	stderr := &output{}
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, devArgs(folder, more...), writer, stderr)
		_ = writer.Close()
		ended <- code
	}()
	d := &running{}
	d.stop = sync.OnceValue(func() int {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if code := d.stop(); code != 0 {
			t.Errorf("dev ended with code %d: %s", code, stderr)
		}
	})
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		d.text += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "Stop with") {
			break
		}
	}
	if !strings.HasPrefix(d.text, "Doorward is ready.\n") {
		t.Fatalf("dev printed %q and %q", d.text, stderr)
	}
	d.later = make(chan string, 1000)
	go func() { // ends with the command, which writes what nobody may want to know
		defer close(d.later)
		for lines.Scan() {
			d.later <- lines.Text()
		}
	}()
	text, err := os.ReadFile(filepath.Join(folder, "dev-credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d.credentials); err != nil {
		t.Fatal(err)
	}
	return d
}

// token gets one with curl, by the method that the arguments stand for.
func (d *running) token(t *testing.T, args ...string) string {
	t.Helper()
	var body struct {
		Token string `json:"access_token"`
	}
	text := curl(t, append([]string{d.TokenURL, "-d", "grant_type=client_credentials"}, args...)...)
	if err := json.Unmarshal([]byte(text), &body); err != nil || body.Token == "" {
		t.Fatalf("no token: %v in %s", err, text)
	}
	return body.Token
}

func (d *running) inBody() []string {
	return []string{"-d", "client_id=" + string(d.Client), "-d", "client_secret=" + d.ClientSecret}
}

func curl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v: %s", err, out)
	}
	return string(out)
}

func TestDevWritesTheFactsThatItPrints(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	d := startDev(t, folder)
	text, err := os.ReadFile(filepath.Join(folder, "dev-credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	var facts map[string]string
	if err := json.Unmarshal(text, &facts); err != nil {
		t.Fatal(err)
	}
	for name, pattern := range map[string]string{
		"api_url": `^http://127\.0\.0\.1:\d+$`, "token_url": `^http://127\.0\.0\.1:\d+/auth/open/connect/token$`, "issuer": `^http://127\.0\.0\.1:\d+/auth/open$`,
		"dashboard_url": `^http://127\.0\.0\.1:\d+$`, "ops_url": `^http://127\.0\.0\.1:\d+$`, "organisation_id": `^o-[a-z0-9]{20}$`,
		"account_id": `^a-s-[a-z0-9]{20}$`, "production_account_id": `^a-p-[a-z0-9]{20}$`, "client_id": `^sandbox-[a-z]+-[a-z]+-\d+$`, "client_secret": `^dw_s_\w+$`,
		"dashboard_email": `^ada@example\.com$`, "dashboard_password": `^[A-Z2-7]{26}$`,
		"operator_email": `^grace@example\.com$`, "operator_password": `^[A-Z2-7]{26}$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(facts[name]) {
			t.Errorf("%s = %q, want %s", name, facts[name], pattern)
		}
		delete(facts, name)
	}
	if len(facts) > 0 {
		t.Errorf("unknown facts: %v", facts)
	}
	for _, fact := range []string{d.APIURL, d.DashboardURL, d.OpsURL, string(d.Client), string(d.Account), d.ClientSecret, d.Email, d.Password, d.OperatorEmail, d.OperatorPassword, folder} {
		if !strings.Contains(d.text, fact) {
			t.Errorf("%s is not printed:\n%s", fact, d.text)
		}
	}
	for _, address := range []string{d.OpsURL + "/healthz", d.DashboardURL + "/help/errors"} {
		if got := curl(t, "-o", os.DevNull, "-w", "%{http_code}", address); got != "200" {
			t.Errorf("%s answers %s", address, got)
		}
	}
}

func TestTheSamplePersonSignsInToTheDashboard(t *testing.T) {
	d := startDev(t, filepath.Join(t.TempDir(), "data"))
	jar := filepath.Join(t.TempDir(), "cookies")
	status := func(args ...string) string {
		return curl(t, append([]string{"-o", os.DevNull, "-w", "%{http_code}", "-b", jar, "-c", jar, "-H", "Origin: " + d.DashboardURL}, args...)...)
	}
	if got := status(d.DashboardURL + "/a/" + string(d.Account)); got != "401" {
		t.Errorf("nobody gets %s", got)
	}
	if got := status(d.DashboardURL+"/signin", "--data-urlencode", "email="+d.Email, "--data-urlencode", "password="+d.Password); got != "303" {
		t.Fatalf("signing in answers %s", got)
	}
	if got := status(d.DashboardURL + "/a/" + string(d.Account)); got != "200" {
		t.Errorf("the account answers %s", got)
	}
}

func TestSEC14_devMakesFilesForTheirOwnerAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	startDev(t, folder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]os.FileMode{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		modes[entry.Name()] = info.Mode()
	}
	for _, name := range []string{"dev-credentials.json", "doorward.db", "key-encryption-key", "access.log"} {
		if _, ok := modes[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	for name, mode := range modes {
		if mode != 0o600 {
			t.Errorf("SEC-14 %s has mode %s", name, mode)
		}
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("SEC-14 the folder: %v, %v", info.Mode(), err)
	}
}

// shells are those that are installed of the two that the block is for.
func shells() (found []string) {
	for _, shell := range []string{"bash", "zsh"} {
		if _, err := exec.LookPath(shell); err == nil {
			found = append(found, shell)
		}
	}
	return found
}

func TestPrintedBlockWorksWhenPasted(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "our orders") }))
	defer upstream.Close()
	d := startDev(t, t.TempDir(), "--upstream", "/orders="+upstream.URL)
	_, block, _ := strings.Cut(d.text, "terminal:\n\n")
	block, _, _ = strings.Cut(block, "\nStop with")
	for _, shell := range shells() {
		t.Run(shell, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), shell)
			cmd.Stdin = strings.NewReader(block)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want := regexp.MustCompile(`^ey[\w-]+\.[\w-]+\.[\w-]+\n` +
				`\{[^\n]*"authenticationUrl":[^\n]*\nHTTP 201\n` +
				`\{[^\n]*"code":"permission_missing"[^\n]*echo\.call[^\n]*\n+HTTP 403\n` +
				`our orders\nHTTP 200\n$`)
			if !want.Match(out) {
				t.Errorf("it printed\n%s\nwant %s", out, want)
			}
		})
	}
}

func TestSessionIsReadBackOnItsAccount(t *testing.T) {
	d := startDev(t, t.TempDir())
	bearer := "Authorization: Bearer " + d.token(t, d.inBody()...)
	sessions := d.APIURL + "/auth/rest/sessions"
	var created map[string]any
	text := curl(t, "-H", bearer, "-H", "Content-Type: application/json", "-d", `{"flow":"redirect"}`, sessions+"?signicat-accountId="+string(d.Account))
	if err := json.Unmarshal([]byte(text), &created); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	id, _ := created["id"].(string)
	var read map[string]any
	text = curl(t, "-H", bearer, sessions+"/"+id+"?signicat-accountId="+string(d.Account))
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if diff := cmp.Diff(created, read); diff != "" || read["accountId"] != string(d.Account) {
		t.Errorf("session (-created +read):\n%s", diff)
	}
	if got := curl(t, "-o", os.DevNull, "-w", "%{http_code}", "-H", bearer, sessions+"/"+id+"?signicat-accountId="+string(d.ProductionAccount)); got != "403" {
		t.Errorf("on another account the call gets %s", got)
	}
}

func TestCurlAuthenticatesBothWays(t *testing.T) {
	d := startDev(t, t.TempDir())
	d.token(t, d.inBody()...)
	d.token(t, "-u", string(d.Client)+":"+d.ClientSecret)
	refused := curl(t, d.TokenURL, "-w", " %{http_code}", "-d", "grant_type=client_credentials", "-u", string(d.Client)+":"+d.ClientSecret+"x")
	if !strings.Contains(refused, `"invalid_client"`) || !strings.HasSuffix(refused, " 401") {
		t.Errorf("a wrong secret gets %s", refused)
	}
}

func TestSecondStartKeepsTheClient(t *testing.T) {
	folder := t.TempDir()
	first := startDev(t, folder)
	issued := first.token(t, first.inBody()...)
	if code := first.stop(); code != 0 {
		t.Fatalf("the first ended with code %d", code)
	}
	second := startDev(t, folder, "--api-listen", strings.TrimPrefix(first.APIURL, "http://"))
	if second.Client != first.Client || second.ClientSecret != first.ClientSecret || second.Organisation != first.Organisation {
		t.Errorf("the second start has the client %s, the first %s", second.Client, first.Client)
	}
	second.token(t, second.inBody()...)
	text := curl(t, "-w", " %{http_code}", "-H", "Authorization: Bearer "+issued, second.APIURL+"/auth/rest/sessions/none")
	if !strings.HasSuffix(text, " 404") { // let through to the product, which has no such session
		t.Errorf("a token of before gets %s", text)
	}
}

func TestStartsThatChangeNothingAreNotRecorded(t *testing.T) {
	folder := t.TempDir()
	for _, upstream := range []string{"http://127.0.0.1:9001", "http://127.0.0.1:9002"} { // the twin: a product of another address is another version
		startDev(t, folder, "--upstream", "/orders="+upstream).stop()
		before := recorded(t, folder)
		again := startDev(t, folder, "--upstream", "/orders="+upstream)
		again.token(t, again.inBody()...)
		curl(t, again.APIURL+"/echo")
		again.stop()
		if diff := cmp.Diff(before, recorded(t, folder)); diff != "" {
			t.Errorf("the next start recorded:\n%s", diff)
		}
	}
	if got := recorded(t, folder); !slices.Contains(got, "orders 2") || slices.Contains(got, "echo 2") {
		t.Errorf("versions: %q", got)
	}
}

// recorded is the audit log of a folder, and the versions of its products.
func recorded(t *testing.T, folder string) (all []string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + filepath.Join(folder, "doorward.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(t.Context(), `SELECT action || ' ' || subject FROM audit UNION ALL SELECT product || ' ' || version FROM product_version`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			all = append(all, text)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSecondServerOnAFolderInUseStops(t *testing.T) {
	folder := t.TempDir()
	first := startDev(t, folder)
	var stdout, stderr output
	if code := run(t.Context(), devArgs(folder), &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "another server already runs on "+folder) {
		t.Errorf("the second ended with code %d and %q", code, &stderr)
	}
	if strings.Contains(stdout.String(), "ready") {
		t.Errorf("the second printed %q", &stdout)
	}
	first.token(t, first.inBody()...) // and the first works on
}

func TestDevShowsMailsOnTheConsole(t *testing.T) {
	d := startDev(t, filepath.Join(t.TempDir(), "data"))
	answer := curl(t, "-o", os.DevNull, "-w", "%{http_code}", "-H", "Origin: "+d.DashboardURL, d.DashboardURL+"/signup",
		"--data-urlencode", "email=grace@example.com", "--data-urlencode", "password=correct horse battery", "--data-urlencode", "organisation=Navy")
	if answer != "303" {
		t.Fatalf("sign-up: %s", answer)
	}
	for line := range d.later {
		if strings.HasPrefix(line, d.DashboardURL+"/verify/") {
			return
		}
	}
	t.Error("the link never came")
}

func TestDevListensOnLoopbackOnly(t *testing.T) {
	for _, flag := range []string{"--api-listen", "--dashboard-listen", "--ops-listen"} {
		for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "8080"} {
			t.Run(flag+" "+address, func(t *testing.T) {
				folder := filepath.Join(t.TempDir(), "data")
				var stderr output
				if code := run(t.Context(), devArgs(folder, flag, address), io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "loopback only") {
					t.Errorf("ended with code %d and %q", code, &stderr)
				}
				if _, err := os.Stat(folder); err == nil {
					t.Error("it made the folder all the same")
				}
			})
		}
		t.Run(flag+"/twin", func(t *testing.T) { startDev(t, t.TempDir(), flag, "localhost:0") })
	}
}

func TestOwnAPIComesBehindTheGateway(t *testing.T) {
	seen := make(chan *http.Request, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.WriteHeader(http.StatusTeapot)
	}))
	defer upstream.Close()
	folder := t.TempDir()
	startDev(t, folder).stop() // the flag works on a folder that exists, too
	d := startDev(t, folder, "--upstream", "/orders="+upstream.URL, "--upstream", "/more-orders="+upstream.URL)
	bearer := "Authorization: Bearer " + d.token(t, d.inBody()...)
	for _, prefix := range []string{"/orders", "/more-orders"} {
		if got := curl(t, "-o", os.DevNull, "-w", "%{http_code}", "-X", "PATCH", "-H", bearer, d.APIURL+prefix+"/1/lines?a=b"); got != "418" {
			t.Errorf("the call gets %s", got)
			continue
		}
		r := <-seen
		if r.Method != "PATCH" || r.URL.String() != "/1/lines?a=b" || r.Header.Get("Doorward-Client-Id") != string(d.Client) || r.Header.Get("Authorization") != "" {
			t.Errorf("the upstream got %s %s with %v", r.Method, r.URL, r.Header)
		}
	}
}

func TestUpstreamsThatCannotBeAreRefused(t *testing.T) {
	for name, row := range map[string]struct{ value, want string }{
		"no URL":        {"/orders", "write /prefix=URL"},
		"no slash":      {"orders=http://127.0.0.1:1", "write /prefix=URL"},
		"root":          {"/=http://127.0.0.1:1", "write /prefix=URL"},
		"two segments":  {"/a/b=http://127.0.0.1:1", "write /prefix=URL"},
		"reserved":      {"/token=http://127.0.0.1:1", "/token"},
		"not a web URL": {"/orders=ftp://127.0.0.1:1", "upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr output
			if code := run(t.Context(), devArgs(t.TempDir(), "--upstream", row.value), io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), row.want) {
				t.Errorf("ended with code %d and %q, want %q", code, &stderr, row.want)
			}
		})
	}
	t.Run("twin", func(t *testing.T) { startDev(t, t.TempDir(), "--upstream", "/orders=http://127.0.0.1:1") })
}

func TestCredentialsOfAnotherDatabaseGiveANewClient(t *testing.T) {
	old := startDev(t, t.TempDir())
	folder := t.TempDir()
	if err := old.write(filepath.Join(folder, "dev-credentials.json")); err != nil {
		t.Fatal(err)
	}
	d := startDev(t, folder)
	if d.Client == old.Client {
		t.Error("the client of another database was kept")
	}
	d.token(t, d.inBody()...)
}

func TestBrokenCredentialsAreNotOverwritten(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "dev-credentials.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr output
	if code := run(t.Context(), devArgs(folder), io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "delete it") {
		t.Errorf("ended with code %d and %q", code, &stderr)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "{" {
		t.Errorf("the file is %q, %v", text, err)
	}
}
