package secret

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	keyFileMode   = 0o600
	keyFileLimit  = 256 // bytes read of a key file: any key and line end is shorter
	keyFileAdvice = "put 32 random bytes there as 64 hex digits or 44 characters of base64, for example with: openssl rand -hex 32"
)

// ReadKeyEncryptionKey reads the key-encryption key, KeySize bytes as
// ParseKeyEncryptionKey takes them, from a file that its owner alone may read.
// A missing file gives an error that is fs.ErrNotExist; it never makes one.
func ReadKeyEncryptionKey(path string) ([]byte, error) {
	file, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read the key-encryption key: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the key-encryption key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the key-encryption key file %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&^allowedMode(path) != 0 {
		return nil, &LooseFileError{path, mode}
	}
	text, err := io.ReadAll(io.LimitReader(file, keyFileLimit))
	if err != nil {
		return nil, fmt.Errorf("read the key-encryption key: %w", err)
	}
	key, err := ParseKeyEncryptionKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("key-encryption key file %s: %w", path, err)
	}
	return key, nil
}

// LooseFileError says that others than its owner may use a key file.
type LooseFileError struct {
	Path string
	Mode os.FileMode
}

func (e *LooseFileError) Error() string {
	return fmt.Sprintf("others may use the key-encryption key file %s (mode %04o): run chmod 0600 on it", e.Path, e.Mode)
}

// allowedMode adds the group's right to read where systemd hands a credential to
// its service alone: what looks like that right is the mask of an access control
// list there.
func allowedMode(path string) os.FileMode {
	if credentials := os.Getenv("CREDENTIALS_DIRECTORY"); credentials != "" && filepath.Dir(path) == filepath.Clean(credentials) {
		return keyFileMode | 0o040
	}
	return keyFileMode
}

// ParseKeyEncryptionKey reads a key of KeySize bytes from 64 hex digits or 44
// characters of base64 (RFC 4648 §4), with or without a line end after them.
func ParseKeyEncryptionKey(text string) ([]byte, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	var key []byte
	err := errors.New("wrong length")
	switch len(text) {
	case 0:
		return nil, errors.New("it is empty: " + keyFileAdvice)
	case hex.EncodedLen(KeySize):
		key, err = hex.DecodeString(text)
	case base64.StdEncoding.EncodedLen(KeySize):
		key, err = base64.StdEncoding.Strict().DecodeString(text)
	}
	if err != nil || len(key) != KeySize { // the cause would quote the key
		return nil, fmt.Errorf("it has %d characters that are not a key: %s", len(text), keyFileAdvice)
	}
	return key, nil
}

// CreateKeyEncryptionKey draws a key from rand, writes it to a new file of mode
// 0600 and returns it once it is on the disk. It never replaces a file: one that
// exists gives an error that is fs.ErrExist.
func CreateKeyEncryptionKey(path string, rand io.Reader) ([]byte, error) {
	key := make([]byte, KeySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return nil, fmt.Errorf("draw a key-encryption key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, keyFileMode) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, fmt.Errorf("create the key-encryption key: %w", err)
	}
	_, err = io.WriteString(file, hex.EncodeToString(key)+"\n")
	err = errors.Join(err, file.Sync(), file.Close(), syncFolder(filepath.Dir(path)))
	if err != nil {
		_ = os.Remove(path) // half a key would stop the next start
		return nil, fmt.Errorf("create the key-encryption key: %w", err)
	}
	return key, nil
}

// syncFolder makes the name of a new file as durable as its content.
func syncFolder(path string) error {
	folder, err := os.Open(path) // #nosec G304 -- the folder of the operator's file
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
