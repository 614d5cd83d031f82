package id_test

import (
	"crypto/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/id"
)

func TestNewClientHasPrefixWordsAndNumber(t *testing.T) {
	prefixes := []string{id.SandboxClient, id.ProductionClient, id.OrganisationClient, id.OperatorClient}
	for _, prefix := range prefixes {
		for asked, want := range map[int]int{-1: 3, 3: 3, 4: 4, 5: 5, 6: 6, 9: 6} {
			t.Run(prefix+" with "+strconv.Itoa(asked)+" digits", func(t *testing.T) {
				for range 20 {
					client := id.NewClient(rand.Reader, prefix, asked)
					parts := strings.Split(string(client), "-")
					if len(parts) != 4 || parts[0] != prefix || len(parts[3]) != want {
						t.Errorf("NewClient = %q, want %s-adjective-noun-%d digits", client, prefix, want)
					}
					if got, ok := id.ParseClient(string(client)); !ok || got != client {
						t.Errorf("ParseClient(%q) = %q, %v", client, got, ok)
					}
				}
			})
		}
	}
}

func TestParseClientAcceptsOnlyItsForm(t *testing.T) {
	tests := []struct{ name, bad, twin string }{
		{"unknown prefix", "production-round-apple-123", "prod-round-apple-123"},
		{"capital", "sandbox-Round-apple-123", "sandbox-round-apple-123"},
		{"two digits", "org-round-apple-12", "org-round-apple-123"},
		{"seven digits", "org-round-apple-1234567", "org-round-apple-123456"},
		{"leading zero", "op-round-apple-023", "op-round-apple-230"},
		{"short word", "op-ro-apple-123", "op-rot-apple-123"},
		{"long word", "op-round-applesapple-123", "op-round-applesappl-123"},
		{"no number", "sandbox-round-apple", "sandbox-round-apple-100"},
		{"one part more", "sandbox-round-apple-123-4", "sandbox-round-apple-1234"},
		{"other digits", "sandbox-round-apple-12٣", "sandbox-round-apple-123"},
		{"line end", "sandbox-round-apple-123\n", "sandbox-round-apple-123"},
		{"empty", "", "sandbox-round-apple-123"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := id.ParseClient(test.bad); ok || got != "" {
				t.Errorf("ParseClient(%q) = %q, %v, want it refused", test.bad, got, ok)
			}
			t.Run("twin", func(t *testing.T) {
				if got, ok := id.ParseClient(test.twin); !ok || string(got) != test.twin {
					t.Errorf("ParseClient(%q) = %q, %v", test.twin, got, ok)
				}
			})
		})
	}
}

func FuzzParseClient(f *testing.F) {
	f.Add("sandbox-round-apple-123")
	f.Add("op---123")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := id.ParseClient(s)
		checkParsed(t, s, string(got), ok, 64)
		if ok && strings.Count(s, "-") != 3 {
			t.Errorf("parsed %q, which has not four parts", s)
		}
	})
}
