package registry_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

func TestARepeatedRequestIsMadeOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		once := f.Once("key", []byte("request"))
		n := registry.NewClient{Account: f.productionA, Name: "once"}
		first, err := once.CreateClient(t.Context(), f.adminA, n)
		if err != nil {
			t.Fatal(err)
		}
		before := dumpText(t, f.DB)
		_, err = once.CreateClient(t.Context(), f.adminA, n)
		if repeated, ok := errors.AsType[*registry.Repeated](err); !ok || repeated.Subject != string(first) {
			t.Errorf("the repeated request: %v, want that it created %s", err, first)
		}
		_, err = f.Once("key", []byte("another")).CreateClient(t.Context(), f.adminA, registry.NewClient{Account: f.productionA, Name: "other"})
		if e, ok := errors.AsType[*fault.Error](err); !ok || e.Code != fault.IdempotencyKeyReused {
			t.Errorf("another request with the key: %v", err)
		}
		if after := dumpText(t, f.DB); after != before {
			t.Error("a repeated request left a trace")
		}
		for name, again := range map[string]func() error{
			"by someone else": func() error {
				_, err := once.CreateClient(t.Context(), f.operator.In(f.orgA), registry.NewClient{Account: f.productionA, Name: "someone's"})
				return err
			},
			"with another key": func() error {
				_, err := f.Once("other", []byte("request")).CreateClient(t.Context(), f.adminA, registry.NewClient{Account: f.productionA, Name: "another's"})
				return err
			},
			"after a day": func() error {
				f.clock.add(registry.IdempotencyWindow)
				_, err := once.CreateClient(t.Context(), f.adminA, registry.NewClient{Account: f.productionA, Name: "a day's"})
				return err
			},
		} {
			if err := again(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestARefusedRequestMayBeRepeated(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		once := f.Once("key", []byte("request"))
		_, err := once.CreateClient(t.Context(), f.adminB, registry.NewClient{Account: f.productionA, Name: "x"})
		wantKind(t, err, fault.NotFound)
		_, err = once.CreateClient(t.Context(), f.adminB, registry.NewClient{Account: f.productionB, Name: "x"})
		if err != nil {
			t.Errorf("twin: %v", err)
		}
	})
}

func TestOfRequestsAtOnceOneIsMade(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var mu sync.Mutex
		made, repeated := map[string]bool{}, map[string]bool{}
		var running sync.WaitGroup
		for range 8 {
			running.Go(func() {
				key, err := f.Once("key", []byte("request")).CreateClient(t.Context(), f.adminA, registry.NewClient{Account: f.productionA, Name: "at once"})
				mu.Lock()
				defer mu.Unlock()
				if earlier, ok := errors.AsType[*registry.Repeated](err); ok {
					repeated[earlier.Subject] = true
				} else if err != nil {
					t.Error(err)
				} else {
					made[string(key)] = true
				}
			})
		}
		running.Wait()
		if len(made) != 1 || len(repeated) != 1 {
			t.Errorf("made %v, repeated %v, want one of each", made, repeated)
		}
		for key := range made {
			if !repeated[key] {
				t.Errorf("%s was made, and the others were told of %v", key, repeated)
			}
		}
	})
}

func TestSEC01_whatIsKeptOfARequestHoldsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		once := f.Once("key", []byte("request"))
		key, plaintext, err := once.AddSecret(t.Context(), f.adminA, f.a1, "ci", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		value := plaintext.Reveal()
		if strings.Contains(dumpText(t, f.DB), value[strings.LastIndex(value, "_")+1:]) {
			t.Error("SEC-01: the value of a secret is in the database")
		}
		_, again, err := once.AddSecret(t.Context(), f.adminA, f.a1, "ci", time.Time{})
		if repeated, ok := errors.AsType[*registry.Repeated](err); !ok || repeated.Subject != string(key) || again.Reveal() != "" {
			t.Errorf("the repeated request: %v", err)
		}
	})
}
