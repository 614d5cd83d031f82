//go:build typescript

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// nodeUpstream starts clients/typescript/test/upstream.ts; configure gives it the
// platform whose tokens it is to verify.
func nodeUpstream(t *testing.T) (address string, configure func(*running)) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "node", "dist/test/upstream.js")
	cmd.Dir = "../../clients/typescript"
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the upstream ended with %v", err)
		}
	})
	said := bufio.NewReader(stdout)
	next := func() string {
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	return next(), func(d *running) {
		text, err := json.Marshal(map[string]string{"issuer": d.Issuer, "audience": d.APIURL, "product": "orders"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(stdin, string(text)+"\n"); err != nil {
			t.Fatal(err)
		}
		next() // it has read the line
	}
}

func TestTypescriptGuardVerifiesWhatDoorwardSigns(t *testing.T) {
	upstream, configure := nodeUpstream(t)
	d := startDev(t, t.TempDir(), "--upstream", "/orders="+upstream)
	configure(d)
	bearer := "Authorization: Bearer " + d.token(t, d.inBody()...)
	direct := upstream + "/direct?signicat-accountId="
	for name, row := range map[string]struct {
		args   []string
		status string
	}{
		"assertion":                  {[]string{"-H", bearer, d.APIURL + "/orders/1?signicat-accountId=" + string(d.Account)}, "200"},
		"assertion and a permission": {[]string{"-H", bearer, "-H", "X-Need: orders.call", d.APIURL + "/orders/1"}, "200"},
		"permission that is missing": {[]string{"-H", bearer, "-H", "X-Need: orders.write", d.APIURL + "/orders/1"}, "403"},
		"past the gateway":           {[]string{"-H", bearer, upstream + "/1"}, "401"},
		"token":                      {[]string{"-H", bearer, direct + string(d.Account)}, "200"},
		"another account":            {[]string{"-H", bearer, direct + string(d.ProductionAccount)}, "403"},
		"changed token":              {[]string{"-H", bearer[:len(bearer)-8] + "AAAAAAAA", direct + string(d.Account)}, "401"},
		"no token":                   {[]string{direct + string(d.Account)}, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			body, status, _ := strings.Cut(curl(t, append(row.args, "-w", "|%{http_code}")...), "|")
			if status != row.status {
				t.Errorf("it answers %s %s, want %s", status, body, row.status)
			}
			if want := fmt.Sprintf(`"clientId":%q,"accountId":%q`, d.Client, d.Account); status == "200" && !strings.Contains(body, want) {
				t.Errorf("it says %s, want %s", body, want)
			}
		})
	}
}
