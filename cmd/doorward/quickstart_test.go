package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/dashboard/snippet"
)

// program is one of docs/quickstart.md, as it stands there.
type program struct {
	file, run, text string // file and run are "" if the text is pasted into a shell
}

var quickStartPlace = regexp.MustCompile("(?s)<!-- snippet: ([a-z-]+) -->\n(?:Install: [^\n]*\n\n)?(?:Save it as `([^`]+)`, run `([^`]+)`:\n\n)?```[a-z]+\n(.*?)```\n<!-- end -->")

// quickStart reads the page and puts the values of d in the places of the examples,
// as a reader does.
func quickStart(t *testing.T, d *running) map[string]program {
	t.Helper()
	page, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]program{}
	for _, found := range quickStartPlace.FindAllStringSubmatch(d.fillIn(string(page)), -1) {
		programs[found[1]] = program{file: found[2], run: found[3], text: found[4]}
	}
	return programs
}

func (d *running) fillIn(text string) string {
	return strings.NewReplacer(
		"https://api.example.com", d.APIURL, "sandbox-round-apple-123", string(d.Client), "a-s-k3v9x0q2m5n8r7t1w4yz", string(d.Account),
	).Replace(text)
}

// execute runs the program in a shell in the folder and returns what it printed.
func (p program) execute(t *testing.T, folder, secret string, environment ...string) string {
	t.Helper()
	line := p.text
	if p.file != "" {
		if err := os.WriteFile(filepath.Join(folder, p.file), []byte(p.text), 0o600); err != nil {
			t.Fatal(err)
		}
		line = p.run
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), "CLIENT_SECRET="+secret), environment...)
	out, _ := cmd.CombinedOutput() // what it printed tells whether it failed
	return string(out)
}

// check runs the program with the secret, with a wrong one, and for other calls.
func (p program) check(t *testing.T, d *running, key, folder string, environment ...string) {
	t.Helper()
	if p.text == "" {
		t.Fatal("the program is not on the page")
	}
	out := p.execute(t, folder, d.ClientSecret, environment...)
	for _, want := range []string{"201", `"status":"CREATED"`, `"accountId":"` + string(d.Account) + `"`, `"flow":"redirect"`} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %s but\n%s", want, out)
		}
	}
	wrong := d.ClientSecret[:len(d.ClientSecret)-1] + "~"
	out = p.execute(t, folder, wrong, environment...)
	if !strings.Contains(out, "invalid_client") || strings.Contains(out, "CREATED") {
		t.Errorf("with a wrong secret it prints\n%s", out)
	}
	checkAnyCall(t, d, key, p, folder, environment...)
}

func TestQuickStartOfCurlRuns(t *testing.T) {
	d := startDev(t, t.TempDir())
	quickStart(t, d)["curl"].check(t, d, "curl", t.TempDir())
}

func TestQuickStartOfGoRuns(t *testing.T) {
	d := startDev(t, t.TempDir())
	programs := quickStart(t, d)
	t.Run("standard library", func(t *testing.T) { programs["go-plain"].check(t, d, "go-plain", t.TempDir()) })
	t.Run("tokensource", func(t *testing.T) { // in a clone, as the page says
		p, clone, folder := programs["go-library"], "../..", t.TempDir()
		p.run = "cd '" + absolute(t, clone) + "' && " + strings.Replace(p.run, p.file, filepath.Join(folder, p.file), 1)
		p.check(t, d, "go-library", folder)
	})
}

// hostile is text that ends a literal or begins something in some language.
const hostile = "\"'`\\ ${process.exit()} $(id) $HOME %s%% {{x}} \\u0022 \"\"\" snø 🙂 \u2028 @</script>\n"

// checkAnyCall has the program's language make a call with a hostile body, and
// one without a body.
func checkAnyCall(t *testing.T, d *running, key string, p program, folder string, environment ...string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"x": hostile})
	if err != nil {
		t.Fatal(err)
	}
	call := snippet.Call{TokenURL: d.TokenURL, APIURL: d.APIURL, ClientID: string(d.Client), AccountID: string(d.Account), Path: "/auth/rest/sessions", Body: string(body)}
	out := p.with(t, key, call).execute(t, folder, d.ClientSecret, environment...)
	var session struct{ X string }
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):strings.LastIndex(out, "}")+1]), &session); err != nil || session.X != hostile {
		t.Errorf("the body became %q, %v; it printed\n%s", session.X, err, out)
	}
	call.Path, call.Body = "/auth/rest/sessions/{id}?a=b", ""
	out = p.with(t, key, call).execute(t, folder, d.ClientSecret, environment...)
	if !strings.Contains(out, "404") || !strings.Contains(out, "no such session") {
		t.Errorf("a GET prints\n%s", out)
	}
}

