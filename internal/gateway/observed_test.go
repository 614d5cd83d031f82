package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// await waits until the text was written.
func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	for {
		written := l.String()
		if strings.Contains(written, text) {
			return
		}
		if !l.writtenAfter(len(written)) {
			t.Errorf("waited for %s in\n%s", text, written)
			return
		}
	}
}

// last is the newest line, as JSON.
func (l *lines) last(t *testing.T) map[string]any {
	t.Helper()
	all := strings.Split(strings.TrimSuffix(l.String(), "\n"), "\n")
	var members map[string]any
	if err := json.Unmarshal([]byte(all[len(all)-1]), &members); err != nil {
		t.Fatalf("line %s: %v", all[len(all)-1], err)
	}
	return members
}

func TestAccessLogHasALinePerCall(t *testing.T) {
	w := newWorld(t)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	claims := w.claims(w.client)
	w.passes(t, w.request("GET", "/p1/things/4711?secret=1", w.token(w.client), "Traceparent: "+parent))
	w.accesses.await(t, "\n")
	got := w.accesses.last(t)
	for _, name := range []string{"time", "upstream_ms", "total_ms", "jti"} {
		if got[name] == nil {
			t.Errorf("no member %s", name)
		}
		delete(got, name)
	}
	want := map[string]any{
		"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "method": "GET", "product": "p1", "route": "GET /things/{id}", "status": 200.0, "client": claims.ClientID,
		"account": claims.AccountID, "peer": "127.0.0.1", "bytes": 2.0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(w.accesses.String(), "4711") || strings.Contains(w.accesses.String(), "secret") {
		t.Error("the log holds the path or the query")
	}
}

func TestAUD06_hostileTextStaysInItsPlace(t *testing.T) {
	w := newWorld(t)
	for name, raw := range map[string]string{
		"AUD-06 T45 method":     w.request("G'%{$`|~^&*+!#", "/p1/x", ""),
		"AUD-06 long method":    w.request(strings.Repeat("A", 10_000), "/p1/x", ""),
		"AUD-06 T45 path":       w.request("GET", `/p1/x","code":"ok`, ""),
		"AUD-06 T45 user agent": w.request("GET", "/p1/x", "", "User-Agent: \x1b[31m\",\"status\":200,\xe2\x80\xae"),
		"AUD-06 T45 trace":      w.request("GET", "/p1/x", "", `Traceparent: 00-","status":200,"a":"aaaaaaaaaaaa-00f067aa0ba902b7-01`),
		"AUD-06 T45 token":      w.request("GET", "/p1/x", `a","client":"evil`),
	} {
		t.Run(name, func(t *testing.T) {
			before := strings.Count(w.accesses.String(), "\n")
			a := w.send(raw)
			if a.status == 200 {
				t.Errorf("status %d", a.status)
			}
			if before == strings.Count(w.accesses.String(), "\n") {
				return // net/http refused it by itself
			}
			got := w.accesses.last(t)
			if got["client"] != nil || got["code"] == "ok" || got["status"] == 200.0 || len(fmt.Sprint(got["method"])) > 16 {
				t.Errorf("line %v", got)
			}
			for _, c := range w.accesses.String() {
				if c != '\n' && (c < ' ' || c > '~') {
					t.Fatalf("the log holds %q", c)
				}
			}
		})
	}
}

func TestMetricsCountByRoute(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	w.passes(t, w.request("GET", "/p1/things/1", token))
	w.passes(t, w.request("GET", "/p1/things/2", token))
	w.upstream.says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	w.send(w.request("GET", "/p1/things/3", token))
	w.send(w.request("GET", "/p1/secret", token))
	w.send(w.request("GET", "/p1/none/such", token))
	w.send(w.request("GET", "/elsewhere", token))
	w.upstream.saysLast("")
	w.send(w.request("GET", "/p1/things/3", token))
	w.accesses.await(t, "upstream_unreachable")
	want := []string{
		`doorward_calls_total / product_unknown 1`, `doorward_calls_total p1/ route_unknown 1`, `doorward_calls_total p1/GET /secret permission_missing 1`,
		`doorward_calls_total p1/GET /things/{id} 2xx 2`, `doorward_calls_total p1/GET /things/{id} 4xx 1`, `doorward_calls_total p1/GET /things/{id} upstream_unreachable 1`,
		`durations 7`, `upstream 4`,
	}
	if diff := cmp.Diff(want, w.counted(t)); diff != "" {
		t.Error(diff)
	}
}

// counted lists the counters that are not zero, and how much was timed.
func (w *world) counted(t *testing.T) (all []string) {
	t.Helper()
	var page bytes.Buffer
	_, err := w.metrics.WriteTo(&page)
	w.must(err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&page)
	w.must(err)
	timed := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			label := map[string]string{}
			for _, l := range m.GetLabel() {
				label[l.GetName()] = l.GetValue()
			}
			timed[f.GetName()] += m.GetHistogram().GetSampleCount()
			if n := m.GetCounter().GetValue(); n > 0 {
				all = append(all, fmt.Sprintf("%s %s/%s %s %v", f.GetName(), label["product"], label["route"], label["outcome"], n))
			}
		}
	}
	sort.Strings(all)
	return append(all, fmt.Sprint("durations ", timed["doorward_call_duration_seconds"]), fmt.Sprint("upstream ", timed["doorward_upstream_duration_seconds"]))
}

