//go:build typescript

package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A client that other generators make of the served contract works against
// the running server. `make test-typescript` installs them.
func TestTypescriptClientOfTheContract(t *testing.T) {
	p := start(t, "sqlite")
	contract := p.do(t, nil, http.MethodGet, "/openapi.json", "")
	contract.has(t, "the contract", http.StatusOK, "")
	folder := filepath.Join("testdata", "typescript")
	if err := os.WriteFile(filepath.Join(folder, "openapi.json"), []byte(contract.body), 0o600); err != nil {
		t.Fatal(err)
	}
	by := p.caller(t, p.Organisation, "", p.customers...)
	p.fresh(t)
	run := func(name string, args ...string) string {
		command := exec.CommandContext(t.Context(), name, args...)
		command.Dir = folder
		command.Env = append(os.Environ(), "MANAGEMENT_URL="+p.URL+"/management/v1", "TOKEN="+by.token, "ACCOUNT="+string(p.Sandbox))
		var stderr strings.Builder
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
		}
		return string(out)
	}
	run("node_modules/.bin/openapi-typescript", "openapi.json", "-o", "schema.d.ts")
	run("node_modules/.bin/tsc")
	var got map[string]any
	if err := json.Unmarshal([]byte(run("node", "dist/journey.js")), &got); err != nil {
		t.Fatal(err)
	}
	if key, _ := got["client_id"].(string); !strings.HasPrefix(key, "sandbox-") {
		t.Errorf("client_id = %v", got["client_id"])
	}
	if pages, _ := got["pages"].(float64); pages < 2 {
		t.Errorf("the list came in %v pages, want several", got["pages"])
	}
	delete(got, "client_id")
	delete(got, "pages")
	want := map[string]any{
		"secret_has_form": true, "working": 1.0, "permissions": []any{"auth.sessions.read"},
		"stale": "version_stale", "unknown": "not_found", "listed": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
