package clienttest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// relay stands between a client and Redis. It can go away, and it keeps what
// passes, so that a row can look for what must not pass.
type relay struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu     sync.Mutex
	passed bytes.Buffer
	open   []net.Conn
	gone   bool
}

func newRelay(target string) (*relay, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: listener, target: target}
	r.work.Go(r.accept)
	return r, nil
}

func (r *relay) url() string { return "redis://" + r.listener.Addr().String() }

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", r.target)
		if err != nil || !r.keep(near, far) {
			_ = near.Close()
			continue
		}
		r.work.Go(func() { r.pass(near, far) })
		r.work.Go(func() { r.pass(far, near) })
	}
}

// keep notes the connections for leave; false if the relay has left.
func (r *relay) keep(connections ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = append(r.open, connections...)
	return !r.gone
}

func (r *relay) pass(from, to net.Conn) {
	_, _ = io.Copy(io.MultiWriter(r, to), from)
	_, _ = from.Close(), to.Close()
}

// Write keeps a copy.
func (r *relay) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passed.Write(p)
}

func (r *relay) contains(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Contains(r.passed.Bytes(), []byte(text))
}

// leave closes all connections; no more are accepted.
func (r *relay) leave() {
	r.mu.Lock()
	r.gone = true
	connections := r.open
	r.mu.Unlock()
	_ = r.listener.Close()
	for _, c := range connections {
		_ = c.Close()
	}
	r.work.Wait()
}

// redis sends one command and returns the answer: a string, "" for nil, or an
// error.
func redis(ctx context.Context, address string, arguments ...string) (string, error) {
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	request := fmt.Appendf(nil, "*%d\r\n", len(arguments))
	for _, argument := range arguments {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(argument), argument)
	}
	if _, err := connection.Write(request); err != nil {
		return "", err
	}
	return readRedis(bufio.NewReader(connection))
}

func readRedis(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case strings.HasPrefix(line, "+"), strings.HasPrefix(line, ":"):
		return line[1:], nil
	case strings.HasPrefix(line, "$-"):
		return "", nil
	case strings.HasPrefix(line, "$"):
		n, err := strconv.Atoi(line[1:])
		if err != nil {
			return "", err
		}
		text := make([]byte, n+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return "", err
		}
		return string(text[:n]), nil
	}
	return "", fmt.Errorf("redis answered %q", line)
}

// sharedEntry is where docs/clients.md says that a source's token lies.
type sharedEntry struct {
	name string
	aead cipher.AEAD
}

func entryOf(c Command) (sharedEntry, error) {
	keys, err := hkdf.Key(sha256.New, []byte(c.ClientSecret), nil, "doorward token cache v1", 64)
	if err != nil {
		return sharedEntry{}, err
	}
	scopes := slices.Sorted(slices.Values(c.Scopes))
	mac := hmac.New(sha256.New, keys[32:])
	_, _ = io.WriteString(mac, strings.Join([]string{c.TokenURL, c.ClientID, strings.Join(slices.Compact(scopes), " "), c.Audience}, "\n"))
	block, err := aes.NewCipher(keys[:32])
	if err != nil {
		return sharedEntry{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sharedEntry{name: "doorward:token:" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), aead: aead}, err
}

// read decrypts what lies in Redis.
func (e sharedEntry) read(value string) (string, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(sealed) < e.aead.NonceSize() {
		return "", errors.New("the value in Redis is not base64url of a nonce and a ciphertext")
	}
	nonce, ciphertext := sealed[:e.aead.NonceSize()], sealed[e.aead.NonceSize():]
	clear, err := e.aead.Open(nil, nonce, ciphertext, []byte(e.name))
	if err != nil {
		return "", errors.New("the value in Redis cannot be decrypted with the key of docs/clients.md")
	}
	return string(clear), nil
}
