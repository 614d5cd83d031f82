package gateway_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/registry"
)

// wire is a request in bytes that is refused, and its twin that passes.
type wire struct {
	name      string
	raw, twin string
	status    []int
}

// run sends all of them.
func (w *world) run(t *testing.T, tests []wire) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.status) == 0 {
				tt.status = []int{400}
			}
			w.refused(t, tt.raw, tt.status...)
			t.Run("twin", func(t *testing.T) { w.passes(t, tt.twin) })
		})
	}
}

func TestAmbiguousPathsAreRefused(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.narrow) // p1 only
	get := func(target string) string { return w.request("GET", target, token) }
	w.run(t, []wire{
		{name: "GW-01 T1 dot segments", raw: get("/p1/../p2/x"), twin: get("/p1/x")},
		{name: "T1 out of a public route", raw: w.request("GET", "/p1/public/../secret", ""), twin: w.request("GET", "/p1/public", "")},
		{name: "GW-01 T2 encoded dots", raw: get("/p1/%2e%2e/p2/x"), twin: get("/p1/x")},
		{name: "GW-01 T2 half encoded dots", raw: get("/p1/%2E./p2/x"), twin: get("/p1/x")},
		{name: "GW-01 T2 half encoded dots, other half", raw: get("/p1/any/.%2e/x"), twin: get("/p1/any/.x")},
		{name: "GW-01 T10 dots and encoded slash", raw: get("/p1/..%2fp2"), twin: get("/p1/any/..p2")},
		{name: "GW-02 T11 encoded twice", raw: get("/p1/any/%252e%252e%252fp2/x"), twin: get("/p1/any/%25zz")},
		{name: "T11 letter encoded twice", raw: get("/p1/any/%2561dmin"), twin: get("/p1/any/%61dmin")},
		{name: "GW-03 T5 encoded slash", raw: get("/p1/things/a%2Fb"), twin: get("/p1/blobs/a%2Fb")},
		{name: "GW-04 T6 double slash first", raw: get("//p1/x"), twin: get("/p1/x")},
		{name: "GW-04 T6 double slash inside", raw: get("/p1//x"), twin: get("/p1/x")},
		{name: "GW-04 T6 dot and double slash", raw: get("/.//p1/x"), twin: get("/p1/x")},
		{name: "GW-04 T6 slashes without end", raw: get(strings.Repeat("/", 8000)), twin: get("/p1/x"), status: []int{400, 414}},
		{name: "GW-06 T10 backslash", raw: get(`/p1/any/..\p2`), twin: get("/p1/any/p2")},
		{name: "GW-06 T5 encoded backslash", raw: get("/p1/any/a%5cb"), twin: get("/p1/any/a%5bb")},
		{name: "GW-07 T5 encoded slash behind the prefix", raw: get("/p1%2Fx"), twin: get("/p1/x")},
		{name: "GW-07 lower-case escape behind the prefix", raw: get("/p1%2fx"), twin: get("/p1/x")},
		{name: "GW-07 prefix in upper case", raw: get("/P1/x"), twin: get("/p1/x"), status: []int{404}},
		{name: "GW-09 query names an open route", raw: w.request("GET", "/p1/secret?/p1/public", token), twin: get("/p1/x?/p1/public"), status: []int{403}},
		{name: "GW-09 query names another path", raw: get("/p3?x=/p1/x"), twin: get("/p1/x?x=/healthz"), status: []int{404}},
		{name: "GW-10 raw TAB", raw: get("/p1/any/a\tb"), twin: get("/p1/any/ab")},
		{name: "GW-10 raw NUL", raw: get("/p1/any/a\x00b"), twin: get("/p1/any/ab")},
		{name: "GW-10 raw CR", raw: get("/p1/any/a\rb"), twin: get("/p1/any/ab")},
		{name: "GW-10 raw LF", raw: get("/p1/any/a\nb"), twin: get("/p1/any/ab")},
		{name: "GW-10 raw DEL", raw: get("/p1/any/a\x7fb"), twin: get("/p1/any/ab")},
		{name: "GW-10 encoded CR LF", raw: get("/p1/any/a%0d%0aX-Evil:%201"), twin: get("/p1/any/aX-Evil:%201")},
		{name: "GW-10 T5 encoded NUL", raw: get("/p1/any/a%00"), twin: get("/p1/any/a%30")},
		{name: "T5 encoded semicolon", raw: get("/p1/any/a%3bb"), twin: get("/p1/any/a%3ab")},
		{name: "T5 encoded question mark", raw: get("/p1/any/a%3fb"), twin: get("/p1/any/a?b")},
		{name: "T5 encoded hash", raw: get("/p1/any/a%23b"), twin: get("/p1/any/a%24b")},
		{name: "T13 matrix parameter", raw: get("/p1/secret;x=1"), twin: get("/p1/any/secret")},
		{name: "T13 trailing slash", raw: get("/p1/x/"), twin: get("/p1/x"), status: []int{404}},
		{name: "T15 undeclared path", raw: get("/p1/undeclared"), twin: get("/p1/x"), status: []int{404}},
	})
}

