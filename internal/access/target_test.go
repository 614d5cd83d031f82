package access

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
)

// Each row is refused with 400; its twin, with one thing changed, is not.
func TestAmbiguousTargetsAreRefused(t *testing.T) {
	tests := []struct{ name, raw, twin string }{
		{"GW-01 T1 dot segments raw", "/p1/public/../secret", "/p1/public/..secret"},
		{"GW-01 T1 one dot", "/p1/./x", "/p1/.x"},
		{"GW-01 T2 dot segments encoded", "/p1/%2e%2e/p2/x", "/p1/%2e%2ea/p2/x"},
		{"GW-01 T2 dot segments in upper case", "/p1/%2E./x", "/p1/%2Ex/x"},
		{"GW-01 T2 dot segments half encoded", "/p1/.%2e/", "/p1/.%2ex/"},
		{"GW-01 T2 dot encoded", "/p1/%2e", "/p1/%2ea"},
		{"GW-01 dot segment last", "/p1/..", "/p1/..a"},
		{"GW-01 T10 dots before an encoded slash", "/p1/..%2fp2", "/p1/..a%2fp2"},
		{"GW-01 T10 dots behind an encoded slash", "/p1/a%2f..", "/p1/a%2f..b"},
		{"GW-01 T10 encoded dots and slashes", "/p1/a%2F%2e%2E%2fb", "/p1/a%2Fb%2fc"},
		{"GW-02 T11 encoded twice", "/p1/%252e%252e%252f", "/p1/%25ze%25zz"},
		{"GW-02 T11 letter encoded twice", "/%2561dmin", "/%61dmin"},
		{"GW-02 T11 hexadecimal digits encoded themselves", "/p1/%25%32%65", "/p1/%25%32zz"},
		{"GW-02 T11 in upper case", "/p1/%252F", "/p1/%25-2F"},
		{"GW-04 T6 two slashes first", "//p2/x", "/p2/x"},
		{"GW-04 T6 two slashes inside", "/p1//x", "/p1/x"},
		{"GW-04 two slashes last", "/p1/x//", "/p1/x/"},
		{"GW-04 slash, dot, slash", "/.//p2", "/.a/p2"},
		{"GW-04 two slashes alone", "//", "/"},
		{"GW-04 thousands of slashes", strings.Repeat("/", 8000), "/a"},
		{"GW-04 encoded slashes side by side", "/p1/a%2F%2Fb", "/p1/a%2Fb"},
		{"GW-04 encoded slash first", "/p1/%2Fb", "/p1/a%2Fb"},
		{"GW-06 T10 backslash raw", `/p1/..\p2`, "/p1/..p2"},
		{"GW-06 T5 T10 backslash encoded", "/p1/..%5cp2", "/p1/..%5Bp2"},
		{"GW-06 T5 backslash encoded in upper case", "/p1/a%5Cp2", "/p1/a%5Dp2"},
		{"GW-10 CR raw", "/p1/a\rb", "/p1/ab"},
		{"GW-10 LF raw", "/p1/a\nb", "/p1/ab"},
		{"GW-10 NUL raw", "/p1/a\x00b", "/p1/ab"},
		{"GW-10 TAB raw", "/p1/a\tb", "/p1/ab"},
		{"GW-10 DEL raw", "/p1/a\x7fb", "/p1/ab"},
		{"GW-10 space raw", "/p1/a b", "/p1/a%20b"},
		{"GW-10 CR encoded", "/p1/a%0db", "/p1/a%2db"},
		{"GW-10 LF encoded", "/p1/a%0Ab", "/p1/a%4Ab"},
		{"GW-10 T5 NUL encoded", "/p1/a%00b", "/p1/a%30b"},
		{"GW-10 TAB encoded", "/p1/a%09b", "/p1/a%29b"},
		{"GW-10 DEL encoded", "/p1/a%7fb", "/p1/a%7eb"},
		{"GW-10 next line of C1 encoded", "/p1/a%c2%85b", "/p1/a%c3%85b"},
		{"GW-10 LF raw in the query", "/p1/x?a=\n", "/p1/x?a=%0A"},
		{"T5 semicolon encoded", "/p1/a%3bb", "/p1/a%3ab"},
		{"T5 question mark encoded", "/p1/a%3fb", "/p1/a?b"},
		{"T5 number sign encoded", "/p1/a%23b", "/p1/a%24b"},
		{"T13 matrix parameter", "/p1/secret;x=1", "/p1/secret,x=1"},
		{"T13 matrix parameter behind an escape", "/p1/%73ecret;x=1", "/p1/%73ecret,x=1"},
		{"GW-06 backslash behind an escape", `/p1/%61\p2`, "/p1/%61/p2"},
		{"number sign raw", "/p1/a#b", "/p1/a$b"},
		{"number sign in the query", "/p1/a?b#c", "/p1/a?b%23c"},
		{"escape with letters", "/p1/%zz", "/p1/%7a%7a"},
		{"escape cut short", "/p1/a%2", "/p1/a%2d"},
		{"lone percent sign", "/p1/100%", "/p1/100%25"},
		{"not UTF-8", "/p1/%ff", "/p1/%c3%bf"},
		{"overlong slash", "/p1/a%c0%afb", "/p1/a%c3%afb"},
		{"overlong dot", "/p1/%c0%ae%c0%ae", "/p1/%c3%ae%c3%ae"},
		{"surrogate", "/p1/%ed%a0%80", "/p1/%ed%9f%bf"},
		{"non-ASCII raw", "/p1/é", "/p1/%C3%A9"},
		{"brace raw", "/p1/{x}", "/p1/%7Bx%7D"},
		{"quotation mark raw", `/p1/"x"`, "/p1/%22x%22"},
		{"asterisk-form", "*", "/*"},
		{"authority-form", "api.example:443", "/api.example:443"},
		{"empty", "", "/"},
		{"no slash first", "p1/x", "/p1/x"},
		{"257 segments", strings.Repeat("/a", 257), strings.Repeat("/a", 256)},
		{"257 segments and a slash", strings.Repeat("/a", 257) + "/", strings.Repeat("/a", 256) + "/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseTarget(tt.raw, "api.example")
			if got := codeOf(err); got != fault.RequestMalformed {
				t.Errorf("ParseTarget(%.40q): error %v, want code %q", tt.raw, err, fault.RequestMalformed)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := ParseTarget(tt.twin, "api.example"); err != nil {
					t.Errorf("ParseTarget(%.40q): %v", tt.twin, err)
				}
			})
		})
	}
}

