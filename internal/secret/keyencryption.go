package secret

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// KeyEncryptionKey wraps sealing keys. It is a key in memory, or a program that
// asks whatever holds the key, such as a hardware security module.
type KeyEncryptionKey struct {
	sealer  *Sealer  // nil: the command
	command []string // program and arguments
}

// NewKeyEncryptionKey makes one of a key of KeySize bytes.
func NewKeyEncryptionKey(key []byte) (*KeyEncryptionKey, error) {
	sealer, err := NewSealer(key)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	return &KeyEncryptionKey{sealer: sealer}, nil
}

// The helper program of a key-encryption key.
const (
	CommandTimeout = 10 * time.Second // for one wrapping
	maxWrapped     = 8 << 10          // bytes of its answer
)

// NewKeyEncryptionCommand makes one of a program and its arguments. It is run
// with one more argument, wrap or unwrap, reads one line of base64 on its
// standard input, and answers with one line of base64 on its standard output:
// what it was given, wrapped, or unwrapped again. Another exit code than 0 is a
// failure, which it explains on its standard error.
func NewKeyEncryptionCommand(command []string) *KeyEncryptionKey {
	return &KeyEncryptionKey{command: command}
}

const wrappedIdentity = "sealing_key.wrapped"

// Wrap encrypts a sealing key together with its number, so that no other number
// can be given to it.
func (k *KeyEncryptionKey) Wrap(ctx context.Context, rand io.Reader, number uint32, key []byte) ([]byte, error) {
	text := append(binary.BigEndian.AppendUint32(nil, number), key...)
	defer clear(text)
	if k.sealer != nil {
		return k.sealer.Seal(rand, text, wrappedIdentity)
	}
	return k.run(ctx, "wrap", text)
}

// Unwrap returns the sealing key of that number. Another key-encryption key, or
// another number, is ErrOpen; a program that fails is another error.
func (k *KeyEncryptionKey) Unwrap(ctx context.Context, number uint32, wrapped []byte) (key []byte, err error) {
	var text []byte
	if k.sealer != nil {
		text, err = k.sealer.Open(wrapped, wrappedIdentity)
	} else {
		text, err = k.run(ctx, "unwrap", wrapped)
	}
	if err != nil {
		return nil, err
	}
	if len(text) != numberSize+KeySize || binary.BigEndian.Uint32(text) != number {
		return nil, ErrOpen
	}
	return text[numberSize:], nil
}

func (k *KeyEncryptionKey) run(ctx context.Context, verb string, text []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, CommandTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, k.command[0], append(k.command[1:len(k.command):len(k.command)], verb)...) //nolint:gosec // the operator names the program
	command.WaitDelay = time.Second                                                                                // for what it started and left
	command.Stdin = strings.NewReader(base64.StdEncoding.EncodeToString(text) + "\n")
	out, complaints := &bounded{limit: maxWrapped}, &bounded{limit: maxComplaint}
	command.Stdout, command.Stderr = out, complaints
	err := command.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("it did not end in time, which is %v", CommandTimeout)
	}
	if err == nil && out.cut {
		err = errors.New("its answer is too long")
	}
	var answer []byte
	if err == nil {
		answer, err = base64.StdEncoding.DecodeString(strings.TrimRight(string(out.kept), "\r\n"))
	}
	if err == nil && len(answer) == 0 {
		err = errors.New("its answer is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("the program of the key-encryption key, %s %s: %w; it says %q", k.command[0], verb, err, complaints.kept)
	}
	return answer, nil
}

const maxComplaint = 500

// bounded keeps the beginning of what is written to it.
type bounded struct {
	kept  []byte
	limit int
	cut   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := min(b.limit-len(b.kept), len(p))
	b.kept = append(b.kept, p[:room]...)
	b.cut = b.cut || room < len(p)
	return len(p), nil
}
