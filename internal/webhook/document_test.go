package webhook_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// documentedReceiver builds the program that docs/webhooks.md shows.
func documentedReceiver(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```go\n")
	program, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/webhooks.md shows no program")
	}
	folder := t.TempDir()
	source := filepath.Join(folder, "main.go")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "receiver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("the program of docs/webhooks.md does not build: %v\n%s", err, out)
	}
	return binary
}

func TestTheDocumentedReceiverTakesWhatWeSignAndNothingElse(t *testing.T) {
	t.Parallel()
	binary := documentedReceiver(t)
	i := newInstallation(t, sqldbtest.New(t))
	i.now = time.Now() // the receiver's clock is the real one
	address := freeAddress(t)
	url := "http://" + address + "/doorward"
	key, value, err := i.registry.CreateWebhook(t.Context(), i.admin(), registry.NewWebhook{Name: "documented", URL: url})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	program := exec.CommandContext(ctx, binary, address)
	program.Env = append(os.Environ(), "WEBHOOK_SECRET="+value.Reveal())
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = program.Wait() })
	until(t, func() bool {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	i.deliver(i.node())
	if w := i.state(key); w.Failure != "" || w.Pending != 0 {
		t.Errorf("our event: %+v", w)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "doorward.webhook.create "+string(key)+"\n" {
		t.Errorf("the receiver printed %q, %v", line, err)
	}
	unsigned, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"type":"forged"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(unsigned)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged event gets %d", answer.StatusCode)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// until waits for a condition of another process.
func until(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not come about")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