func TestHostDoesNotChoose(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	with := func(line string, fields ...string) string {
		return line + "\r\n" + strings.Join(append(fields, "Authorization: Bearer "+token), "\r\n") + "\r\n\r\n"
	}
	good := with("GET /p1/x HTTP/1.1", "Host: api.example")
	w.run(t, []wire{
		{name: "GW-14 missing", raw: with("GET /p1/x HTTP/1.1", "Accept: */*"), twin: good},
		{name: "GW-14 missing in HTTP/1.0", raw: with("GET /p1/x HTTP/1.0", "Accept: */*"), twin: with("GET /p1/x HTTP/1.0", "Host: api.example")},
		{name: "GW-14 empty", raw: with("GET /p1/x HTTP/1.1", "Host:"), twin: good},
		{name: "GW-14 twice", raw: with("GET /p1/x HTTP/1.1", "Host: api.example", "Host: api.example"), twin: good},
		{name: "GW-14 two unequal", raw: with("GET /p1/x HTTP/1.1", "Host: api.example", "Host: evil.example"), twin: good},
		{name: "GW-13 absolute target of another scheme", raw: with("GET ftp://api.example/p1/x HTTP/1.1", "Host: api.example"), twin: with("GET http://api.example/p1/x HTTP/1.1", "Host: api.example")},
	})
	for _, host := range []string{"api.example.", "API.EXAMPLE", "api.example:8443", "127.0.0.1", "evil.example"} {
		t.Run("GW-14 same decision for "+host, func(t *testing.T) {
			got, _ := w.passes(t, with("GET /p1/x HTTP/1.1", "Host: "+host))
			if got.header.Get("X-Forwarded-Host") != "api.example" {
				t.Errorf("X-Forwarded-Host = %q", got.header.Get("X-Forwarded-Host"))
			}
			w.refused(t, with("GET /p1/secret HTTP/1.1", "Host: "+host), 403)
		})
	}
	t.Run("GW-13 the absolute target wins everywhere", func(t *testing.T) {
		got, _ := w.passes(t, with("GET http://one.example/p1/x HTTP/1.1", "Host: two.example"))
		if text := strings.Join(got.fields, "\n"); strings.Contains(text, "two.example") || strings.Contains(text, "one.example") || got.target() != "/x" {
			t.Errorf("the upstream got %s\n%s", got.line, text)
		}
	})
}

func TestUpstreamGetsExactlyWhatWasMatched(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	for _, tt := range []struct{ name, target, want string }{
		{"plain", "/p1/x", "/x"},
		{"query unchanged", "/p1/x?b=1&a=%7e~&&c&signicat=%41+b", "/x?b=1&a=%7e~&&c&signicat=%41+b"},
		{"empty query", "/p1/x?", "/x?"},
		{"question mark in query", "/p1/x?a?b", "/x?a?b"},
		{"GW-03 encoded slash where it is taken", "/p1/blobs/a%2fb%2Fc", "/blobs/a%2fb%2Fc"},
		{"needless escapes", "/p1/any/%41%7e%2d", "/any/%41%7e%2d"},
		{"T3 escaped path of the prefix", "/%70%31/any/%61", "/any/%61"},
		{"T3 multi-byte prefix", "/p%2e1/%C3%A9/%c3%a9/x", "/%c3%a9/x"},
		{"T3 multi-byte prefix in lower case", "/p.1/%c3%a9/a", "/a"},
		{"all that may stand for itself", "/p1/any/-._~!$&'()*+,=:@[]", "/any/-._~!$&'()*+,=:@[]"},
		{"encoded of those", "/p1/any/%2d%2e%5f%7e%21%24%26%27%28%29%2a%2b%2c%3d%3a%40%5b%5D", "/any/%2d%2e%5f%7e%21%24%26%27%28%29%2a%2b%2c%3d%3a%40%5b%5D"},
		{"space and percent", "/p1/any/a%20b%25", "/any/a%20b%25"},
		{"base path of the upstream", "/p2/x?q", "/base/v%201/x?q"},
		{"prefix alone with a base path", "/p2", "/base/v%201/"},
		{"trailing slash under a rest", "/p1/any/a/", "/any/a/"},
		{"colon first", "/p1/any/:80", "/any/:80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := w.passes(t, w.request("GET", tt.target, token))
			if diff := cmp.Diff("GET "+tt.want+" HTTP/1.1", got.line); diff != "" {
				t.Error(diff)
			}
			if host := got.fields[0]; host != "Host: "+strings.TrimPrefix(w.upstream.url(), "http://") {
				t.Errorf("first field %q, want the upstream's own host", host)
			}
		})
	}
}

func TestUpstreamIsChosenByEnvironment(t *testing.T) {
	w := newWorld(t)
	t.Run("GW-39 product without a production upstream", func(t *testing.T) {
		w.refused(t, w.request("GET", "/p2/x", w.token(w.live)), 404)
		t.Run("twin", func(t *testing.T) { w.passes(t, w.request("GET", "/p2/x", w.token(w.client))) })
	})
	t.Run("GW-39 token of one environment names an account of the other", func(t *testing.T) {
		a := w.refused(t, w.request("GET", "/p1/x?"+parameter+"="+string(w.production), w.token(w.client)), 403)
		if a.code() != "account_mismatch" || !strings.Contains(w.accesses.String(), `"status":403,"code":"account_mismatch","client":"`+string(w.client)) {
			t.Errorf("code %q, access log %s", a.code(), w.accesses)
		}
		t.Run("twin", func(t *testing.T) {
			w.passes(t, w.request("GET", "/p1/x?"+parameter+"="+string(w.sandbox), w.token(w.client)))
		})
	})
	t.Run("GW-39 product is not granted in production", func(t *testing.T) {
		w.apply(registry.WithdrawProduct{Product: "p1", Environment: "production"})
		w.refused(t, w.request("GET", "/p1/x", w.token(w.live)), 403)
		t.Run("twin", func(t *testing.T) {
			w.apply(registry.GrantProduct{Product: "p1", Environment: "production"})
			w.passes(t, w.request("GET", "/p1/x", w.token(w.live)))
		})
	})
}
