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
	folder   string
	sessions map[string]*session // by who is signed in
}

// start runs the product until the test ends.
func start(t *testing.T) *product {
	t.Helper()
	p := &product{folder: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, binary(t), "dev", "--data-dir", p.folder,
		"--api-listen", "127.0.0.1:0", "--dashboard-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
	var output bytes.Buffer
	command.Stderr = &output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the product ended: %v\n%s", err, output.String())
		default:
		}
		text, err := os.ReadFile(filepath.Join(p.folder, "dev-credentials.json"))
		if err == nil && json.Unmarshal(text, &p.credentials) == nil && p.answers(ctx) {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("the product did not start in time\n%s", output.String())
		}
	}
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
