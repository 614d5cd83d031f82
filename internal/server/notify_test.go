package server_test

import (
	"crypto/rand"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
)

func TestSystemdIsToldWhenTheServerIsReadyAndWhenItStops(t *testing.T) {
	for kind, name := range map[string]string{"file": filepath.Join(t.TempDir(), "notify"), "abstract": "@doorward-test-" + rand.Text()} {
		t.Run(kind, func(t *testing.T) {
			socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			hears := func(want string) {
				t.Helper()
				if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				said := make([]byte, 64)
				n, err := socket.Read(said)
				if err != nil || string(said[:n]) != want {
					t.Fatalf("systemd hears %q, %v, want %q", said[:n], err, want)
				}
			}
			t.Setenv("NOTIFY_SOCKET", name)
			p := servertest.Start(t)
			hears("READY=1")
			if a := get(t, p.OpsURL+"/readyz"); a.status != http.StatusOK {
				t.Errorf("it is not ready: %d", a.status)
			}
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			hears("STOPPING=1")
		})
	}
}

func TestASystemdThatIsNotThereStopsNoServer(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	p := servertest.Start(t)
	until(t, "the server answers", func() bool { return get(t, p.OpsURL+"/readyz").status == http.StatusOK })
	until(t, "the log says so", func() bool { return strings.Contains(p.Logs(), "systemd could not be told") })
	t.Run("twin", func(t *testing.T) {
		t.Setenv("NOTIFY_SOCKET", "")
		p := servertest.Start(t)
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(p.Logs(), "systemd") {
			t.Errorf("nobody waits for it: %s", p.Logs())
		}
	})
}
