package id_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"math"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/doorward/doorward/internal/id"
)

func TestNewIDsParse(t *testing.T) {
	for range 200 {
		organisation := id.NewOrganisation(rand.Reader)
		if got, ok := id.ParseOrganisation(string(organisation)); !ok || got != organisation {
			t.Errorf("ParseOrganisation(%q) = %q, %v", organisation, got, ok)
		}
		person := id.NewPerson(rand.Reader)
		if got, ok := id.ParsePerson(string(person)); !ok || got != person {
			t.Errorf("ParsePerson(%q) = %q, %v", person, got, ok)
		}
		invitation := id.NewInvitation(rand.Reader)
		if got, ok := id.ParseInvitation(string(invitation)); !ok || got != invitation {
			t.Errorf("ParseInvitation(%q) = %q, %v", invitation, got, ok)
		}
		request := id.NewRequest(rand.Reader)
		if got, ok := id.ParseRequest(string(request)); !ok || got != request {
			t.Errorf("ParseRequest(%q) = %q, %v", request, got, ok)
		}
		secret := id.NewSecret(rand.Reader)
		if got, ok := id.ParseSecret(string(secret)); !ok || got != secret {
			t.Errorf("ParseSecret(%q) = %q, %v", secret, got, ok)
		}
		webhook := id.NewWebhook(rand.Reader)
		if got, ok := id.ParseWebhook(string(webhook)); !ok || got != webhook {
			t.Errorf("ParseWebhook(%q) = %q, %v", webhook, got, ok)
		}
		for _, env := range []id.Environment{id.Sandbox, id.Production} {
			account := id.NewAccount(rand.Reader, env)
			if got, ok := id.ParseAccount(string(account)); !ok || got != account || got.Environment() != env {
				t.Errorf("ParseAccount(%q) = %q, %v in %q, want environment %q", account, got, ok, got.Environment(), env)
			}
		}
	}
}

func TestOnlyTheExactFormParses(t *testing.T) {
	const long, short = "0123456789abcdefghij", "0123456789ab"
	organisation := func(s string) bool { _, ok := id.ParseOrganisation(s); return ok }
	account := func(s string) bool { _, ok := id.ParseAccount(s); return ok }
	webhook := func(s string) bool { _, ok := id.ParseWebhook(s); return ok }
	secret := func(s string) bool { _, ok := id.ParseSecret(s); return ok }
	person := func(s string) bool { _, ok := id.ParsePerson(s); return ok }
	invitation := func(s string) bool { _, ok := id.ParseInvitation(s); return ok }
	request := func(s string) bool { _, ok := id.ParseRequest(s); return ok }
	tests := []struct {
		name  string
		parse func(string) bool
		twin  string
		bad   []string
	}{
		{"organisation", organisation, "o-" + long, []string{
			"", "o-", long, "o-" + long + "0", "o-" + long[1:], "O-" + long, "o-" + strings.ToUpper(long), "o-" + long[1:] + "\n", "o-" + long[2:] + "é", " o-" + long, "a-s-" + long,
		}},
		{"account", account, "a-s-" + long, []string{
			"", "a-", "a-s-", "a-x-" + long, "a-s-" + long + "0", "a-p-" + long[1:], "A-s-" + long, "a-s-" + long[1:] + "-", "a-s-" + long[2:] + "é", "o-" + long,
		}},
		{"webhook", webhook, "wh-" + long, []string{
			"", "wh-", long, "wh-" + long + "0", "wh-" + long[1:], "WH-" + long, "wh-" + strings.ToUpper(long), "wh-" + long[2:] + "é", "o-" + long,
		}},
		{"person", person, "p-" + long, []string{"", "p-", "p-" + long + "0", "P-" + long, "p-" + long[1:] + "-", "o-" + long}},
		{"invitation", invitation, "i-" + long, []string{"", "i-", "i-" + long + "0", "I-" + long, "i-" + long[1:] + "-", "p-" + long}},
		{"request", request, "r-" + long, []string{"", "r-", "r-" + long + "0", "R-" + long, "r-" + long[1:] + "-", "i-" + long}},
		{"secret", secret, short, []string{
			"", short + "c", short[1:], strings.ToUpper(short), short[1:] + "_", short[2:] + "é", short[1:] + "\x00",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, s := range test.bad {
				if test.parse(s) {
					t.Errorf("%q parses, want it refused", s)
				}
			}
			t.Run("twin", func(t *testing.T) {
				if !test.parse(test.twin) {
					t.Errorf("%q is refused", test.twin)
				}
			})
		})
	}
}

