// Package id makes and recognises the identifiers that people and programs
// see: organisations, accounts, API clients, client secrets and webhooks.
//
// Each kind is a type of its own, so that the compiler keeps one from being
// used as another, and a plain string beneath, so that SQL, JSON and map keys
// need no conversion. An id is public: it names something and proves nothing.
//
// What must stay true: every character of a new id is drawn without bias from
// the reader that the caller injects, and a Parse function accepts exactly
// what its New function can have made, in ASCII, in one spelling.
package id

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Organisation is the id of a customer: "o-" and 20 of [a-z0-9].
type Organisation string

// Account is the id of an account: "a-s-" (sandbox) or "a-p-" (production) and
// 20 of [a-z0-9]. An account keeps its environment for ever.
type Account string

// Secret is the public part of a client secret, 12 of [a-z0-9]. It names the
// secret on pages and in the API, and is not the secret.
type Secret string

// Webhook is the id of a webhook: "wh-" and 20 of [a-z0-9].
type Webhook string

const (
	alphabet     = "0123456789abcdefghijklmnopqrstuvwxyz"
	longLength   = 20 // organisations, accounts and webhooks: 103 bits
	secretLength = 12 // client secrets: 62 bits

	organisationPrefix = "o-"
	sandboxPrefix      = "a-s-"
	productionPrefix   = "a-p-"
	webhookPrefix      = "wh-"
)

// NewOrganisation draws an organisation id from rand. Like every New function
// of this package it panics if rand fails, which crypto/rand.Reader never does.
func NewOrganisation(rand io.Reader) Organisation {
	return Organisation(organisationPrefix + letters(rand, longLength))
}

// ParseOrganisation returns s as an organisation id if it is one in form.
func ParseOrganisation(s string) (Organisation, bool) {
	rest, ok := strings.CutPrefix(s, organisationPrefix)
	if !ok || !isLetters(rest, longLength) {
		return "", false
	}
	return Organisation(s), true
}

// NewAccount draws the id of an account in env from rand. It panics if env is
// not Valid.
func NewAccount(rand io.Reader, env Environment) Account {
	prefix := sandboxPrefix
	switch env {
	case Sandbox:
	case Production:
		prefix = productionPrefix
	default:
		panic(fmt.Sprintf("id: no account can be in environment %q", string(env)))
	}
	return Account(prefix + letters(rand, longLength))
}

// ParseAccount returns s as an account id if it is one in form.
func ParseAccount(s string) (Account, bool) {
	account := Account(s)
	if !account.Environment().Valid() || !isLetters(s[len(sandboxPrefix):], longLength) {
		return "", false
	}
	return account, true
}

// Environment returns the environment that the id itself states, or "" if a
// is not an account id.
func (a Account) Environment() Environment {
	switch {
	case strings.HasPrefix(string(a), sandboxPrefix):
		return Sandbox
	case strings.HasPrefix(string(a), productionPrefix):
		return Production
	}
	return ""
}

// NewSecret draws the public id of a client secret from rand.
func NewSecret(rand io.Reader) Secret {
	return Secret(letters(rand, secretLength))
}

// ParseSecret returns s as the public id of a client secret if it is one in
// form. It does not allocate: the result shares the memory of s.
func ParseSecret(s string) (Secret, bool) {
	if !isLetters(s, secretLength) {
		return "", false
	}
	return Secret(s), true
}

// NewWebhook draws the id of a webhook from rand.
func NewWebhook(rand io.Reader) Webhook {
	return Webhook(webhookPrefix + letters(rand, longLength))
}

// ParseWebhook returns s as the id of a webhook if it is one in form.
func ParseWebhook(s string) (Webhook, bool) {
	rest, ok := strings.CutPrefix(s, webhookPrefix)
	if !ok || !isLetters(rest, longLength) {
		return "", false
	}
	return Webhook(s), true
}

// letters draws n characters of the alphabet.
func letters(rand io.Reader, n int) string {
	const fair = 256 - 256%len(alphabet) // bytes from here on would favour the first letters
	out := make([]byte, 0, n)
	batch := make([]byte, n)
	for len(out) < n {
		fill(rand, batch)
		for _, b := range batch {
			if int(b) < fair && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// number draws a number of [0, n) for n > 0.
func number(rand io.Reader, n int) int {
	fair := 1<<32 - (1<<32)%uint64(n)
	for batch := make([]byte, 4); ; {
		fill(rand, batch)
		if v := uint64(binary.BigEndian.Uint32(batch)); v < fair {
			return int(v % uint64(n))
		}
	}
}

func fill(rand io.Reader, batch []byte) {
	if _, err := io.ReadFull(rand, batch); err != nil {
		panic(fmt.Sprintf("id: the random source failed: %v", err)) // going on would make ids that can be foretold
	}
}

func isLetters(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && !isLower(c) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
