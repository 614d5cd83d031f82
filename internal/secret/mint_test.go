package secret_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
)

const publicID id.Secret = "0123456789ab"

func newMint(t testing.TB, seed byte) *secret.Mint {
	t.Helper()
	mint, err := secret.NewMint(bytes.Repeat([]byte{seed}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return mint
}

func newSecret(t testing.TB, mint *secret.Mint, env byte) string {
	t.Helper()
	value, err := mint.New(rand.Reader, env, publicID)
	if err != nil {
		t.Fatal(err)
	}
	return value.Reveal()
}

func TestSEC02_aMillionSecretsAreUnique(t *testing.T) {
	const count = 1_000_000
	mint := newMint(t, 1)
	source := bufio.NewReaderSize(rand.Reader, 1<<16)
	seen := make(map[[16]byte]struct{}, count)
	for range count {
		value, err := mint.New(source, secret.SandboxLetter, publicID) // one public id: only the random part differs
		if err != nil {
			t.Fatal(err)
		}
		seen[[16]byte([]byte(value.Reveal())[18:34])] = struct{}{} // 16 of its 27 characters must do
	}
	if got, want := len(seen), count; got != want {
		t.Errorf("%d different secrets of %d", got, want)
	}
}

func TestSEC02_atLeast160BitsAreRandom(t *testing.T) {
	const characters = 27 // 62^27 > 2^160
	if got, want := len(newSecret(t, newMint(t, 1), 's')), len("dw_s_0123456789ab_")+characters+8; got != want {
		t.Errorf("a secret has %d characters, want %d", got, want)
	}
}

func TestSEC08_patternFindsASecretInAFile(t *testing.T) {
	pattern := regexp.MustCompile(secret.Pattern)
	for _, env := range []byte{secret.SandboxLetter, secret.ProductionLetter, secret.OwnerLetter} {
		value := newSecret(t, newMint(t, 1), env)
		path := filepath.Join(t.TempDir(), ".env")
		content := "# settings\nCLIENT_SECRET=" + value + "\nBASIC=https://client:" + value + "@example.test/\n"
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprintf("%s", pattern.FindAll(found, -1)), fmt.Sprint([]string{value, value}); got != want {
			t.Errorf("found %s, want %s", got, want)
		}
		if got := url.QueryEscape(value); got != value {
			t.Errorf("form-encoding makes %s of %s", got, value)
		}
	}
}

func TestSEC08_patternMakesNoFalseHitOnThisRepository(t *testing.T) {
	pattern := regexp.MustCompile(secret.Pattern)
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	read := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // a temporary file of another test
			return nil
		case err != nil:
			return err
		case entry.IsDir() && isUntracked(entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil // gone meanwhile, or not ours to read: then it is not tracked
		}
		read++
		for _, hit := range pattern.FindAll(content, -1) {
			t.Errorf("%s: the pattern hits %s", path, hit)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 10 {
		t.Errorf("only %d files were read: is %s the repository?", read, root)
	}
}

// isUntracked names folders that hold what tools, or doorward dev, made.
func isUntracked(name string) bool {
	switch name {
	case ".git", "node_modules", "build", "dist", "bin", "doorward-data":
		return true
	}
	return false
}

func TestSEC08_secretWithoutItsTagIsRefused(t *testing.T) {
	mint := newMint(t, 1)
	value := newSecret(t, mint, secret.SandboxLetter)
	bad := map[string]string{
		"empty":           "",
		"tag of another":  newSecret(t, newMint(t, 2), secret.SandboxLetter),
		"shorter":         value[:len(value)-1],
		"longer":          value + "0",
		"line end":        value + "\n",
		"leading space":   " " + value[:len(value)-1],
		"other case":      strings.ToUpper(value),
		"not ASCII":       value[:len(value)-2] + "é",
		"only separators": strings.Repeat("_", len(value)),
	}
	for i := range value {
		changed := []byte(value)
		changed[i] ^= 1
		bad[fmt.Sprintf("bit of character %d", i)] = string(changed)
	}
	for name, text := range bad {
		t.Run(name, func(t *testing.T) {
			if public, env, ok := mint.Parse(text); ok || public != "" || env != 0 {
				t.Errorf("Parse = %q, %q, %v, want it refused", public, env, ok)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		public, env, ok := mint.Parse(value)
		if !ok || public != publicID || env != secret.SandboxLetter {
			t.Errorf("Parse = %q, %q, %v, want %q, 's', true", public, env, ok, publicID)
		}
	})
}

func TestTEN14_environmentOfASecretCannotBeRewritten(t *testing.T) {
	mint := newMint(t, 1)
	letters := []byte{secret.SandboxLetter, secret.ProductionLetter, secret.OwnerLetter}
	for _, from := range letters {
		value := newSecret(t, mint, from)
		for _, to := range letters {
			if from == to {
				continue
			}
			t.Run(fmt.Sprintf("%c as %c", from, to), func(t *testing.T) {
				if _, _, ok := mint.Parse("dw_" + string(to) + value[4:]); ok {
					t.Error("the secret passes in another environment")
				}
				t.Run("twin", func(t *testing.T) {
					if _, env, ok := mint.Parse(value); !ok || env != from {
						t.Errorf("Parse says environment %q, %v, want %q", env, ok, from)
					}
				})
			})
		}
	}
}

// The tag is HMAC-SHA-256 (RFC 2104), spelled out; the standard library's must
// agree.
func TestTagIsTheStandardHMAC(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for seed := range byte(50) {
		value := newSecret(t, newMint(t, seed), secret.OwnerLetter)
		mac := hmac.New(sha256.New, bytes.Repeat([]byte{seed}, secret.KeySize))
		mac.Write([]byte(value[:len(value)-8]))
		rest := binary.BigEndian.Uint64(mac.Sum(nil))
		want := ""
		for range 8 {
			want += string(alphabet[rest%62])
			rest /= 62
		}
		if got := value[len(value)-8:]; got != want {
			t.Errorf("tag under key %d = %s, want %s", seed, got, want)
		}
	}
}

func TestMintRefusesWhatMakesNoSecret(t *testing.T) {
	mint := newMint(t, 1)
	broken := iotest.ErrReader(errors.New("broken"))
	_, unknown := mint.New(rand.Reader, 'x', publicID)
	_, unnamed := mint.New(rand.Reader, 's', "short")
	_, undrawn := mint.New(broken, 's', publicID)
	_, keyless := secret.NewMint(make([]byte, 31))
	for name, err := range map[string]error{"letter": unknown, "public id": unnamed, "random source": undrawn, "tag key": keyless} {
		t.Run(name, func(t *testing.T) {
			if err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if _, err := mint.New(rand.Reader, 's', publicID); err != nil {
			t.Error(err)
		}
	})
}

func FuzzParse(f *testing.F) {
	mint, pattern := newMint(f, 1), regexp.MustCompile("^"+secret.Pattern+"$")
	f.Add(newSecret(f, mint, 's'))
	f.Add("dw_s_0123456789ab_")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		public, env, ok := mint.Parse(text)
		if ok && (!pattern.MatchString(text) || string(public) != text[5:17] || env != text[3]) {
			t.Errorf("Parse(%q) = %q, %q", text, public, env)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	mint := newMint(b, 1)
	value := newSecret(b, mint, 's')
	for b.Loop() {
		mint.Parse(value)
	}
}

func TestWhatAMintAuthenticatesIsForOnePurpose(t *testing.T) {
	one, err := secret.NewMint(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, secret.KeySize)
	key[0] = 1
	other, err := secret.NewMint(key)
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, make([]byte, secret.KeySize))
	h.Write([]byte("cursor\x00text"))
	want := [sha256.Size]byte(h.Sum(nil))
	for name, got := range map[string][sha256.Size]byte{
		"another key": other.Authenticate("cursor", []byte("text")), "another purpose": one.Authenticate("curso", []byte("r\x00text")), "another text": one.Authenticate("cursor", []byte("texts")),
	} {
		if got == want {
			t.Errorf("%s gives the same", name)
		}
	}
	if got := one.Authenticate("cursor", []byte("text")); got != want {
		t.Errorf("got %x, want HMAC-SHA-256, %x", got, want)
	}
}