func TestGW13_absoluteTargetMustNameTheHost(t *testing.T) {
	tests := []struct{ name, raw, host, twin string }{
		{"GW-13 other host", "http://other.example/p1/x", "api.example", "http://api.example/p1/x"},
		{"GW-13 upper case", "http://other.example/p1/x", "api.example", "HTTPS://API.example/p1/x"},
		{"GW-13 other port", "http://api.example:81/p1/x", "api.example:80", "http://api.example:80/p1/x"},
		{"GW-13 user before the host", "http://api.example@other.example/p1/x", "api.example", "http://api.example/p1/x"},
		{"GW-13 no authority", "http:///p1/x", "", "/p1/x"},
		{"GW-13 other scheme", "ftp://api.example/p1/x", "api.example", "http://api.example/p1/x"},
		{"GW-13 backslash", `http://api.example\p1/x`, "api.example", "http://api.example/p1/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseTarget(tt.raw, tt.host); codeOf(err) != fault.RequestMalformed {
				t.Errorf("ParseTarget(%q, %q): error %v, want code %q", tt.raw, tt.host, err, fault.RequestMalformed)
			}
			t.Run("twin", func(t *testing.T) {
				target, err := ParseTarget(tt.twin, tt.host)
				if err != nil || target.Path() != "/p1/x" {
					t.Errorf("ParseTarget(%q, %q): path %q, error %v", tt.twin, tt.host, target.Path(), err)
				}
			})
		})
	}
}

func TestAbsoluteTargetWithoutPathIsTheRoot(t *testing.T) {
	for raw, query := range map[string]string{"http://api.example": "", "http://api.example?a=/b": "a=/b"} {
		target, err := ParseTarget(raw, "api.example")
		if err != nil || target.Path() != "/" || target.RawQuery() != query {
			t.Errorf("ParseTarget(%q) = %q, %q, %v", raw, target.Path(), target.RawQuery(), err)
		}
	}
}

func TestTargetOfMoreThan8KiBIsTooLong(t *testing.T) {
	query := "/p1?" + strings.Repeat("a", MaxTargetLength-4)
	if _, err := ParseTarget(query+"a", ""); codeOf(err) != fault.TargetTooLong {
		t.Errorf("error %v, want code %q", err, fault.TargetTooLong)
	}
	t.Run("twin", func(t *testing.T) {
		if _, err := ParseTarget(query, ""); err != nil {
			t.Error(err)
		}
	})
}

