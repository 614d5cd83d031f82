package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// credentials are what `doorward dev` writes for scripts.
type credentials struct {
	APIURL            string `json:"api_url"`
	TokenURL          string `json:"token_url"`
	DashboardURL      string `json:"dashboard_url"`
	Organisation      string `json:"organisation_id"`
	Account           string `json:"account_id"`
	ProductionAccount string `json:"production_account_id"`
	Client            string `json:"client_id"`
	ClientSecret      string `json:"client_secret"`
	Email             string `json:"dashboard_email"`
	Password          string `json:"dashboard_password"`
	OperatorEmail     string `json:"operator_email"`
	OperatorPassword  string `json:"operator_password"`
}

var built struct {
	sync.Once
	path string
	err  error
}

// binary is the product that is tested: DOORWARD, or built from the sources as
// `make build` does.
func binary(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.path = os.Getenv("DOORWARD"); built.path != "" {
			return
		}
		built.path, built.err = filepath.Abs("../build/e2e-doorward")
		if built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", built.path, "./cmd/doorward")
		build.Dir = ".."
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the product: %w\n%s", err, output)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// What makes it jump by megabytes is most often a method that is called by a
// name which the linker cannot see (reflect, text/template): it then keeps each
// exported method of the program.
func TestBinaryIsSmall(t *testing.T) {
	file, err := os.Stat(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if size := file.Size(); size > 30_000_000 {
		t.Errorf("the stripped binary has %d bytes, more than 30,000,000", size)
	}
}

// product is a running `doorward dev` with a database of its own.
type product struct {
	credentials
	t         *testing.T
	folder    string
	addresses []string            // flags that say where it listens
	said      output              // on its console and in its log
	stop      func()              // ends it, and returns when it has
	sessions  map[string]*session // by who is signed in
}

// start runs the product until the test ends.
func start(t *testing.T) *product {
	t.Helper()
	p := &product{t: t, folder: t.TempDir(), addresses: []string{"--api-listen", "127.0.0.1:0", "--dashboard-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"}}
	p.run()
	return p
}

// restart stops the product and runs it again where it was.
func (p *product) restart() {
	p.t.Helper()
	p.stop()
	p.addresses = []string{"--api-listen", strings.TrimPrefix(p.APIURL, "http://"), "--dashboard-listen", strings.TrimPrefix(p.DashboardURL, "http://"), "--ops-listen", "127.0.0.1:0"}
	p.run()
}

func (p *product) run() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, binary(p.t), append([]string{"dev", "--data-dir", p.folder}, p.addresses...)...)
	command.Stdout, command.Stderr = &p.said, &p.said
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive a test that is killed
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	p.t.Cleanup(p.stop)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			p.t.Fatalf("the product ended: %v\n%s", err, p.said.String())
		default:
		}
		text, err := os.ReadFile(filepath.Join(p.folder, "dev-credentials.json"))
		if err == nil && json.Unmarshal(text, &p.credentials) == nil && p.answers(ctx) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the product did not start in time\n%s", p.said.String())
		}
	}
}

// output is what a process writes, to be read meanwhile.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// link is the path of the link in the newest mail of that subject to somebody.
// `doorward dev` prints each mail.
func (p *product) link(to, subject string) string {
	p.t.Helper()
	return p.printed(regexp.MustCompile(`(?s).*\n--- Mail to ` + regexp.QuoteMeta(to+": "+subject) + `[^\n]*\n.*?` + regexp.QuoteMeta(p.DashboardURL) + `(/\S+)`))
}

// printed waits until the product has said something, and is its first group.
func (p *product) printed(what *regexp.Regexp) string {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if found := what.FindStringSubmatch(p.said.String()); found != nil {
			return found[1]
		}
	}
	p.t.Fatalf("it never said %s but\n%s", what, p.said.String())
	return ""
}

func (p *product) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, "GET", p.DashboardURL+"/help", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// session is a signed-in HTTP client that sends what a browser sends.
type session struct {
	t       *testing.T
	base    string
	cookies map[string]string
}

// do sends a request and follows no redirect.
func (s *session) do(method, path, form string) *http.Response {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(form))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == "POST" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", s.base)
	}
	for name, value := range s.cookies {
		request.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	for _, c := range response.Cookies() {
		if s.cookies == nil {
			s.cookies = map[string]string{}
		}
		s.cookies[c.Name] = c.Value
	}
	return response
}
