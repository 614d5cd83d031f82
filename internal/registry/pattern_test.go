package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/fault"
)

func TestParsePatternReadsSegments(t *testing.T) {
	literal := func(text string) Segment { return Segment{LiteralSegment, text} }
	tests := []struct {
		text string
		want []Segment
	}{
		{"/", nil},
		{"/sessions", []Segment{literal("sessions")}},
		{"/sessions/{id}", []Segment{literal("sessions"), {ParameterSegment, "id"}}},
		{"/{owner-id}/files/{rest...}", []Segment{{ParameterSegment, "owner-id"}, literal("files"), {RestSegment, "rest"}}},
		{"/things:batch/.well-known/a,b", []Segment{literal("things:batch"), literal(".well-known"), literal("a,b")}},
		{"/größe/…", []Segment{literal("größe"), literal("…")}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			p, err := ParsePattern(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, p.Segments()); diff != "" {
				t.Errorf("segments (-want +got):\n%s", diff)
			}
			if got := p.String(); got != tt.text {
				t.Errorf("String() = %q, want %q", got, tt.text)
			}
		})
	}
}

func TestParsePatternRefusesWhatCouldBeReadOtherwise(t *testing.T) {
	tests := []struct{ name, text, hint, twin string }{
		{"empty", "", `write "/"`, "/"},
		{"no slash first", "a", `write "/a"`, "/a"},
		{"trailing slash", "/a/", "ends in a slash", "/a"},
		{"two slashes", "/a//b", "keep one", "/a/b"},
		{"dot segment", "/a/./b", "dot segment", "/a/.b"},
		{"parent segment", "/a/../b", "dot segment", "/a/..b"},
		{"escape", "/a%2fb", "compared decoded", "/a-b"},
		{"semicolon", "/a;b", "remove it", "/a,b"},
		{"backslash", `/a\b`, "remove it", "/a/b"},
		{"question mark", "/a?b", "remove it", "/a!b"},
		{"number sign", "/a#b", "remove it", "/a~b"},
		{"control", "/a\nb", "invisible", "/ab"},
		{"del", "/a\x7fb", "invisible", "/ab"},
		{"next line", "/a\u0085b", "invisible", "/aéb"},
		{"zero width", "/a\u200bb", "invisible", "/aéb"},
		{"not UTF-8", "/a\xffb", "not UTF-8", "/aÿb"},
		{"space", "/a b", "is a space", "/a_b"},
		{"wildcard", "/a/*", "no wildcard", "/a/{all...}"},
		{"colon parameter", "/a/:id", "{name}", "/a/{id}"},
		{"brace inside", "/a{id}", "whole segment", "/a/{id}"},
		{"open brace", "/{id", "whole segment", "/{id}"},
		{"close brace", "/id}", "whole segment", "/{id}"},
		{"lone brace", "/{", "whole segment", "/{x}"},
		{"no name", "/{}", "is no parameter", "/{x}"},
		{"no rest name", "/{...}", "is no parameter", "/{x...}"},
		{"odd name", "/{a.b}", "is no parameter", "/{a_b}"},
		{"digit first", "/{1}", "is no parameter", "/{a1}"},
		{"name twice", "/{a}/{a}", "its own", "/{a}/{b}"},
		{"rest name twice", "/{a}/{a...}", "its own", "/{a}/{b...}"},
		{"rest inside", "/{r...}/a", "to the end", "/a/{r...}"},
		{"too many segments", strings.Repeat("/a", 33), "shorten it to 32", strings.Repeat("/a", 32)},
		{"too long", "/" + strings.Repeat("a", 256), "shorten it to 256", "/" + strings.Repeat("a", 255)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParsePattern(tt.text)
			if err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("ParsePattern(%q): error %v, want fault.Invalid with %q", tt.text, err, tt.hint)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := ParsePattern(tt.twin); err != nil {
					t.Errorf("ParsePattern(%q): %v", tt.twin, err)
				}
			})
		})
	}
}

func TestPrefixHasLiteralsOnly(t *testing.T) {
	for _, text := range []string{"/", "/{id}", "/a/{rest...}", "", "a", "/a/", "/a/../b"} {
		if _, err := ParsePrefix(text); fault.KindOf(err) != fault.Invalid {
			t.Errorf("ParsePrefix(%q): error %v, want fault.Invalid", text, err)
		}
	}
	for _, text := range []string{"/a", "/auth/rest"} {
		if p, err := ParsePrefix(text); err != nil || p.String() != text {
			t.Errorf("ParsePrefix(%q) = %q, %v", text, p, err)
		}
	}
}

func TestReservedPrefixes(t *testing.T) {
	tests := []struct {
		prefix, issuer string
		want           bool
	}{
		{"/auth/rest", "/auth/open", false},
		{"/auth/open", "/auth/open", true},
		{"/auth/open/more", "/auth/open", true},
		{"/auth", "/auth/open", true},
		{"/auth/opening", "/auth/open", false},
		{"/aut", "/auth/open", false},
		{"/auth/open", "/auth/open/", true},
		{"/oauth", "/x", true},
		{"/oauth/a", "/x", true},
		{"/oauth3", "/x", false},
		{"/oauth2", "/x", true},
		{"/oidc/b", "/x", true},
		{"/token", "/x", true},
		{"/tokens", "/x", false},
		{"/.well-known/x", "/x", true},
		{"/management/v1", "/x", true},
		{"/Management", "/x", true},
		{"/echo", "/", true},
		{"/echo", "", true},
		{"/echo", "/x", false},
	}
	for _, tt := range tests {
		if got := ReservedPrefix(tt.prefix, tt.issuer); got != tt.want {
			t.Errorf("ReservedPrefix(%q, %q) = %t, want %t", tt.prefix, tt.issuer, got, tt.want)
		}
	}
}

