package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

func TestGW40_whatIsForOperatorsIsOnTheirListenerOnly(t *testing.T) {
	p := servertest.Start(t)
	value := token(t, p, p.NewClient("echo.call"))
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/vars", "/help/errors", "/admin"} {
		for _, agent := range []string{"", "kube-probe/1.31", "ELB-HealthChecker/2.0", "GoogleHC/1.0"} {
			t.Run("GW-40 "+path+" "+agent, func(t *testing.T) {
				r := request(t.Context(), t, "GET", p.URL+path, "")
				r.Header.Set("User-Agent", agent)
				r.Header.Set("Authorization", "Bearer "+value)
				if a := send(t, http.DefaultClient, r); a.status != http.StatusNotFound || a.code() != "product_unknown" && a.code() != "route_unknown" {
					t.Errorf("the API listener answers %d %s", a.status, a.body)
				}
			})
		}
		if path == "/help/errors" {
			continue
		}
		t.Run("GW-40 Dashboard "+path, func(t *testing.T) {
			if a := get(t, p.DashboardURL+path); a.status != http.StatusNotFound {
				t.Errorf("the Dashboard listener answers %d", a.status)
			}
		})
	}
	for _, address := range []string{p.OpsURL + "/metrics", p.OpsURL + "/healthz", p.OpsURL + "/readyz", p.DashboardURL + "/help/errors"} {
		t.Run("GW-40 "+address[strings.LastIndex(address, "/"):]+"/twin", func(t *testing.T) {
			if a := get(t, address); a.status != http.StatusOK {
				t.Errorf("answers %d", a.status)
			}
		})
	}
	t.Run("GW-40 API on the ops listener", func(t *testing.T) {
		for _, path := range []string{"/auth/open/connect/token", "/echo/hello", "/auth/open/.well-known/openid-configuration"} {
			if a := get(t, p.OpsURL+path); a.status != http.StatusNotFound {
				t.Errorf("%s answers %d", path, a.status)
			}
		}
	})
}

func TestSUP08_profilesAreServedOnlyWhenAskedFor(t *testing.T) {
	paths := []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap", "/debug/pprof/symbol"}
	p := servertest.Start(t)
	for _, path := range append(paths, "/debug/vars") {
		if a := get(t, p.OpsURL+path); a.status != http.StatusNotFound {
			t.Errorf("SUP-08 %s answers %d", path, a.status)
		}
	}
	t.Run("twin", func(t *testing.T) {
		p := servertest.Start(t, func(c *server.Config) { c.Ops.Pprof = true })
		for _, path := range paths {
			if a := get(t, p.OpsURL+path); a.status != http.StatusOK {
				t.Errorf("%s answers %d", path, a.status)
			}
		}
	})
}

func TestDOS10_requestsThatAreTooLargeAreRefusedUnread(t *testing.T) {
	p := servertest.Start(t)
	value := token(t, p, p.NewClient("echo.call"))
	for name, row := range map[string]struct {
		target, header         string
		twinTarget, twinHeader string
		want                   []int
	}{
		"DOS-10 a megabyte of headers": {"/echo/a", "X-Filler: " + strings.Repeat("a", 1<<20), "/echo/a", "X-Filler: " + strings.Repeat("a", 8<<10), []int{431}},
		"DOS-10 10,000 cookies":        {"/echo/a", "Cookie: " + strings.Repeat("a=b; ", 10_000), "/echo/a", "Cookie: " + strings.Repeat("a=b; ", 100), []int{431}},
		"DOS-10 a target of 64 kB":     {"/echo/" + strings.Repeat("a", 64<<10), "X-Filler: a", "/echo/" + strings.Repeat("a", 4<<10), "X-Filler: a", []int{414, 431}},
		"DOS-10 a target of 9 kB":      {"/echo/" + strings.Repeat("a", 9<<10), "X-Filler: a", "/echo/" + strings.Repeat("a", 7<<10), "X-Filler: a", []int{414}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := raw(t, p, value, row.target, row.header); !slices.Contains(row.want, got) {
				t.Errorf("status %d, want one of %d", got, row.want)
			}
			t.Run("twin", func(t *testing.T) {
				if got := raw(t, p, value, row.twinTarget, row.twinHeader); got != http.StatusOK {
					t.Errorf("status %d, want 200", got)
				}
			})
		})
	}
}

// raw sends a request on a socket of its own and returns the answer's status.
// The server may close before it has read all, so that writing may fail.
func raw(t *testing.T, p *servertest.Platform, token, target, header string) int {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n", target, token, header)
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	_ = conn.Close()
	<-written
	return response.StatusCode
}

var metricName = regexp.MustCompile(`(?m)^# TYPE (doorward_\w+) `)

func TestMetricsTellWhatTheManualSays(t *testing.T) {
	p := servertest.Start(t)
	callEcho(t, p, token(t, p, p.NewClient("echo.call")))
	askToken(t, p, servertest.Client{ID: "sandbox-no-body-123", Value: "wrong"})
	text := get(t, p.OpsURL+"/metrics").body
	for _, series := range []string{
		`doorward_token_requests_total{endpoint="token",outcome="issued"} 1`,
		`doorward_token_requests_total{endpoint="token",outcome="invalid_client"} 1`,
		`doorward_calls_total{product="echo",route="* /{path...}",outcome="2xx"} 1`,
		`doorward_token_request_seconds_count 2`,
		`doorward_call_duration_seconds_count{product="echo",route="* /{path...}"} 1`,
		`doorward_upstream_duration_seconds_count{product="echo"} 1`,
		`doorward_directory_hits_total `, `doorward_snapshot_age_seconds `,
		`doorward_signing_key_age_seconds{environment="sandbox"} `, `doorward_signing_key_age_seconds{environment="production"} `,
	} {
		if !strings.Contains(text, "\n"+series) {
			t.Errorf("no series %s", series)
		}
	}
	manual, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	found := metricName.FindAllStringSubmatch(text, -1)
	if len(found) == 0 {
		t.Fatal("no metrics of ours")
	}
	for _, name := range found {
		if !strings.Contains(string(manual), "`"+name[1]+"`") {
			t.Errorf("docs/operating.md does not explain %s", name[1])
		}
	}
}
