package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The first start of a production server prints a link, once; it leads to the
// page that makes the first operator admin.
func TestFirstOperatorIsMadeByTheLinkOfTheConsole(t *testing.T) {
	p := serve(t)
	link := p.printed(regexp.MustCompile(regexp.QuoteMeta(p.DashboardURL) + `(/setup/\S+)`))
	for _, l := range looks("setup_token+") {
		p.checkPage(t, "setup_token+", fixture{path: link, status: 200, heading: "Become the operator", primary: "Become operator admin"}, l)
	}
	b := open(t, look{noScript: true})
	b.visit(p.DashboardURL + link)
	b.reaches("Security", write("email", "grace@operator.example"), write("password", "a phrase of words"), press("Become operator admin"))
	if status := open(t, look{}).visit(p.DashboardURL + link); status != 404 {
		t.Errorf("used again, the link answers with %d", status)
	}
}

// serve runs `doorward serve` with an empty database until the test ends.
func serve(t *testing.T) *product {
	t.Helper()
	p := &product{t: t, folder: t.TempDir()}
	p.APIURL, p.DashboardURL = "http://"+freeAddress(t), "http://"+freeAddress(t)
	key, file := filepath.Join(p.folder, "key-encryption-key"), filepath.Join(p.folder, "doorward.yaml")
	config := fmt.Sprintf("public_url: %s\ndashboard_url: %s\ndatabase: sqlite:%s\nkey_encryption_key: {file: %s}\napi_listen: %s\ndashboard_listen: %s\nops_listen: 127.0.0.1:0\n",
		p.APIURL, p.DashboardURL, filepath.Join(p.folder, "doorward.db"), key, strings.TrimPrefix(p.APIURL, "http://"), strings.TrimPrefix(p.DashboardURL, "http://"))
	for path, text := range map[string]string{key: strings.Repeat("01", 32), file: config} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), binary(t), "serve", "--config", file)
	command.Stdout, command.Stderr = &p.said, &p.said
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	for deadline := time.Now().Add(patience); !p.answers(context.Background()); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the product did not start in time\n%s", p.said.String())
		}
	}
	return p
}

// freeAddress is one on loopback where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