func TestOverlapsMeansAmbiguous(t *testing.T) {
	tests := []struct {
		p, q string
		want bool
	}{
		{"/a", "/a", true},
		{"/{x}", "/{y}", true},
		{"/a", "/b", false},
		{"/a", "/{x}", false},
		{"/a/{x}", "/{y}/b", true},
		{"/a/{x}", "/{y}/{z}", false},
		{"/{x}", "/{rest...}", false},
		{"/", "/{rest...}", false},
		{"/a", "/a/{rest...}", false},
		{"/{x}", "/a/{rest...}", true},
		{"/{x}/b", "/a/{rest...}", true},
		{"/{x}/{rest...}", "/a/{rest...}", false},
		{"/a/{x}", "/b/{rest...}", false},
		{"/{x}/c", "/{x}/d", false},
	}
	for _, tt := range tests {
		t.Run(tt.p+" and "+tt.q, func(t *testing.T) {
			p, q := parsed(t, tt.p), parsed(t, tt.q)
			if got := p.Overlaps(q); got != tt.want {
				t.Errorf("Overlaps = %t, want %t", got, tt.want)
			}
			if p.Overlaps(q) != q.Overlaps(p) {
				t.Error("Overlaps is not symmetric")
			}
		})
	}
}

func TestSameShapeIgnoresParameterNames(t *testing.T) {
	for _, tt := range []struct {
		p, q string
		want bool
	}{
		{"/a/{x}", "/a/{y}", true}, {"/{x...}", "/{y...}", true}, {"/", "/", true},
		{"/a", "/b", false}, {"/a", "/{a}", false}, {"/{x}", "/{x...}", false}, {"/a", "/a/b", false},
	} {
		if got := parsed(t, tt.p).sameShape(parsed(t, tt.q)); got != tt.want {
			t.Errorf("sameShape(%s, %s) = %t, want %t", tt.p, tt.q, got, tt.want)
		}
	}
}

// Overlaps is a comparison of segments. Here the same question is put to every
// path of up to five segments, one literal of which is in no pattern.
func TestOverlapsAgreesWithBruteForce(t *testing.T) {
	paths := allPaths([]string{"a", "b", "c"}, 5)
	pattern := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "{}"}), 0, 4).Draw(t, "parts")
		for i := range parts {
			parts[i] = strings.Replace(parts[i], "{}", fmt.Sprintf("{x%d}", i), 1)
		}
		if rapid.Bool().Draw(t, "rest") {
			parts = append(parts, "{rest...}")
		}
		return "/" + strings.Join(parts, "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		p, q := parsed(t, pattern.Draw(t, "p")), parsed(t, pattern.Draw(t, "q"))
		var both, onlyP, onlyQ bool
		for _, path := range paths {
			inP, inQ := matches(p.Segments(), path), matches(q.Segments(), path)
			both, onlyP, onlyQ = both || inP && inQ, onlyP || inP && !inQ, onlyQ || inQ && !inP
		}
		if got, want := p.Overlaps(q), both && onlyP == onlyQ; got != want {
			t.Errorf("%s Overlaps %s = %t, want %t", p, q, got, want)
		}
		if got, want := p.sameShape(q), !onlyP && !onlyQ; got != want {
			t.Errorf("%s sameShape %s = %t, want %t", p, q, got, want)
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"/", "/a/{id}", "/{x}/{rest...}", "/a//b", "/../a", "/%2e", "/{a}{b}", "/é", "/{a...}/b", "/a\x00", "/:id", "/*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePattern(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("kind of %v is not Invalid", err)
			}
			return
		}
		if p.String() != text || spelled(p) != text {
			t.Fatalf("%q was read as %q", text, spelled(p))
		}
		if !p.Overlaps(p) {
			t.Fatalf("%q does not overlap itself", text)
		}
		for _, s := range p.Segments() {
			if s.Text == "" || s.Text == "." || s.Text == ".." || strings.ContainsAny(s.Text, "/\\%;?#{}* \x00") {
				t.Fatalf("%q has the segment %q", text, s.Text)
			}
		}
	})
}

func parsed(t interface {
	Helper()
	Fatal(args ...any)
}, text string) Pattern {
	t.Helper()
	p, err := ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// spelled writes a pattern from its segments.
func spelled(p Pattern) string {
	if len(p.Segments()) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, s := range p.Segments() {
		switch s.Kind {
		case LiteralSegment:
			b.WriteString("/" + s.Text)
		case ParameterSegment:
			b.WriteString("/{" + s.Text + "}")
		case RestSegment:
			b.WriteString("/{" + s.Text + "...}")
		}
	}
	return b.String()
}

// matches is a matcher that is too plain to be wrong.
func matches(pattern []Segment, path []string) bool {
	if len(pattern) > 0 && pattern[0].Kind == RestSegment {
		return true
	}
	if len(pattern) == 0 || len(path) == 0 {
		return len(pattern) == len(path)
	}
	return (pattern[0].Kind == ParameterSegment || pattern[0].Text == path[0]) && matches(pattern[1:], path[1:])
}

func allPaths(alphabet []string, longest int) [][]string {
	paths := [][]string{nil}
	for from := 0; longest > 0; longest-- {
		to := len(paths)
		for _, path := range paths[from:to] {
			for _, letter := range alphabet {
				paths = append(paths, append(slices.Clone(path), letter))
			}
		}
		from = to
	}
	return paths
}
