package doorward_test

import (
	"fmt"
	"os"
	"testing"
)

// Two changes made at one time may take one number: goose refuses such a pair
// only when a database is migrated.
func TestMigrationsHaveNumbersWithoutGap(t *testing.T) {
	files, err := os.ReadDir("internal/sqldb/migrations")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		if got, want := file.Name()[:4], fmt.Sprintf("%04d", i+1); got != want {
			t.Errorf("%s has the number %s, want %s: take the next free one", file.Name(), got, want)
		}
	}
}