func TestTargetKeepsWhatWasSent(t *testing.T) {
	tests := []struct {
		raw, path, query string
		segments         []string
		stripped         []string // by number of segments
	}{
		{"/", "/", "", []string{}, []string{"/", "/"}},
		{"/?x", "/", "x", []string{}, []string{"/"}},
		{"/a", "/a", "", []string{"a"}, []string{"/a", "/", "/"}},
		{"/a/b/?c=/d?e", "/a/b/", "c=/d?e", []string{"a", "b"}, []string{"/a/b/", "/b/", "/"}},
		{"/%61/b%2Fc/%C3%A9", "/%61/b%2Fc/%C3%A9", "", []string{"a", "b/c", "é"}, []string{"/%61/b%2Fc/%C3%A9", "/b%2Fc/%C3%A9", "/%C3%A9", "/"}},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			target, err := ParseTarget(tt.raw, "")
			if err != nil {
				t.Fatal(err)
			}
			if target.Path() != tt.path || target.RawQuery() != tt.query {
				t.Errorf("path %q, query %q, want %q, %q", target.Path(), target.RawQuery(), tt.path, tt.query)
			}
			if diff := cmp.Diff(tt.segments, decodedSegments(&target)); diff != "" {
				t.Errorf("segments (-want +got):\n%s", diff)
			}
			for n, want := range tt.stripped {
				if got := target.Stripped(n); got != want {
					t.Errorf("Stripped(%d) = %q, want %q", n, got, want)
				}
			}
		})
	}
}

func TestOrdinaryTargetTakesOneAllocation(t *testing.T) {
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := ParseTarget("/auth/rest/sessions/42?signicat-accountId=a-s-1", "api.example"); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 1 {
		t.Errorf("%v allocations, want 1 at most", allocations)
	}
}

// A refusal must not show the input, which may hold a token.
func TestRefusedTargetIsNotRepeated(t *testing.T) {
	for _, raw := range []string{"/sEcReT/../x", "/sEcReT;x", "/sEcReT%zz", "sEcReT", "http://sEcReT/x", "/a?sEcReT#"} {
		if _, err := ParseTarget(raw, "h"); err == nil || strings.Contains(err.Error(), "sEcReT") {
			t.Errorf("ParseTarget(%q): error %v", raw, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b/", "/a/%2e%2e/b", "/a%2Fb?x=%zz", "//a", "/%C3%A9/x", "/%252e", "http://h/a", "http://h", "/a;b", `/\`, "/a/..%2f", "/[a]/{b}", "/%", "/a?b?c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := ParseTarget(raw, "h")
		if err != nil {
			if code := codeOf(err); code != fault.RequestMalformed && code != fault.TargetTooLong {
				t.Fatalf("ParseTarget(%q): code %q", raw, code)
			}
			return
		}
		again, err := ParseTarget(target.Stripped(0), "h")
		if err != nil || again.Path() != target.Path() || !cmp.Equal(decodedSegments(&again), decodedSegments(&target)) {
			t.Fatalf("%q is read as %q, %v once more", raw, again.Path(), err)
		}
		checkSegments(t, &target)
		checkForwarded(t, raw, &target)
	})
}

// checkSegments compares each decoded segment with what net/url makes of the
// bytes that would be forwarded.
func checkSegments(t *testing.T, target *Target) {
	t.Helper()
	for i, s := range target.segments {
		sent, _, _ := strings.Cut(target.Stripped(i)[1:], "/")
		if want, err := url.PathUnescape(sent); err != nil || s.text != want {
			t.Fatalf("segment %d of %q is %q, net/url reads %q, %v", i, target.Path(), s.text, want, err)
		}
		if s.encodedSlash != strings.Contains(s.text, "/") {
			t.Fatalf("segment %q: encoded slash %t", s.text, s.encodedSlash)
		}
		for part := range strings.SplitSeq(s.text, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\x00\r\n\\;?#") || !utf8.ValidString(part) {
				t.Fatalf("%q holds %q", target.Path(), part)
			}
		}
	}
}

// checkForwarded: every stripped path is a suffix of the matched one, and
// net/url sends it as it is.
func checkForwarded(t *testing.T, raw string, target *Target) {
	t.Helper()
	if !strings.Contains(raw, target.Path()) && target.Path() != "/" {
		t.Fatalf("path %q is not in %q", target.Path(), raw)
	}
	for n := range len(target.segments) + 2 {
		path := target.Stripped(n)
		if !strings.HasSuffix(target.Path(), path) && path != "/" {
			t.Fatalf("Stripped(%d) of %q is %q", n, target.Path(), path)
		}
		u, err := url.ParseRequestURI(path)
		if err != nil || u.EscapedPath() != path {
			t.Fatalf("net/url would forward %q as %q, %v", path, u.EscapedPath(), err)
		}
	}
}

func decodedSegments(t *Target) []string {
	texts := make([]string, len(t.segments))
	for i, s := range t.segments {
		texts[i] = s.text
	}
	return texts
}

// codeOf is the code of a fault, for any other error its text.
func codeOf(err error) fault.Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Code
	}
	return fault.Code(err.Error())
}
