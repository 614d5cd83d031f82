package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/journal"
)

// What is listed is what was made, to the byte: it is verified elsewhere.
func TestListedCheckpointsVerify(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		operator := p.caller(t, "", "", p.permissions...)
		made, err := p.Server.Checkpoints().Make(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := p.do(t, operator, http.MethodGet, "/audit-checkpoints?limit=1", "")
		a.has(t, "the list", http.StatusOK, "")
		var list struct{ Items []journal.Checkpoint }
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]journal.Checkpoint{made}, list.Items); diff != "" || !list.Items[0].SignedBy(made.Key) {
			t.Errorf("the checkpoint that was made is not the one listed, or not signed:\n%s", diff)
		}
	})
}
