package secret_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// program writes a shell script that keeps a key-encryption key.
func program(t *testing.T, script string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"sh", path, "first"}
}

// echoing gives back what it gets, as base64.
const echoing = `[ "$1" = first ] && [ "$2" = wrap -o "$2" = unwrap ] || exit 1; cat`

func TestEachKindOfKeyEncryptionKeyWrapsAndUnwraps(t *testing.T) {
	inMemory, err := secret.NewKeyEncryptionKey(bytes.Repeat([]byte{7}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	key := bytes.Repeat([]byte{1}, secret.KeySize)
	for name, k := range map[string]*secret.KeyEncryptionKey{"in memory": inMemory, "a program's": secret.NewKeyEncryptionCommand(program(t, echoing))} {
		t.Run(name, func(t *testing.T) {
			wrapped, err := k.Wrap(t.Context(), rand.Reader, 3, key)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := k.Unwrap(t.Context(), 3, wrapped); err != nil || !bytes.Equal(got, key) {
				t.Errorf("Unwrap = %v, %v", got, err)
			}
			if _, err := k.Unwrap(t.Context(), 4, wrapped); !errors.Is(err, secret.ErrOpen) {
				t.Errorf("the key of another number = %v, want ErrOpen", err)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		other, err := secret.NewKeyEncryptionKey(bytes.Repeat([]byte{8}, secret.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := inMemory.Wrap(t.Context(), rand.Reader, 3, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Unwrap(t.Context(), 3, wrapped); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("Unwrap = %v, want ErrOpen", err)
		}
	})
}

func TestAProgramThatFailsSaysWhy(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"its own words":  {`echo 'the token is locked' >&2; exit 3`, `exit status 3; it says "the token is locked\n"`},
		"no base64":      {`echo '!!!'`, "illegal base64"},
		"nothing":        {`exit 0`, "its answer is empty"},
		"far too much":   {`head -c 100000 /dev/zero`, "its answer is too long"},
		"no such thing":  {"", "kek-that-is-not-there"},
		"many words":     {`head -c 100000 /dev/zero | tr '\0' x >&2; exit 1`, `xxx"`},
		"it never ends":  {`sleep 100`, "it did not end in time, which is 10s"},
		"it leaves some": {`sleep 100 & exit 1`, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := program(t, c.script)
			if c.script == "" {
				command = []string{"kek-that-is-not-there"}
			}
			ctx := t.Context()
			if name == "it never ends" {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
			}
			_, err := secret.NewKeyEncryptionCommand(command).Wrap(ctx, rand.Reader, 1, make([]byte, secret.KeySize))
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000 {
				t.Errorf("Wrap = %v, want an error with %q", err, c.want)
			}
		})
	}
}
