package gateway_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/gateway"
)

// ours are the names that the gateway alone writes.
var ours = []string{"Doorward-Client-Id", "Doorward-Account-Id", "Doorward-Organisation-Id", "Doorward-Sandbox", "Doorward-Permissions", "Doorward-Assertion", "Doorward-Request-Id"}

// spellings of a name that some upstream reads as the name.
func spellings(name string) []string {
	return []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(strings.ToLower(name), "-", "_"), strings.Replace(name, "-", "_", 1), strings.ReplaceAll(name, "-", ".")}
}

// reading returns all values of headers that an upstream could read as name.
func reading(r *received, name string) (values []string) {
	fold := func(s string) string {
		return strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return c
			}
			return '-'
		}, strings.ToLower(s))
	}
	for _, f := range r.fields {
		n, v, _ := strings.Cut(f, ":")
		if fold(n) == fold(name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

func TestGW15_identityHeadersAreOurs(t *testing.T) {
	w := newWorld(t)
	want := map[string][]string{
		"Doorward-Client-Id": {string(w.client)}, "Doorward-Account-Id": {string(w.sandbox)}, "Doorward-Organisation-Id": {string(w.organisation)},
		"Doorward-Sandbox": {"true"}, "Doorward-Permissions": {"p1.read"},
	}
	for _, name := range ours {
		for i, spelling := range spellings(name) {
			t.Run("GW-15 T16 "+spelling, func(t *testing.T) {
				got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), spelling+": evil", spelling+": evil2"))
				values := reading(got, name)
				if len(values) != 1 || strings.Contains(values[0], "evil") || want[name] != nil && !slices.Equal(values, want[name]) {
					t.Errorf("%s = %q, want %q", name, values, want[name])
				}
			})
			t.Run("T21 anonymous "+spelling, func(t *testing.T) {
				got, _ := w.passes(t, w.request("GET", "/p1/public", "", spelling+": evil"))
				if values := reading(got, name); name != "Doorward-Request-Id" && len(values) > 0 {
					t.Errorf("%s = %q on an anonymous call", name, values)
				}
			})
			if i == 0 {
				t.Run("GW-17 T18 Connection names "+name, func(t *testing.T) {
					got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), "Connection: close, "+strings.ToLower(name)+", Authorization, X-Forwarded-For"))
					if values := reading(got, name); len(values) != 1 {
						t.Errorf("%s = %q", name, values)
					}
				})
			}
		}
	}
	t.Run("T16 names in our namespace that we do not write", func(t *testing.T) {
		got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), "Doorward-Admin: 1", "doorward_role: 1", "DOORWARD-X: 1"))
		for _, f := range got.fields {
			if name, _, _ := strings.Cut(f, ":"); strings.HasPrefix(strings.ToLower(name), "doorward") && !slices.Contains(ours, name) {
				t.Errorf("the upstream got %s", f)
			}
		}
	})
	t.Run("T16 account header is absent when the call acts on none", func(t *testing.T) {
		got, _ := w.passes(t, w.request("GET", "/p1/none", w.token(w.ours), "Doorward-Account-Id: "+string(w.other)))
		if values := reading(got, "Doorward-Account-Id"); len(values) != 0 {
			t.Errorf("account = %q", values)
		}
		t.Run("twin", func(t *testing.T) {
			got, _ := w.passes(t, w.request("GET", "/p1/x?"+parameter+"="+string(w.production), w.token(w.ours)))
			if diff := cmp.Diff([]string{string(w.production)}, reading(got, "Doorward-Account-Id")); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestConnectionHeadersAreEndToEndSafe(t *testing.T) {
	w := newWorld(t)
	for name, fields := range map[string][]string{
		"T19 first is empty":       {"Connection:", "Connection: close, Doorward-Client-Id, Doorward-Assertion"},
		"T19 two lines":            {"Connection: Doorward-Client-Id", "Connection: Doorward-Assertion"},
		"GW-17 upper case":         {"Connection: DOORWARD-CLIENT-ID,DOORWARD-ASSERTION"},
		"GW-17 odd spaces":         {"Connection: \tDoorward-Client-Id ,  Doorward-Assertion\t"},
		"GW-17 underscores":        {"Connection: Doorward_Client_Id, doorward_assertion"},
		"T18 forwarded and others": {"Connection: X-Forwarded-Host, Doorward-Assertion, Host, Traceparent"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), fields...))
			for _, name := range []string{"Doorward-Client-Id", "Doorward-Assertion", "X-Forwarded-Host", "Traceparent"} {
				if values := reading(got, name); len(values) != 1 {
					t.Errorf("%s = %q", name, values)
				}
			}
		})
	}
	t.Run("hop-by-hop headers end here", func(t *testing.T) {
		got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "TE: gzip", "Trailer: X-T",
			"Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive", "Proxy: http://evil.example", "Transfer_Encoding: chunked", "Content_Length: 5", "X-End: 1"))
		for _, name := range []string{"X-Hop", "Keep-Alive", "Te", "Trailer", "Proxy-Authorization", "Proxy-Connection", "Proxy", "Transfer-Encoding", "Content-Length", "Connection"} {
			if values := reading(got, name); len(values) != 0 {
				t.Errorf("%s = %q", name, values)
			}
		}
		if values := reading(got, "X-End"); len(values) != 1 {
			t.Errorf("X-End = %q", values)
		}
	})
	t.Run("TE: trailers is told", func(t *testing.T) {
		got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), "TE: gzip, Trailers"))
		if diff := cmp.Diff([]string{"trailers"}, reading(got, "Te")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("upgrades are ordinary requests", func(t *testing.T) {
		got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"))
		if values := append(reading(got, "Upgrade"), reading(got, "Connection")...); len(values) != 0 {
			t.Errorf("the upstream got %q", values)
		}
	})
}

