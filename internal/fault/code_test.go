package fault_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

func TestEveryRowIsWholeAndItsCodeUnique(t *testing.T) {
	for name, rows := range map[string][]fault.Entry{"calls": fault.Entries(), "tokens": fault.OAuthEntries()} {
		seen := map[fault.Code]bool{}
		for _, row := range rows {
			t.Run(name+" "+string(row.Code), func(t *testing.T) {
				if seen[row.Code] {
					t.Error("code appears twice")
				}
				seen[row.Code] = true
				if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(string(row.Code)) {
					t.Error("code is not lower-case words joined by underscores")
				}
				if row.Title == "" || http.StatusText(row.Status) == "" {
					t.Errorf("title %q, status %d", row.Title, row.Status)
				}
				for part, prose := range map[string]string{"cause": row.Cause, "remedy": row.Remedy} {
					if len(prose) < 20 || !strings.HasSuffix(prose, ".") {
						t.Errorf("%s is not a sentence: %q", part, prose)
					}
				}
			})
		}
	}
}

func TestStatusFollowsKind(t *testing.T) {
	want := map[fault.Kind][]int{
		fault.Internal:        {500},
		fault.Invalid:         {400, 405, 413, 414, 415, 431},
		fault.Unauthenticated: {401},
		fault.Forbidden:       {403},
		fault.NotFound:        {404},
		fault.Conflict:        {409, 412},
		fault.RateLimited:     {429},
		fault.Unavailable:     {502, 503, 504},
	}
	for _, row := range slices.Concat(fault.Entries(), fault.OAuthEntries()) {
		if !slices.Contains(want[row.Kind], row.Status) {
			t.Errorf("%s: status %d with kind %d", row.Code, row.Status, row.Kind)
		}
	}
}

func TestChallengeGoesWithCredentialsOnly(t *testing.T) {
	for _, row := range fault.Entries() {
		challenged := row.Challenge != fault.ChallengeNone
		if want := row.Status == 401 || row.Code == fault.PermissionMissing; challenged != want {
			t.Errorf("%s: challenge %q with status %d", row.Code, row.Challenge, row.Status)
		}
	}
}

func TestLookupFindsEachRowOfItsOwnTable(t *testing.T) {
	for _, row := range fault.Entries() {
		if got, ok := fault.Lookup(row.Code); !ok || got != row {
			t.Errorf("Lookup(%s) = %v, %v", row.Code, got, ok)
		}
	}
	for _, row := range fault.OAuthEntries() {
		if got, ok := fault.LookupOAuth(row.Code); !ok || got != row {
			t.Errorf("LookupOAuth(%s) = %v, %v", row.Code, got, ok)
		}
	}
	if _, ok := fault.Lookup(fault.OAuthInvalidClient); ok {
		t.Error("Lookup finds a code of the token endpoint")
	}
	if _, ok := fault.LookupOAuth(fault.TokenMissing); ok {
		t.Error("LookupOAuth finds a code of the API domain")
	}
}

func TestRowsAreSortedByStatus(t *testing.T) {
	for _, rows := range [][]fault.Entry{fault.Entries(), fault.OAuthEntries()} {
		if !slices.IsSortedFunc(rows, func(a, b fault.Entry) int { return a.Status - b.Status }) {
			t.Errorf("rows from %s on are not in order", rows[0].Code)
		}
	}
}

func TestEntriesAreCopies(t *testing.T) {
	fault.Entries()[0].Title = "changed"
	if fault.Entries()[0].Title == "changed" {
		t.Error("a caller can change the table")
	}
}
