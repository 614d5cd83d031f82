package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// misuse sends a secret wherever people put one by mistake.
func misuse(t *testing.T, p *servertest.Platform, c servertest.Client, secret string) {
	t.Helper()
	escaped := url.QueryEscape(secret)
	for _, target := range []string{
		"/echo/" + escaped, "/echo/hello?access_token=" + escaped, "/" + escaped, "/auth/rest/sessions/" + escaped + "?signicat-accountId=" + escaped,
		"/auth/open/connect/token?client_secret=" + escaped, "/oauth2/token?client_secret=" + escaped, "/echo/%zz" + escaped,
	} {
		r := request(t.Context(), t, "GET", p.URL, "")
		r.URL.Opaque = target // as it stands
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header.Set("Cookie", "token="+secret)
		r.Header.Set("Traceparent", secret)
		r.Header.Set("User-Agent", secret)
		send(t, http.DefaultClient, r)
	}
	for _, form := range []string{
		"grant_type=client_credentials&client_id=" + escaped + "&client_secret=" + escaped,
		"grant_type=" + escaped + "&client_id=" + string(c.ID) + "&client_secret=" + escaped,
		"grant_type=client_credentials&scope=" + escaped + "&client_id=" + string(c.ID) + "&client_secret=" + escaped + "x",
		"grant_type=client_credentials&" + escaped + "=1&client_secret=" + escaped + "&client_secret=" + escaped,
	} {
		for _, path := range []string{"/connect/token", "/connect/introspect", "/connect/revocation"} {
			r := request(t.Context(), t, "POST", p.URL+"/auth/open"+path, form)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			send(t, http.DefaultClient, r)
			r = request(t.Context(), t, "POST", p.URL+"/auth/open"+path, "grant_type=client_credentials&token="+escaped)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(string(c.ID), secret)
			send(t, http.DefaultClient, r)
		}
	}
}

func TestSEC04_secretsAreNowhereAfterARun(t *testing.T) {
	folder := t.TempDir()
	p := servertest.Start(t, func(c *server.Config) {
		c.Database = "sqlite:" + filepath.Join(folder, "doorward.db")
		c.AccessLog = filepath.Join(folder, "access.log")
	})
	c := p.NewClient("echo.call", "auth.sessions.read")
	issued := token(t, p, c)
	callEcho(t, p, issued)
	kek, err := os.ReadFile(p.Config.KeyEncryptionKey.File)
	if err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(kek)))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{c.Value, issued, strings.TrimSpace(string(kek))} {
		misuse(t, p, c, secret)
	}
	p.Apply(registry.SetSecretState{Client: c.ID, Secret: c.Secret, State: registry.SecretRevoked})
	last := p.NewClient()
	token(t, p, last)
	awaitLine(t, filepath.Join(folder, "access.log"), string(last.ID)) // and so all before it
	signature := issued[strings.LastIndex(issued, ".")+1:]
	canaries := map[string][]byte{
		"client secret": []byte(c.Value), "its random part": []byte(c.Value[len(c.Value)-20:]),
		"token": []byte(issued), "signature of the token": []byte(signature),
		"key-encryption key": bytes.TrimSpace(kek), "its bytes": key, "its base64": []byte(base64.StdEncoding.EncodeToString(key)),
	}
	places := everything(t, folder)
	places["log"], places["metrics"] = []byte(p.Logs()), []byte(get(t, p.OpsURL+"/metrics").body)
	for place, content := range places {
		for name, canary := range canaries {
			t.Run("SEC-04 "+name+" in "+place, func(t *testing.T) {
				if at := bytes.Index(content, canary); at >= 0 {
					t.Errorf("found at byte %d: %q", at, content[max(0, at-60):at])
				}
			})
		}
	}
	t.Run("twin", func(t *testing.T) { // what may be known is there: the places are the right ones
		for _, place := range []string{"doorward.db-wal", "access.log"} {
			if !bytes.Contains(places[place], []byte(c.ID)) {
				t.Errorf("%s does not even name the client", place)
			}
		}
	})
}

// awaitLine waits until a log contains a text: its lines are written together.
func awaitLine(t *testing.T, path, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s does not contain %s", path, text)
}

// everything reads all files of a folder.
func everything(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		found[entry.Name()], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestSEC14_filesAreForTheirOwnerAlone(t *testing.T) {
	folder := t.TempDir()
	p := servertest.Start(t, func(c *server.Config) {
		c.Database = "sqlite:" + filepath.Join(folder, "doorward.db")
		c.AccessLog = filepath.Join(folder, "access.log")
	})
	token(t, p, p.NewClient())
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("SEC-14 %s has mode %04o", entry.Name(), info.Mode().Perm())
		}
	}
	if len(entries) < 4 {
		t.Errorf("only %d files: this test looks in the wrong place", len(entries))
	}
}
