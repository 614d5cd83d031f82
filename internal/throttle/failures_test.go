package throttle_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/throttle"
)

const client = "sandbox-round-apple-123"

func address(s string) netip.Addr { return netip.MustParseAddr(s) }

// failUntilBlocked fails as often as is answered as usual, and returns how often
// that was and the wait of the next.
func failUntilBlocked(f *throttle.Failures, client string, addr netip.Addr) (answered int, wait time.Duration) {
	for answered <= 10_000 {
		if wait = f.Failed(context.Background(), client, addr); wait > 0 {
			break
		}
		answered++
	}
	return answered, wait
}

func TestTOK32_failuresOfAClientFromAnAddressAreThrottled(t *testing.T) {
	clock := newClock()
	failures := throttle.NewFailures(throttle.Config{Now: clock.now})
	answered, wait := failUntilBlocked(failures, client, address("192.0.2.1"))
	if got, want := answered, throttle.DefaultPerClient; got != want {
		t.Errorf("%d failures were answered as usual, want %d", got, want)
	}
	if got, want := wait, throttle.DefaultWindow/throttle.DefaultPerClient; got != want {
		t.Errorf("wait = %v, want %v", got, want)
	}
	t.Run("twin", func(t *testing.T) {
		if wait := failures.Failed(t.Context(), client, address("192.0.2.2")); wait != 0 {
			t.Errorf("from another address: wait %v", wait)
		}
		if wait := failures.Failed(t.Context(), "prod-round-apple-123", address("192.0.2.1")); wait != 0 {
			t.Errorf("of another client: wait %v", wait)
		}
		clock.advance(wait)
		if wait := failures.Failed(t.Context(), client, address("192.0.2.1")); wait != 0 {
			t.Errorf("after the wait that was told: wait %v", wait)
		}
	})
}

func TestTOK22_unknownClientsCountAgainstTheAddressAlone(t *testing.T) {
	failures := throttle.NewFailures(throttle.Config{Now: newClock().now})
	answered, _ := failUntilBlocked(failures, "", address("192.0.2.1"))
	if got, want := answered, throttle.DefaultPerAddress; got != want {
		t.Errorf("%d failures were answered as usual, want %d", got, want)
	}
	if wait := failures.Failed(t.Context(), client, address("192.0.2.1")); wait == 0 {
		t.Error("the address is blocked, but not for a client that exists")
	}
	t.Run("twin", func(t *testing.T) {
		if wait := failures.Failed(t.Context(), "", address("192.0.2.2")); wait != 0 {
			t.Errorf("from another address: wait %v", wait)
		}
	})
}

func TestFailuresOfManyClientsAddUpForTheirAddress(t *testing.T) {
	failures := throttle.NewFailures(throttle.Config{PerClient: 2, PerAddress: 6, Now: newClock().now})
	for i := range 6 {
		if wait := failures.Failed(t.Context(), strconv.Itoa(i), address("192.0.2.1")); wait != 0 {
			t.Fatalf("failure %d: wait %v", i, wait)
		}
	}
	if wait := failures.Failed(t.Context(), "one more", address("192.0.2.1")); wait != 10*time.Second {
		t.Errorf("wait = %v, want 10s", wait)
	}
}

func TestAddressesAreCountedByNetwork(t *testing.T) {
	tests := []struct {
		name, first, second string
		same                bool
	}{
		{"one /64", "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{"two /64", "2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"one link-local with zones", "fe80::1%eth0", "fe80::1%eth1", true},
		{"IPv4 and the same in IPv6", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two IPv4", "192.0.2.1", "192.0.2.2", false},
		{"two IPv4 in IPv6", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"IPv4 and the /64 of its IPv6 form", "192.0.2.1", "::1", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			failures := throttle.NewFailures(throttle.Config{PerAddress: 1, Now: newClock().now})
			failures.Failed(t.Context(), "", address(test.first))
			if got := failures.Failed(t.Context(), "", address(test.second)) > 0; got != test.same {
				t.Errorf("%s and %s count together = %v, want %v", test.first, test.second, got, test.same)
			}
		})
	}
}