func TestGW40_nothingElseIsReachableHere(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/healthz", "/livez", "/readyz", "/admin", "/"} {
		t.Run("GW-40 "+path, func(t *testing.T) {
			w.refused(t, w.request("GET", path, w.token(w.client), "User-Agent: kube-probe/1.30"), 404)
			w.refused(t, w.request("GET", path, "", "User-Agent: GoogleHC/1.0"), 404)
		})
	}
	t.Run("GW-40 probe's user agent opens nothing", func(t *testing.T) {
		w.refused(t, w.request("GET", "/p1/x", "", "User-Agent: kube-probe/1.30"), 401)
		t.Run("twin", func(t *testing.T) {
			w.passes(t, w.request("GET", "/p1/x", w.token(w.client), "User-Agent: kube-probe/1.30"))
		})
	})
}

func TestTraceGoesOn(t *testing.T) {
	w := newWorld(t)
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, tt := range []struct {
		name   string
		fields []string
		goesOn bool
		flags  string
	}{
		{"good", []string{"Traceparent: 00-" + id + "-" + span + "-01"}, true, "01"},
		{"not sampled", []string{"Traceparent: 00-" + id + "-" + span + "-00"}, true, "00"},
		{"flags of later versions", []string{"Traceparent: 01-" + id + "-" + span + "-ff-more"}, true, "01"},
		{"later version, longer without a dash", []string{"Traceparent: 01-" + id + "-" + span + "-01more"}, false, "00"},
		{"odd letter of flags", []string{"Traceparent: 00-" + id + "-" + span + "-0b"}, true, "01"},
		{"even letter of flags", []string{"Traceparent: 00-" + id + "-" + span + "-0a"}, true, "00"},
		{"version 00, longer", []string{"Traceparent: 00-" + id + "-" + span + "-01-more"}, false, "00"},
		{"version ff", []string{"Traceparent: ff-" + id + "-" + span + "-01"}, false, "00"},
		{"upper case", []string{"Traceparent: 00-" + strings.ToUpper(id) + "-" + span + "-01"}, false, "00"},
		{"zero trace", []string{"Traceparent: 00-" + strings.Repeat("0", 32) + "-" + span + "-01"}, false, "00"},
		{"zero span", []string{"Traceparent: 00-" + id + "-" + strings.Repeat("0", 16) + "-01"}, false, "00"},
		{"short", []string{"Traceparent: 00-" + id + "-" + span + "-0"}, false, "00"},
		{"twice", []string{"Traceparent: 00-" + id + "-" + span + "-01", "Traceparent: 00-" + id + "-" + span + "-01"}, false, "00"},
		{"none", nil, false, "00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, a := w.passes(t, w.request("GET", "/p1/x", w.token(w.client), append(tt.fields, "Tracestate: a=b")...))
			parent := strings.Join(reading(got, "Traceparent"), " ")
			if len(parent) != 55 || (parent[3:35] == id) != tt.goesOn || parent[36:52] == span || parent[53:] != tt.flags {
				t.Errorf("traceparent %q", parent)
			}
			if sent := a.header.Get("Doorward-Request-Id"); sent != parent[3:35] || reading(got, "Doorward-Request-Id")[0] != sent {
				t.Errorf("request id %q", sent)
			}
			if state := reading(got, "Tracestate"); (len(state) == 1) != tt.goesOn {
				t.Errorf("tracestate %q", state)
			}
		})
	}
}