// with is the program with the text for another call.
func (p program) with(t *testing.T, key string, call snippet.Call) program {
	t.Helper()
	snippets, err := snippet.Write(call)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range snippets {
		if s.Key == key {
			p.text = s.Text
		}
	}
	return p
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestQuickStartOfPythonRuns(t *testing.T) {
	d := startDev(t, t.TempDir())
	programs := quickStart(t, d)
	for key, module := range map[string]string{"python-plain": "urllib.request", "python-library": "authlib.integrations.requests_client"} {
		t.Run(key, func(t *testing.T) {
			programs[key].check(t, d, key, t.TempDir(), "PATH="+pythonWith(t, module)+":"+os.Getenv("PATH"))
		})
	}
}

// pythonWith is the folder of a python3 that has the module: the first on the PATH,
// or the distribution's.
func pythonWith(t *testing.T, module string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.CommandContext(t.Context(), path, "-c", "import "+module).Run() == nil {
			return filepath.Dir(path)
		}
	}
	t.Fatalf("no python3 has %s; on Debian it is in python3-authlib and python3-requests, which scripts/engines installs", module)
	return ""
}

// postman is what of a collection matters for sending its requests.
type postman struct {
	Variable []struct{ Key, Value string }
	Item     []struct {
		Request struct {
			Method, URL string
			Header      []struct{ Key, Value string }
			Auth        map[string]any
			Body        struct {
				Raw        string
				URLEncoded []struct{ Key, Value string }
			}
		}
	}
}

func TestQuickStartOfPostmanDescribesTheRequests(t *testing.T) {
	d := startDev(t, t.TempDir())
	text, err := os.ReadFile("../../docs/quickstart.postman_collection.json")
	if err != nil {
		t.Fatal(err)
	}
	var c postman
	if err := json.Unmarshal([]byte(d.fillIn(string(text))), &c); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{}
	for _, v := range c.Variable {
		variables[v.Key] = v.Value
	}
	if _, ok := variables["client_secret"]; !ok {
		t.Error("there is no variable for the secret")
	}
	variables["client_secret"] = d.ClientSecret
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if status, body := c.send(t, 0, variables); status != 200 || json.Unmarshal(body, &token) != nil {
		t.Fatalf("the first request gets %d %s", status, body)
	}
	variables["access_token"] = token.AccessToken // what the collection's script does
	if status, body := c.send(t, 1, variables); status != 201 || !bytes.Contains(body, []byte(`"flow":"redirect"`)) {
		t.Errorf("the second request gets %d %s", status, body)
	}
}

// send sends a request of the collection, with its variables filled in.
func (c postman) send(t *testing.T, item int, variables map[string]string) (status int, body []byte) {
	t.Helper()
	fill := func(text string) string {
		for key, value := range variables {
			text = strings.ReplaceAll(text, "{{"+key+"}}", value)
		}
		return text
	}
	described := c.Item[item].Request
	content := fill(described.Body.Raw)
	form := url.Values{}
	for _, field := range described.Body.URLEncoded {
		form.Set(field.Key, fill(field.Value))
	}
	if len(form) > 0 {
		content = form.Encode()
	}
	r, err := http.NewRequestWithContext(t.Context(), described.Method, fill(described.URL), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if len(form) > 0 {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range described.Header {
		r.Header.Set(h.Key, fill(h.Value))
	}
	value := func(kind, key string) string {
		parameters, _ := described.Auth[kind].([]any)
		for _, p := range parameters {
			if p, _ := p.(map[string]any); p["key"] == key {
				text, _ := p["value"].(string)
				return fill(text)
			}
		}
		return ""
	}
	switch described.Auth["type"] {
	case "basic":
		r.SetBasicAuth(value("basic", "username"), value("basic", "password"))
	case "bearer":
		r.Header.Set("Authorization", "Bearer "+value("bearer", "token"))
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}
