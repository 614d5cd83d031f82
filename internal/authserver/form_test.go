package authserver

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestFormHasExactlyOneReading(t *testing.T) {
	for body, want := range map[string]map[string]string{
		"":                         {},
		"a=b":                      {"a": "b"},
		"a=b&c=d":                  {"a": "b", "c": "d"},
		"a=b&":                     {"a": "b"},
		"&&a=b":                    {"a": "b"},
		"a":                        {"a": ""},
		"a=":                       {"a": ""},
		"a=b=c":                    {"a": "b=c"},
		"a=b+c%20d":                {"a": "b c d"},
		"%61=%2B%26%3D%25":         {"a": "+&=%"},
		"a=%C2%A3%E2%82%AC&b=£€":   {"a": "£€", "b": "£€"},
		"a=%3A%3b":                 {"a": ":;"},
		"a=%0A":                    {"a": "\n"},
		"a=%F0%9F%98%80&A=another": {"a": "😀", "A": "another"},
	} {
		var f form
		if err := f.parse(body); err != nil {
			t.Errorf("parse(%q): %v", body, err)
			continue
		}
		got := map[string]string{}
		for _, p := range f.list[:f.count] {
			got[p.name] = p.value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parse(%q) (-want +got):\n%s", body, diff)
		}
	}
}

// What the form accepts, net/url reads in the same way.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=b&c=d", "a=%zz", "a=%00", "a=%C2%A3", "a;b=c", "a&a", "%=%", "=&=", "a=+%2B", strings.Repeat("&", 70)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var parsed form
		if parsed.parse(body) != nil {
			return
		}
		want, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("accepted %q, net/url does not: %v", body, err)
		}
		if parsed.count != len(want) {
			t.Errorf("%d parameters in %q, net/url has %d", parsed.count, body, len(want))
		}
		for _, p := range parsed.list[:parsed.count] {
			if values := want[p.name]; len(values) != 1 || values[0] != p.value {
				t.Errorf("%q: %q = %q, net/url has %q", body, p.name, p.value, values)
			}
			if !utf8.ValidString(p.name+p.value) || strings.Contains(p.name+p.value, "\x00") {
				t.Errorf("%q: accepted NUL or bytes that are not UTF-8", body)
			}
		}
	})
}
