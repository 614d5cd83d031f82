package dashboard_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/management"
)

func TestThePageOfTheManagementAPIHasEachOperation(t *testing.T) {
	w := request(t, dashboard.New(dashboard.Config{}), "GET", "/help/api")
	if w.Code != http.StatusOK {
		t.Fatalf("status %d", w.Code)
	}
	page := w.Body.String()
	operations := regexp.MustCompile(`operationId: (\w+)`).FindAllStringSubmatch(management.Contract, -1)
	if len(operations) < 40 {
		t.Fatalf("only %d operations were found in the contract", len(operations))
	}
	for _, o := range operations {
		if strings.Count(page, `id="`+o[1]+`"`) != 1 {
			t.Errorf("the page has no place for %s", o[1])
		}
	}
	for _, permission := range regexp.MustCompile(`x-permission: (\S+)`).FindAllStringSubmatch(management.Contract, -1) {
		if !strings.Contains(page, permission[1]) {
			t.Errorf("the page does not name %s", permission[1])
		}
	}
}
