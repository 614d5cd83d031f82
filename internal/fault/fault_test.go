package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

func TestKindIsThatOfTheOutermostError(t *testing.T) {
	conflict := fault.Errorf(fault.Conflict, "name taken")
	for name, row := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"nil":               {nil, fault.Internal},
		"plain":             {errors.New("disk full"), fault.Internal},
		"direct":            {conflict, fault.Conflict},
		"wrapped":           {fmt.Errorf("create client: %w", conflict), fault.Conflict},
		"joined":            {errors.Join(errors.New("a"), conflict), fault.Conflict},
		"retold":            {fault.Errorf(fault.Invalid, "line 3: %w", conflict), fault.Invalid},
		"made internal":     {fault.Errorf(fault.Internal, "job: %w", conflict), fault.Internal},
		"from a code":       {fault.New(fault.AccountMismatch, ""), fault.Forbidden},
		"code without row":  {fault.New("no_such_code", "x"), fault.Internal},
		"bare struct value": {&fault.Error{Kind: fault.NotFound}, fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fault.KindOf(row.err); got != row.want {
				t.Errorf("KindOf(%v) = %d, want %d", row.err, got, row.want)
			}
		})
	}
}

func TestCauseIsKeptForTheLogAndCutFromTheMessage(t *testing.T) {
	for name, row := range map[string]struct {
		err           error
		text, message string
	}{
		"suffix": {
			fault.Errorf(fault.Unavailable, "try again later: %w", context.DeadlineExceeded),
			"try again later: context deadline exceeded", "try again later",
		},
		"in the middle": {
			fault.Errorf(fault.Unavailable, "because of %w we stop", context.DeadlineExceeded),
			"because of context deadline exceeded we stop", "",
		},
		"two causes": {
			fault.Errorf(fault.Unavailable, "try later: %w: %w", errors.New("dial"), context.DeadlineExceeded),
			"try later: dial: context deadline exceeded", "",
		},
		"a cause that may leave": {
			fault.Errorf(fault.Invalid, "line 3: %w", fault.Errorf(fault.NotFound, "no product shop: %w", context.DeadlineExceeded)),
			"line 3: no product shop: context deadline exceeded", "line 3: no product shop",
		},
		"no cause": {fault.New(fault.InvalidRequest, "use %d digits", 3), "use 3 digits", "use 3 digits"},
		"nothing":  {fault.New(fault.TokenExpired, ""), "token_expired", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, ok := errors.AsType[*fault.Error](row.err)
			if !ok {
				t.Fatalf("%v is not a *fault.Error", row.err)
			}
			if got := e.Error(); got != row.text {
				t.Errorf("Error() = %q, want %q", got, row.text)
			}
			if e.Message != row.message {
				t.Errorf("Message = %q, want %q", e.Message, row.message)
			}
		})
	}
	if err := fault.Errorf(fault.Unavailable, "later: %w", context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("errors.Is does not find the cause of %v", err)
	}
}