func TestGW18_forwardedFamilyIsRebuilt(t *testing.T) {
	w := newWorld(t)
	dropped := []string{"Forwarded", "X-Forwarded", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Server", "X-Forwarded-Client-Cert", "X-Real-Ip",
		"X-Original-Url", "X-Original-Method", "X-Rewrite-Url", "X-Envoy-Internal", "X-Envoy-Retry-On", "X-Envoy-Upstream-Rq-Timeout-Ms", "X-Client-Ip", "True-Client-Ip", "Client-Cert"}
	written := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "api.example", "X-Forwarded-Proto": "https"}
	var fields []string
	for _, name := range dropped {
		fields = append(fields, name+": 6.6.6.6", strings.ReplaceAll(name, "-", "_")+": 6.6.6.6")
	}
	for name := range written {
		fields = append(fields, name+": 6.6.6.6", strings.ReplaceAll(name, "-", "_")+": 6.6.6.6")
	}
	got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), fields...))
	for _, name := range dropped {
		t.Run("GW-18 T20 T25 "+name, func(t *testing.T) {
			if values := reading(got, name); len(values) != 0 {
				t.Errorf("%s = %q", name, values)
			}
		})
	}
	for name, want := range written {
		t.Run("GW-18 T20 T23 "+name, func(t *testing.T) {
			if diff := cmp.Diff([]string{want}, reading(got, name)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("GW-18 decisions and logs use the peer", func(t *testing.T) {
		if log := w.accesses.String(); strings.Contains(log, "6.6.6.6") || !strings.Contains(log, `"peer":"127.0.0.1"`) {
			t.Errorf("access log %s", log)
		}
	})
}

func TestGW18_peerIsWhoeverRemoteAddrSays(t *testing.T) {
	for _, tt := range []struct{ remote, want string }{
		{"192.0.2.7:4711", "192.0.2.7"}, {"[2001:db8::7]:4711", "2001:db8::7"}, {"2001:db8::7", "2001:db8::7"}, {"192.0.2.7", "192.0.2.7"}, {"@", ""}, {"", ""}, {"evil, 6.6.6.6", ""},
	} {
		t.Run(tt.remote, func(t *testing.T) {
			w := newWorld(t, func(_ *gateway.Config, s *http.Server) { s.Handler = http.NotFoundHandler() })
			server := &http.Server{ReadHeaderTimeout: deadline, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				r.RemoteAddr = tt.remote
				w.gateway.ServeHTTP(rw, r)
			})}
			w.serve(server)
			got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), "X-Forwarded-For: 6.6.6.6"))
			if values := strings.Join(reading(got, "X-Forwarded-For"), " "); values != tt.want {
				t.Errorf("X-Forwarded-For = %q, want %q", values, tt.want)
			}
		})
	}
}

