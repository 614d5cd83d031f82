package secret_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/doorward/doorward/internal/secret"
)

func newSealer(t testing.TB, seed byte) *secret.Sealer {
	t.Helper()
	sealer, err := secret.NewSealer(bytes.Repeat([]byte{seed}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func TestKEY08_valueSealedUnderAnotherKeyOrPlaceDoesNotOpen(t *testing.T) {
	const identity = "signing_key.private_key/k1"
	sealer := newSealer(t, 1)
	sealed, err := sealer.Seal(rand.Reader, []byte(canary), identity)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(canary)) {
		t.Fatal("the value is in clear")
	}
	open := func(sealer *secret.Sealer, sealed []byte, identity string) func() ([]byte, error) {
		return func() ([]byte, error) { return sealer.Open(sealed, identity) }
	}
	refused := map[string]func() ([]byte, error){
		"another key":      open(newSealer(t, 2), sealed, identity),
		"another identity": open(sealer, sealed, "signing_key.private_key/k2"),
		"no identity":      open(sealer, sealed, ""),
		"empty":            open(sealer, nil, identity),
		"cut short":        open(sealer, sealed[:len(sealed)-1], identity),
		"longer":           open(sealer, append(slices.Clone(sealed), 0), identity),
		"header alone":     open(sealer, sealed[:13], identity),
	}
	for i := range sealed {
		changed := slices.Clone(sealed)
		changed[i] ^= 1
		refused[fmt.Sprintf("changed byte %d", i)] = open(sealer, changed, identity)
	}
	for name, try := range refused {
		t.Run(name, func(t *testing.T) {
			if got, err := try(); !errors.Is(err, secret.ErrOpen) || got != nil {
				t.Errorf("Open = %q, %v, want ErrOpen", got, err)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		got, err := sealer.Open(sealed, identity)
		if err != nil || string(got) != canary {
			t.Errorf("Open = %q, %v, want %q", got, err, canary)
		}
	})
}

func TestSealingTwiceGivesTwoValues(t *testing.T) {
	sealer := newSealer(t, 1)
	first, err1 := sealer.Seal(rand.Reader, nil, "place")
	second, err2 := sealer.Seal(rand.Reader, nil, "place")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, second) {
		t.Error("both are the same: the nonce is not drawn")
	}
}

func TestSealerRefusesWhatItCannotProtect(t *testing.T) {
	sealer := newSealer(t, 1)
	_, short := secret.NewSealer(make([]byte, 16))
	_, none := secret.NewSealer(nil)
	_, nameless := sealer.Seal(rand.Reader, []byte("x"), "")
	_, undrawn := sealer.Seal(iotest.ErrReader(errors.New("broken")), []byte("x"), "place")
	for name, err := range map[string]error{"KEY-08 shorter key": short, "KEY-08 no key": none, "no identity": nameless, "no random source": undrawn} {
		t.Run(name, func(t *testing.T) {
			if err == nil {
				t.Error("no error")
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := newSealer(t, 1).Seal(rand.Reader, []byte("x"), "place"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSealedColumnsAreNamedByTableAndColumn(t *testing.T) {
	want := []string{"installation.secret_tag_key", "installation.kek_check", "signing_key.private_key", "webhook.secret", "webhook.previous_secret", "mail.body", "factor.seed", "factor.pending", "audit_key.private_key"}
	if got := secret.SealedColumns(); !slices.Equal(got, want) {
		t.Errorf("SealedColumns = %q, want %q", got, want)
	}
}

func FuzzOpen(f *testing.F) {
	sealer := newSealer(f, 1)
	f.Add([]byte{})
	f.Add([]byte{1, 2, 3})
	f.Add(bytes.Repeat([]byte{1}, 40))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := sealer.Open(sealed, "place"); err == nil {
			t.Errorf("%x opens as %x", sealed, got)
		}
	})
}
