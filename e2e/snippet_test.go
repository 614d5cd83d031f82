package e2e

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// quickStart is what the page says about one program.
type quickStart struct{ Text, File, Install, Run string }

// Each program that the page shows, and that needs nothing beside its language,
// makes a call that is answered with 200.
func TestSnippetsOfThePageRun(t *testing.T) {
	p := start(t)
	v := p.signedIn(t, ada)
	page := v.send("POST", "/a/"+p.Account+"/clients/new", url.Values{"name": {"snippets"}, "product": {"echo"}, "permissions": {"all"}}.Encode())
	made := regexp.MustCompile(`/clients/(sandbox-[a-z0-9-]+)/env"[^>]*>(?s:.*?)name="secret" value="([^"]+)"`).FindStringSubmatch(page)
	if made == nil {
		t.Fatalf("no client was made: %s", page)
	}
	b := open(t, look{cookies: v.jar()})
	client := "/a/" + p.Account + "/clients/" + made[1]
	b.reaches("snippets", p.to(client))
	var ran []string
	tabs := evaluate[[]string](b, `[...document.querySelectorAll(".code .tabs a")].map((a) => a.pathname + a.search)`)
	for _, path := range tabs {
		b.reaches("snippets", p.to(path))
		q := evaluate[quickStart](b, `(() => {
			const after = (word) => [...document.querySelectorAll("#quick-start ~ *, [aria-labelledby=quick-start] p.small span.muted")].find((e) => e.textContent.trim() === word)?.nextElementSibling?.textContent ?? "";
			return { Text: document.querySelector("#snippet").textContent, File: after("Save as"), Install: after("First"), Run: after("and run") };
		})()`)
		key := strings.TrimPrefix(regexp.MustCompile(`lang=[a-z-]+`).FindString(path), "lang=")
		if q.Install != "" { // other tests run those with their libraries
			continue
		}
		ran = append(ran, key)
		t.Run(key, func(t *testing.T) {
			if printed := q.execute(t, made[2]); !regexp.MustCompile(`\b200\b`).MatchString(printed) {
				t.Errorf("it prints\n%s\nand is\n%s", printed, q.Text)
			}
		})
	}
	if want := []string{"curl", "go-plain", "node-plain", "python-plain"}; !slices.Equal(ran, want) {
		t.Errorf("the page has the programs %q that need nothing, want %q", ran, want)
	}
}

// execute does what the page says, and returns what is printed.
func (q quickStart) execute(t *testing.T, secret string) string {
	t.Helper()
	folder, line := t.TempDir(), q.Text
	if q.File != "" {
		if err := os.WriteFile(filepath.Join(folder, q.File), []byte(q.Text), 0o600); err != nil {
			t.Fatal(err)
		}
		line = q.Run
	}
	command := exec.CommandContext(t.Context(), "bash", "-c", line)
	command.Dir = folder
	command.Env = append(os.Environ(), "CLIENT_SECRET="+secret)
	printed, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return string(printed)
}
