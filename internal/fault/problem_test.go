package fault_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const helpURL = "https://dashboard.example/help/errors"

func TestProblemDocuments(t *testing.T) {
	missing := fault.New(fault.PermissionMissing, "this call needs %s; the client %s does not have it", "auth.sessions.read", "sandbox-round-apple-123")
	missing.Scope = "auth.sessions.read"
	limited := fault.New(fault.TooManyRequests, "")
	limited.RetryAfter = 1200 * time.Millisecond
	method := fault.New(fault.MethodNotAllowed, "use GET or POST here")
	method.Allow = []string{"GET", "POST"}
	invalid := fault.New(fault.InvalidRequest, "client_id and lifetime are wrong")
	invalid.Params = []fault.Param{{Name: "lifetime", Reason: "must be 1 to 3600 seconds"}, {Name: `a"b`, Reason: "<script>"}}

	for name, err := range map[string]error{
		"permission_missing": fmt.Errorf("decide: %w", missing),
		"token_missing":      fault.New(fault.TokenMissing, ""),
		"token_expired":      fault.New(fault.TokenExpired, "the token expired 12 s ago; request a new one"),
		"rate_limited":       limited,
		"method_not_allowed": method,
		"invalid":            invalid,
		"conflict":           fault.Errorf(fault.Conflict, "the name is taken: %w", errors.New("UNIQUE constraint client.name")),
		"internal":           errors.New("dial tcp 10.0.0.7:5432: connection refused"),
		"internal_kind":      fault.Errorf(fault.Internal, "key of row 7 is broken"),
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			fault.WriteProblem(w, helpURL, "4bf92f3577b34da6a3ce929d0e0e4736", err)
			golden(t, name, dump(w))
			if !json.Valid(w.Body.Bytes()) {
				t.Error("body is not JSON")
			}
		})
	}
}

func TestGW35_causeOfInternalErrorNeverLeaves(t *testing.T) {
	const inner = "dial tcp 10.0.0.7:5432"
	answer := func(err error) string {
		w := httptest.NewRecorder()
		fault.WriteProblem(w, helpURL, "", err)
		return dump(w)
	}
	for name, err := range map[string]error{
		"plain":                errors.New(inner),
		"kind internal":        fault.Errorf(fault.Internal, inner),
		"unavailable, wrapped": fault.Errorf(fault.Unavailable, "later: %w", errors.New(inner)),
		"upstream unreachable": fault.New(fault.UpstreamUnreachable, "%w", errors.New(inner)),
		"nil":                  nil,
	} {
		t.Run(name, func(t *testing.T) {
			if got := answer(err); strings.Contains(got, "10.0.0.7") {
				t.Errorf("answer names the inner address:\n%s", got)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if got := answer(fault.New(fault.InvalidRequest, "%s is not an address", inner)); !strings.Contains(got, "10.0.0.7") {
			t.Errorf("the message of a fault of the caller is not shown:\n%s", got)
		}
	})
}

func TestHostileTextStaysInsideItsString(t *testing.T) {
	const hostile = "\"},{\x00\r\nSet-Cookie: a=b\\ <script>\u2028é𝄞\xff"
	e := fault.New(fault.PermissionMissing, "%s", hostile)
	e.Scope = hostile
	e.Params = []fault.Param{{Name: hostile, Reason: hostile}}
	w := httptest.NewRecorder()
	fault.WriteProblem(w, helpURL, hostile, e)

	var got struct {
		Detail, TraceID string
		InvalidParams   []fault.Param
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	want := strings.ToValidUTF8(hostile, "\ufffd")
	if got.Detail != want+"." || got.TraceID != want || got.InvalidParams[0] != (fault.Param{Name: want, Reason: want}) {
		t.Errorf("text changed on the way: %q", got)
	}
	if strings.ContainsAny(w.Body.String(), "<>\u2028\x00") {
		t.Errorf("characters that mean something elsewhere are not escaped: %q", w.Body)
	}
	challenge := w.Header().Get("WWW-Authenticate")
	if n := strings.Count(challenge, `"`); n != 8 {
		t.Errorf("challenge has %d quotes, want 8: %s", n, challenge)
	}
}

func TestTOK31_descriptionKeepsToTheAllowedCharacters(t *testing.T) {
	allowed := func(c byte) bool { // RFC 6749 §5.2
		return c == 0x20 || c == 0x21 || c >= 0x23 && c <= 0x5b || c >= 0x5d && c <= 0x7e
	}
	for c := range 256 {
		got := fault.Description("x" + string([]byte{byte(c)}) + "y")
		if len(got) != 3 || !allowed(got[1]) {
			t.Errorf("Description of byte %#x = %q", c, got)
		}
		if allowed(byte(c)) != (got[1] == byte(c)) {
			t.Errorf("byte %#x: allowed %v, became %q", c, allowed(byte(c)), got)
		}
	}
	t.Run("long text is cut", func(t *testing.T) {
		if got := len(fault.Description(strings.Repeat("é", 1000))); got != 300 {
			t.Errorf("length = %d, want 300", got)
		}
	})
	t.Run("twin", func(t *testing.T) {
		const plain = "this call needs auth.sessions.read; ask for it"
		if got := fault.Description(plain); got != plain {
			t.Errorf("Description(%q) = %q", plain, got)
		}
	})
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		time.Nanosecond: "1", time.Second: "1", time.Second + 1: "2", 90 * time.Second: "90", 0: "1", -time.Second: "1",
	} {
		e := fault.New(fault.TooManyRequests, "")
		e.RetryAfter = wait
		w := httptest.NewRecorder()
		fault.WriteProblem(w, "", "", e)
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("Retry-After for %v = %q, want %q", wait, got, want)
		}
	}
}

func FuzzProblemIsAlwaysOneJSONObject(f *testing.F) {
	f.Add("no such account", "auth.sessions.read")
	f.Add("\"\\\x00\xff\u2029", "<&>")
	f.Fuzz(func(t *testing.T, message, scope string) {
		e := fault.New(fault.PermissionMissing, "%s", message)
		e.Scope = scope
		w := httptest.NewRecorder()
		fault.WriteProblem(w, helpURL, message, e)
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("not JSON: %q", w.Body)
		}
		if strings.ContainsFunc(w.Header().Get("WWW-Authenticate"), func(r rune) bool { return r < ' ' || r > '~' || r == '\\' }) {
			t.Errorf("challenge: %q", w.Header().Get("WWW-Authenticate"))
		}
	})
}

// dump is the answer as text, headers sorted.
func dump(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %d\n", w.Code)
	var lines []string
	for name, values := range w.Header() {
		lines = append(lines, name+": "+strings.Join(values, " | "))
	}
	slices.Sort(lines)
	return b.String() + strings.Join(lines, "\n") + "\n\n" + w.Body.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