func TestGW19_methodOverridesHaveNoEffect(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override"} {
		t.Run("GW-19 "+name, func(t *testing.T) {
			got, _ := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), name+": DELETE"))
			if values := reading(got, name); len(values) != 0 || !strings.HasPrefix(got.line, "GET ") {
				t.Errorf("the upstream got %s with %q", got.line, values)
			}
			w.refused(t, w.request("DELETE", "/p1/x", w.token(w.client), name+": GET"), 405)
		})
	}
	for target, token := range map[string]string{"/p1/x": w.token(w.client), "/p1/public": ""} {
		t.Run("GW-19 _method in the query of "+target, func(t *testing.T) {
			got, _ := w.passes(t, w.request("GET", target+"?a=%7e&_method=DELETE&b", token))
			if want := "GET " + strings.Replace(target, "/p1", "", 1) + "?a=%7e&b HTTP/1.1"; got.line != want {
				t.Errorf("the upstream got %q, want %q", got.line, want)
			}
			w.refused(t, w.request("DELETE", target+"?_method=GET", token), 405)
		})
	}
}

func TestGW34_credentialsForUsStayHere(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	got, _ := w.passes(t, w.request("GET", "/p1/x", token, "Cookie: a=1; __Host-doorward=s; b=2", "Cookie: __host-Doorward-flash=x", "Cookie: c=__Host-doorward", "Authentication: theirs"))
	if text := strings.Join(got.fields, "\n"); strings.Contains(text, token) || strings.Contains(text, "doorward=s") || strings.Contains(text, "flash") {
		t.Errorf("the upstream got\n%s", text)
	}
	if diff := cmp.Diff([]string{"a=1; b=2", "c=__Host-doorward"}, reading(got, "Cookie")); diff != "" {
		t.Error(diff)
	}
	t.Run("no cookie is left", func(t *testing.T) {
		got, _ := w.passes(t, w.request("GET", "/p1/x", token, "Cookie: __Host-doorward-session=s"))
		if values := reading(got, "Cookie"); len(values) != 0 {
			t.Errorf("Cookie = %q", values)
		}
	})
	t.Run("basic credentials on an open route", func(t *testing.T) {
		got, _ := w.passes(t, w.request("GET", "/p1/public", ""))
		if values := reading(got, "Authorization"); len(values) != 0 {
			t.Errorf("Authorization = %q", values)
		}
		w.refused(t, w.request("GET", "/p1/public", "", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("a:b"))), 401)
	})
	t.Run("what the caller may say passes unchanged", func(t *testing.T) {
		fields := []string{"Accept: a/b", "Accept: c/d", "User-Agent: sdk/1", "X-Own: 1", "If-None-Match: \"x\"", "Accept-Encoding: br"}
		got, _ := w.passes(t, w.request("GET", "/p1/x", token, fields...))
		for _, f := range fields {
			if !slices.Contains(got.fields, f) {
				t.Errorf("the upstream did not get %s", f)
			}
		}
	})
	t.Run("no user agent is made up", func(t *testing.T) {
		got, _ := w.passes(t, w.request("GET", "/p1/x", token))
		if values := append(reading(got, "User-Agent"), reading(got, "Accept-Encoding")...); len(values) != 0 {
			t.Errorf("the upstream got %q", values)
		}
	})
}
