package tokensource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func sharing(t *testing.T, cache Cache, serve roundTrip) *Source {
	t.Helper()
	c := config(serve)
	c.Cache = cache
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSourcesWithOneMemoryShareARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, memory := &issuer{lifetime: 600}, &Memory{}
		sources := []*Source{sharing(t, memory, i.serve), sharing(t, memory, i.serve), sharing(t, memory, i.serve)}
		all := func() {
			var callers sync.WaitGroup
			for _, s := range sources {
				callers.Go(func() { ask(t, s) })
			}
			callers.Wait()
			synctest.Wait()
		}
		all()
		if got := i.count(); got != 1 {
			t.Fatalf("%d requests of three cold sources, want 1", got)
		}
		time.Sleep(480 * time.Second)
		all()
		if got := i.count(); got != 2 {
			t.Errorf("%d requests after all three renewed, want 2", got)
		}
		for _, s := range sources {
			if got := ask(t, s); got != "token-2" {
				t.Errorf("token = %q, want token-2", got)
			}
		}
		sources[0].Invalidate("token-2")
		if got := ask(t, sources[0]); got != "token-3" {
			t.Errorf("token = %q after token-2 was invalidated, want token-3", got)
		}
		sources[1].Invalidate("token-2")
		if got := ask(t, sources[1]); got != "token-3" || i.count() != 3 {
			t.Errorf("token = %q after %d requests, want token-3 of the other source", got, i.count())
		}
	})
}

func TestFailureOfOneSourceIsNotTheOthers(t *testing.T) {
	memory := &Memory{}
	broken := sharing(t, memory, func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") })
	good := sharing(t, memory, (&issuer{lifetime: 600}).serve)
	if _, err := broken.Token(t.Context()); err == nil {
		t.Error("no error of a source without a server")
	}
	ask(t, good)
	ask(t, broken) // from the memory
}

func TestMemoryForgetsWhatExpired(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	memory := &Memory{Now: func() time.Time { return now }}
	for n := range 1000 {
		_, err := memory.Fetch(t.Context(), Key{ClientID: fmt.Sprint(n)}, nil, func(context.Context) (Token, error) {
			return Token{Value: "t", Lifetime: time.Minute, Left: time.Minute}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	if got := len(memory.entries); got > 2*firstSweep+2 {
		t.Errorf("%d entries, of which 60 are alive, want at most %d", got, 2*firstSweep+2)
	}
}

func TestKeyTellsApartWhatMustNotMix(t *testing.T) {
	base := config(nil)
	base.Scopes, base.Audience = []string{"b", "a"}, "x"
	same := base
	same.Scopes = []string{"a", "b", "a"}
	if base.key() != same.key() {
		t.Error("the order of scopes makes another key")
	}
	for name, change := range map[string]func(*Config){
		"token URL": func(c *Config) { c.TokenURL += "2" }, "client": func(c *Config) { c.ClientID += "2" }, "secret": func(c *Config) { c.ClientSecret += "2" },
		"scopes": func(c *Config) { c.Scopes = []string{"a"} }, "audience": func(c *Config) { c.Audience = "" },
	} {
		other := base
		change(&other)
		if other.key() == base.key() {
			t.Errorf("another %s makes the same key", name)
		}
	}
}

func TestEventsTellWhatHappens(t *testing.T) {
	var mu sync.Mutex
	var got []string
	i := &issuer{lifetime: 600}
	c := config(i.serve)
	c.Observe = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%s of %s", e.Kind, e.ClientID))
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, secret) || strings.Contains(text, "token-") {
			t.Errorf("event %s shows the secret or a token", text)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		a := &api{refused: map[string]bool{"token-1": true}, status: 401, challenge: invalidToken}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/echo", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := s.Transport(roundTrip(a.serve)).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		want := []string{"renewed", "invalidated", "renewed", "repeated"}
		for n, kind := range want {
			if kind += " of " + clientID; len(got) != len(want) || !strings.Contains(strings.Join(got, ","), kind) {
				t.Fatalf("events = %q, want %q (%d)", got, want, n)
			}
		}
	})
}
