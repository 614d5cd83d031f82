package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// signatures is what the role of that name prints.
type signatures struct {
	Count uint64
	CPU   time.Duration // time on the core, of the signing alone
	Took  time.Duration
}

const (
	randomised    = "randomised"
	deterministic = "deterministic" // RFC 6979
)

// signBare is the role signatures: bare ES256 signatures for a while, of the
// kind that the first argument names; the second is the duration.
func signBare(_ context.Context, stdout io.Writer, args []string) error {
	length, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate a key: %w", err)
	}
	random := io.Reader(nil) // nil asks for RFC 6979
	if args[0] == randomised {
		random = rand.Reader
	}
	digest := sha256.Sum256([]byte(sampleHeader))
	before, err := cpuTime(os.Getpid())
	if err != nil {
		return err
	}
	var out signatures
	for start := time.Now(); out.Took < length; out.Took = time.Since(start) {
		if _, err := key.Sign(random, digest[:], crypto.SHA256); err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		out.Count++
	}
	after, err := cpuTime(os.Getpid())
	if err != nil {
		return err
	}
	out.CPU = after - before
	return json.NewEncoder(stdout).Encode(out)
}
