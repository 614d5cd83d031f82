package authserver

import (
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/registry"
)

// A narrowed scope never holds what the client does not, nor anything twice.
func FuzzScope(f *testing.F) {
	held := []string{"auth.sessions.create", "auth.sessions.read", "echo.call"}
	for _, seed := range []string{"echo.call", "echo.call auth.sessions.read", "echo.call echo.call", " ", "echo", "echo.call  echo.call", "x", "echo.call\t"} {
		f.Add(seed)
	}
	holder := access.Holder{Client: &registry.ClientEntry{Permissions: held}}
	f.Fuzz(func(t *testing.T, asked string) {
		scope, ok := narrow(holder, asked)
		want := true
		for permission := range strings.SplitSeq(asked, " ") {
			want = want && slices.Contains(held, permission)
		}
		if ok != want || !ok && scope != "" {
			t.Fatalf("narrow(%q) = %q, %t, want %t", asked, scope, ok, want)
		}
		if !ok {
			return
		}
		list := strings.Split(scope, " ")
		for _, permission := range list {
			if !slices.Contains(held, permission) {
				t.Errorf("narrow(%q) gives %q, which the client does not hold", asked, permission)
			}
		}
		slices.Sort(list)
		if len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("narrow(%q) = %q, with something twice", asked, scope)
		}
	})
}