func TestWEB19_failuresOfANameFromAnyAddressShareOneCounter(t *testing.T) {
	const name = "anna@example.test"
	clock := newClock()
	failures := throttle.NewFailures(throttle.Config{PerClient: 5, PerAddress: 8, AnyAddress: true, Now: clock.now})
	for i := range 5 {
		if wait := failures.Failed(t.Context(), name, address(fmt.Sprintf("192.0.2.%d", i))); wait != 0 {
			t.Fatalf("failure %d: wait %v", i, wait)
		}
	}
	fresh := address("198.51.100.1")
	if wait := failures.Failed(t.Context(), name, fresh); wait != 12*time.Second {
		t.Errorf("Failed from a fresh address = %v, want 12s", wait)
	}
	t.Run("twin", func(t *testing.T) {
		if wait := failures.Failed(t.Context(), "bert@example.test", fresh); wait != 0 {
			t.Errorf("another name: wait %v", wait)
		}
	})
	t.Run("one address guesses many names", func(t *testing.T) {
		guesser := address("203.0.113.1")
		for i := range 8 {
			if wait := failures.Failed(t.Context(), strconv.Itoa(i), guesser); wait != 0 {
				t.Fatalf("failure %d: wait %v", i, wait)
			}
		}
		if wait := failures.Failed(t.Context(), "never tried", guesser); wait == 0 {
			t.Error("the address is not blocked")
		}
	})
}

func TestWhatIsRefusedDoesNotCount(t *testing.T) {
	failures := throttle.NewFailures(throttle.Config{PerClient: 1, PerAddress: 2, Now: newClock().now})
	at := address("192.0.2.1")
	failures.Failed(t.Context(), client, at)
	for range 10 {
		if got, want := failures.Failed(t.Context(), client, at), time.Minute; got != want {
			t.Fatalf("wait of a client that is blocked = %v, want %v", got, want)
		}
	}
	if wait := failures.Failed(t.Context(), "another", at); wait != 0 {
		t.Errorf("the blocked client's failures used up the address: wait %v", wait)
	}
	t.Run("twin", func(t *testing.T) {
		if wait := failures.Failed(t.Context(), "a third", at); wait == 0 {
			t.Error("the address is not blocked after as many as it has")
		}
	})
}

func TestWhatIsForgivenDoesNotCount(t *testing.T) {
	failures := throttle.NewFailures(throttle.Config{PerClient: 3, PerAddress: 3, Now: newClock().now})
	at := address("192.0.2.1")
	var forgive func()
	for i := range 100 {
		var wait time.Duration
		if forgive, wait = failures.Attempt(t.Context(), client, at); wait != 0 {
			t.Fatalf("attempt %d: wait %v", i, wait)
		}
		forgive()
	}
	answered, _ := failUntilBlocked(failures, client, at)
	if answered != 3 {
		t.Errorf("%d failures were answered afterwards, want 3", answered)
	}
}

// A table of one set is the worst case: every key of the flood meets the victim.
func TestTOK32_floodOfOtherKeysDoesNotFreeABlockedOne(t *testing.T) {
	clock := newClock()
	failures := throttle.NewFailures(throttle.Config{MaxEntries: 8, PerAddress: -1, Now: clock.now})
	victim := address("192.0.2.1")
	_, wait := failUntilBlocked(failures, client, victim)
	for i := range 10_000 {
		failures.Failed(t.Context(), strconv.Itoa(i), address("198.51.100.7"))
		if failures.Failed(t.Context(), client, victim) == 0 {
			t.Fatalf("free after %d failures of others", i+1)
		}
	}
	t.Run("twin", func(t *testing.T) {
		clock.advance(wait)
		if wait := failures.Failed(t.Context(), client, victim); wait != 0 {
			t.Errorf("after the wait that was told: wait %v", wait)
		}
	})
}

func TestLimitBelowZeroIsOff(t *testing.T) {
	failures := throttle.NewFailures(throttle.Config{PerClient: -1, PerAddress: -1})
	for range 1000 {
		if wait := failures.Failed(t.Context(), client, netip.Addr{}); wait != 0 {
			t.Fatalf("wait = %v, want none", wait)
		}
	}
}

func TestFailedDoesNotAllocate(t *testing.T) {
	failures := throttle.NewFailures(throttle.Config{Now: newClock().now})
	v4, v6 := address("192.0.2.1"), address("2001:db8::1")
	allocs := testing.AllocsPerRun(1000, func() {
		failures.Failed(t.Context(), client, v4)
		failures.Failed(t.Context(), client, v6)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
