package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/id"
)

func FuzzTraceparent(f *testing.F) {
	for _, seed := range []string{"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-x", "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "ff-", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		var r randomness
		got := r.traceOf(rand.Reader, http.Header{"Traceparent": {sent}})
		if !wellFormed(got.parent) || len(got.parent) != parentLength || got.parent[:3] != "00-" {
			t.Errorf("%q became %q", sent, got.parent)
		}
		if wellFormed(sent) && got.id() != sent[3:traceEnd] {
			t.Errorf("%q is not gone on with: %q", sent, got.parent)
		}
	})
}

func FuzzCookies(f *testing.F) {
	for _, seed := range []string{"", "a=1", "__Host-doorward=1", "a=1; __HOST-doorward-x=2;b", ";;__host-doorward", "a=__Host-doorward", "a=1;\t__Host-doorward=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		for _, header := range withoutDashboardCookies([]string{sent}) {
			for cookie := range strings.SplitSeq(header, ";") {
				if isDashboards(strings.Trim(cookie, " \t")) {
					t.Errorf("%q became %q", sent, header)
				}
			}
		}
		if keepCookie(sent) && isDashboards(strings.Trim(sent, " \t")) {
			t.Errorf("an upstream may set %q", sent)
		}
	})
}

// T3: what is forwarded is what was matched, byte for byte.
func FuzzForwardedTarget(f *testing.F) {
	for _, seed := range []string{"/", "/a?", "/p/%2e1/%C3%A9?x=%7e", "/a/!$&'()*+,=:@[]", "/a%20b/c%25?a?b&&", "/:80", "/a/"} {
		f.Add(seed, "/base")
	}
	f.Fuzz(func(t *testing.T, raw, base string) {
		target, err := access.ParseTarget(raw, "api.example")
		if _, badBase := access.ParseTarget("/"+base, ""); err != nil || badBase != nil || strings.ContainsAny(base, "?") || !strings.HasPrefix(raw, "/") {
			return
		}
		base = strings.TrimSuffix("/"+strings.Trim(base, "/"), "/")
		in, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		in.RequestURI = raw
		c := &call{gateway: &Gateway{}}
		c.incoming = in
		c.trace.parent = strings.Repeat("0", parentLength)
		c.product = &product{upstreams: map[id.Environment]*upstream{id.Sandbox: {scheme: "http", host: "upstream.example", base: base}}}
		c.decision = access.Decision{Path: target.Stripped(0), RawQuery: target.RawQuery(), Environment: id.Sandbox}
		var general bytes.Buffer
		if err := c.request(c.upstreamOf()).Write(&general); err != nil {
			t.Fatal(err)
		}
		var direct connection
		if err := direct.compose(c); err != nil {
			t.Fatal(err)
		}
		for _, wire := range []string{general.String(), string(direct.head)} {
			line, _, _ := strings.Cut(wire, "\r\n")
			if want := "GET " + base + raw + " HTTP/1.1"; line != want {
				t.Errorf("sent %q, want %q", line, want)
			}
		}
	})
}

func FuzzLogString(f *testing.F) {
	for _, seed := range []string{"", "a\"b\\", "\r\n\x1b[31m", "\u202e\u2028", "\xff\xfe", "😀", "\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := appendString(nil, text)
		for _, c := range line {
			if c < ' ' || c > '~' {
				t.Fatalf("%q became %q", text, line)
			}
		}
		var read string
		if err := json.Unmarshal(line, &read); err != nil || read != strings.ToValidUTF8(text, "\ufffd") && utf8.ValidString(text) {
			t.Errorf("%q became %s, error %v", text, line, err)
		}
	})
}

func TestNamesAreReadAsUpstreamsDo(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization", "X_Forwarded_For", "x.forwarded.host", "Doorward-Anything", "DOORWARD_X", "Proxy", "Te", "Connection", "X-Real-Ip", "X-Http-Method-Override", "X-Original-Url", "Transfer_encoding"} {
		if ofCaller(name) {
			t.Errorf("%s passes", name)
		}
	}
	for _, name := range []string{"Accept", "Authorization-Extra", "Cookie", "Content-Type", "Doorwardx", "Doorward", "From", "Host-Header", "If-Match", "Proxyx", "Tea", "User-Agent", "X", "X-Request-Id", "Expect", "Via", "Range"} {
		if !ofCaller(name) {
			t.Errorf("%s does not pass", name)
		}
	}
}

func TestIdentitiesAreBounded(t *testing.T) {
	s := newIdentities("", nil)
	for i := range 40_000 {
		s.renewable(identityKey{scope: strconv.Itoa(i)})
	}
	held := 0
	for i := range s.shards {
		held += len(s.shards[i].young) + len(s.shards[i].old)
	}
	if most := 2 * identityShards * identityShardSize; held > most || held < most/3 {
		t.Errorf("%d identities are held, want %d at most", held, most)
	}
	t.Run("twin", func(t *testing.T) {
		kept := s.renewable(identityKey{scope: "kept"})
		for i := range 100 {
			s.renewable(identityKey{scope: "other" + strconv.Itoa(i)})
		}
		if s.renewable(identityKey{scope: "kept"}) != kept {
			t.Error("one that is used is dropped")
		}
	})
}
