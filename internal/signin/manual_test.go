package signin_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/signin"
)

func TestTheManualTellsTheLimits(t *testing.T) {
	text, err := os.ReadFile("../../docs/people.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := strings.Join(strings.Fields(string(text)), " ")
	words := map[int]string{3: "three", 7: "seven", 10: "Ten"}
	for _, want := range []string{
		fmt.Sprintf("%d to %d characters", signin.MinPassword, signin.MaxPassword),
		fmt.Sprintf("good once and for %s days. In another browser", words[int(signin.VerificationTime.Hours()/24)]),
		fmt.Sprintf("at most %s at a time", words[registry.MaxUnverified]),
		fmt.Sprintf("%s API clients", words[registry.UnverifiedClients]),
		fmt.Sprintf("end within %s days", words[int(registry.UnverifiedSecretLifetime.Hours()/24)]),
		fmt.Sprintf("After %d days an unverified person", int(registry.UnverifiedLifetime.Hours()/24)),
		fmt.Sprintf("good once and for %s days. It can be sent again", words[int(registry.InvitationLifetime.Hours()/24)]),
		fmt.Sprintf("| session without a request | %d hours |", int(signin.IdleTime.Hours())),
		fmt.Sprintf("| session in all | %d days |", int(signin.SessionTime.Hours()/24)),
		fmt.Sprintf("| sign-in that counts as recent | %d minutes |", int(signin.RecentTime.Minutes())),
		fmt.Sprintf("| sign-in that waits for its second factor | %d minutes |", int(signin.PendingTime.Minutes())),
		fmt.Sprintf("| link to set a new password | %d hour |", int(signin.ResetTime.Hours())),
		fmt.Sprintf("%s recovery codes", words[signin.RecoveryCodes]),
		fmt.Sprintf("waits for %s days", words[int(registry.RequestLifetime.Hours()/24)]),
		fmt.Sprintf("For %s days an organisation admin can restore it", words[int(registry.UndoTime.Hours()/24)]),
		fmt.Sprintf("%d, %d and 0 days before", registry.FirstNotice, registry.SecondNotice),
	} {
		if !strings.Contains(manual, want) {
			t.Errorf("docs/people.md does not say %q", want)
		}
	}
}
