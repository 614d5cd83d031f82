package signin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// long is a text of n characters that nobody would guess.
func long(n int, alphabet string) string {
	letters := []rune(alphabet)
	var b strings.Builder
	for i := range n {
		b.WriteRune(letters[(i*i+i/3)%len(letters)])
	}
	return b.String()
}

func TestWEB22_passwordsAreVerifiedExactly(t *testing.T) {
	const latin, greek, emoji = "kq7rtyw9zpxm", "αβγδεζηθικλμ", "𝄞😀🦜𓀀"
	for name, text := range map[string]string{
		"WEB-22 8": long(8, latin), "WEB-22 64": long(64, latin), "WEB-22 72": long(72, latin), "WEB-22 73": long(73, latin),
		"WEB-22 128": long(128, latin), "WEB-22 another script": long(40, greek), "WEB-22 four bytes": long(128, emoji), "WEB-22 spaces around": "  " + long(9, latin) + " ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, sqldbtest.New(t), nil)
			up, err := f.SignUp(t.Context(), f.from, signin.Newcomer{Email: "ada@example.com", Password: secret.NewPlaintext(text), Organisation: "A"})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Registry.Apply(t.Context(), actor.NewSystem("test"), registry.VerifyPerson{Person: up.Session.Person.ID}); err != nil {
				t.Fatal(err)
			}
			last := []rune(text)
			for _, other := range []string{string(last[:len(last)-1]), text + "x", " " + text, strings.ToUpper(text), string(last[:len(last)-1]) + "Q"} {
				if other == text {
					continue
				}
				_, err := f.signIn(t, "ada@example.com", other)
				wantKind(t, err, fault.Unauthenticated)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := f.signIn(t, "ada@example.com", text); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWEB22_weakPasswordsAreRefused(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t), nil)
	try := func(text string) error {
		_, err := f.SignUp(t.Context(), f.from, signin.Newcomer{Email: "grace.hopper@navy.example", Name: "Grace", Password: secret.NewPlaintext(text), Organisation: "Compilers"})
		f.clock.add(24 * time.Hour)
		return err
	}
	for _, text := range []string{
		"", "short7!", long(129, "kq7rtyw9zpxm"), "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8",
		"password", "Password1!", "P@ssw0rd2024", "letmein123", "qwertyuiop", "12345678", "87654321", "aaaaaaaa", "abcabcabc", "passwordpassword", "19840229", "        ", "Summer2026!", "iloveyou", "qazwsxedc",
		"grace.hopper", "hopper2026", "gracehopper!", "compilers1", "doorward1", "navyGrace99",
	} {
		wantKind(t, try(text), fault.Invalid)
	}
	for _, text := range []string{"correct horse battery", "grace likes compilers a lot", "tr0ub4dor&3x", "x7!kq9wz"} {
		t.Run("twin "+text, func(t *testing.T) {
			if err := try(text); err != nil && fault.KindOf(err) == fault.Invalid {
				t.Errorf("%q: %v", text, err)
			}
		})
	}
}