func TestEnvironmentIsOneOfTwo(t *testing.T) {
	for env, want := range map[id.Environment]bool{id.Sandbox: true, id.Production: true, "": false, "Sandbox": false, "staging": false} {
		if got := env.Valid(); got != want {
			t.Errorf("Environment(%q).Valid() = %v, want %v", env, got, want)
		}
	}
	for _, account := range []id.Account{"", "a-", "a-x-0123456789abcdefghij", "o-0123456789abcdefghij"} {
		if got := account.Environment(); got != "" {
			t.Errorf("Account(%q).Environment() = %q, want none", account, got)
		}
	}
}

func TestIDsComeFromTheInjectedReaderOnly(t *testing.T) {
	draw := func() string {
		source := mathrand.NewChaCha8([32]byte{1})
		return string(id.NewOrganisation(source)) + string(id.NewClient(source, id.SandboxClient, 3))
	}
	if first, second := draw(), draw(); first != second {
		t.Errorf("one seed gave %q and then %q", first, second)
	}
}

// A byte from 252 on would make the first four letters more frequent, and is
// drawn again.
func TestUnfairBytesAreDrawnAgain(t *testing.T) {
	source := io.MultiReader(bytes.NewReader(bytes.Repeat([]byte{252, 255}, 6)), bytes.NewReader([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x23")))
	if got, want := id.NewSecret(source), id.Secret("0123456789az"); got != want {
		t.Errorf("NewSecret = %q, want %q", got, want)
	}
}

func TestLettersAreDrawnEvenly(t *testing.T) {
	const draws = 20_000
	counts := map[rune]int{}
	source := mathrand.NewChaCha8([32]byte{2}) // a fixed seed: the test cannot fail by chance
	for range draws {
		for _, letter := range id.NewSecret(source) {
			counts[letter]++
		}
	}
	want := float64(draws) * 12 / 36
	for letter, count := range counts {
		if deviation := math.Abs(float64(count)-want) / math.Sqrt(want); deviation > 4 {
			t.Errorf("letter %q was drawn %d times, want about %.0f", letter, count, want)
		}
	}
	if got, want := len(counts), 36; got != want {
		t.Errorf("%d different letters, want %d", got, want)
	}
}

func TestProgrammersErrorsPanic(t *testing.T) {
	tests := map[string]func(){
		"failed random source": func() { id.NewSecret(iotest.ErrReader(errors.New("broken"))) },
		"no environment":       func() { id.NewAccount(rand.Reader, "") },
		"unknown prefix":       func() { id.NewClient(rand.Reader, "production", 3) },
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

func FuzzParseOrganisation(f *testing.F) {
	f.Add("o-0123456789abcdefghij")
	f.Add("o-")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := id.ParseOrganisation(s)
		checkParsed(t, s, string(got), ok, 22)
	})
}

func FuzzParseAccount(f *testing.F) {
	f.Add("a-s-0123456789abcdefghij")
	f.Add("a-p-")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := id.ParseAccount(s)
		checkParsed(t, s, string(got), ok, 24)
		if ok && !got.Environment().Valid() {
			t.Errorf("account %q is in no environment", s)
		}
	})
}

func FuzzParseSecret(f *testing.F) {
	f.Add("0123456789ab")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := id.ParseSecret(s)
		checkParsed(t, s, string(got), ok, 12)
	})
}

// checkParsed holds for every parser: all of the input or nothing, in ASCII.
func checkParsed(t *testing.T, in, got string, ok bool, length int) {
	t.Helper()
	if !ok {
		if got != "" {
			t.Errorf("a refused %q gave %q", in, got)
		}
		return
	}
	if got != in || len(got) > length {
		t.Errorf("parsed %q as %q", in, got)
	}
	if strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		t.Errorf("parsed %q, which has other characters", in)
	}
}
