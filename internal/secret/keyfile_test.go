package secret_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/doorward/doorward/internal/secret"
)

func writeKeyFile(t *testing.T, content string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func TestSEC14_keyFileThatOthersMayUseIsRefused(t *testing.T) {
	content := strings.Repeat("0f", secret.KeySize)
	for _, mode := range []fs.FileMode{0o601, 0o610, 0o620, 0o640, 0o644, 0o604, 0o666, 0o700, 0o777} {
		t.Run(mode.String(), func(t *testing.T) {
			key, err := secret.ReadKeyEncryptionKey(writeKeyFile(t, content, mode))
			if err == nil || key != nil {
				t.Fatalf("mode %v is accepted", mode)
			}
			if !strings.Contains(err.Error(), "chmod 0600") {
				t.Errorf("%q does not say what to do", err)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		for _, mode := range []fs.FileMode{0o600, 0o400} {
			if _, err := secret.ReadKeyEncryptionKey(writeKeyFile(t, content, mode)); err != nil {
				t.Errorf("mode %v: %v", mode, err)
			}
		}
	})
}

func TestKEY08_keyFileWithoutAKeyIsRefused(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb}, secret.KeySize) // base64 of it has '+' and '/'
	inHex, inBase64 := hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key)
	bad := map[string]string{
		"empty":          "",
		"line end alone": "\n",
		"31 bytes":       inHex[2:],
		"33 bytes":       inHex + "fb",
		"16 bytes":       inHex[32:],
		"raw bytes":      string(key),
		"no hex":         "zz" + inHex[2:],
		"31 in base64":   base64.StdEncoding.EncodeToString(key[1:]),
		"33 in base64":   base64.StdEncoding.EncodeToString(append([]byte{1}, key...)),
		"base64url":      base64.URLEncoding.EncodeToString(key),
		"loose base64":   inBase64[:42] + "t=",
		"two line ends":  inHex + "\n\n",
		"leading space":  " " + inHex,
		"long file":      strings.Repeat(inHex, 1000),
	}
	for name, content := range bad {
		t.Run(name, func(t *testing.T) {
			got, err := secret.ReadKeyEncryptionKey(writeKeyFile(t, content, 0o600))
			if err == nil || got != nil {
				t.Fatal("it is accepted")
			}
			if !strings.Contains(err.Error(), "openssl rand -hex 32") {
				t.Errorf("%q does not say what to do", err)
			}
			if strings.Contains(err.Error(), "fbfb") || strings.Contains(err.Error(), "+/") {
				t.Errorf("%q quotes the key", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "kek")
		if _, err := secret.ReadKeyEncryptionKey(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error = %v, want fs.ErrNotExist", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a fresh key was made silently")
		}
	})
	t.Run("folder", func(t *testing.T) {
		if _, err := secret.ReadKeyEncryptionKey(t.TempDir()); err == nil {
			t.Error("a folder is accepted")
		}
	})
	t.Run("twin", func(t *testing.T) {
		for _, content := range []string{inHex, strings.ToUpper(inHex), inHex + "\n", inHex + "\r\n", inBase64, inBase64 + "\n"} {
			got, err := secret.ReadKeyEncryptionKey(writeKeyFile(t, content, 0o600))
			if err != nil || !bytes.Equal(got, key) {
				t.Errorf("%q gives %x, %v", content, got, err)
			}
		}
	})
}

func TestCreatedKeyIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	key, err := secret.CreateKeyEncryptionKey(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("SEC-14: file is %v, %v, want mode 0600", info, err)
	}
	if got, err := secret.ReadKeyEncryptionKey(path); err != nil || !bytes.Equal(got, key) || len(key) != secret.KeySize {
		t.Errorf("read %x, %v, want the key that was made", got, err)
	}
}

func TestKEY08_creatingNeverReplacesAKey(t *testing.T) {
	path := writeKeyFile(t, "what was there", 0o600)
	if _, err := secret.CreateKeyEncryptionKey(path, rand.Reader); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error = %v, want fs.ErrExist", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "what was there" {
		t.Errorf("the file has %q, %v, want it unchanged", got, err)
	}
	t.Run("failed random source", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "kek")
		if _, err := secret.CreateKeyEncryptionKey(path, iotest.ErrReader(errors.New("broken"))); err == nil {
			t.Error("no error")
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a file was left behind")
		}
	})
	t.Run("twin", func(t *testing.T) {
		if _, err := secret.CreateKeyEncryptionKey(path+"2", rand.Reader); err != nil {
			t.Error(err)
		}
	})
}

func FuzzParseKeyEncryptionKey(f *testing.F) {
	f.Add(strings.Repeat("0f", 32))
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.Add("\n")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := secret.ParseKeyEncryptionKey(text); (err == nil) != (len(key) == secret.KeySize) {
			t.Errorf("%q gives %d bytes, %v", text, len(key), err)
		}
	})
}

// systemd hands its service a credential by an access control list, whose mask
// stands where the group's rights do.
func TestACredentialOfSystemdMayLookReadableByItsGroup(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "key")
	if err := os.WriteFile(path, []byte(strings.Repeat("00", secret.KeySize)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		credentials string
		mode        os.FileMode
		good        bool
	}{
		{folder, 0o440, true}, {folder + "/", 0o440, true}, {folder, 0o444, false}, {folder, 0o460, false},
		{"", 0o440, false}, {filepath.Dir(folder), 0o440, false}, {"", 0o400, true},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", row.credentials)
		if err := os.Chmod(path, row.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.ReadKeyEncryptionKey(path); (err == nil) != row.good {
			t.Errorf("mode %04o where the credentials are in %q: %v", row.mode, row.credentials, err)
		}
	}
}
