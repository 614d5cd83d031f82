package gateway

import (
	"encoding/hex"
	"io"
	"net/http"
)

// trace is where a call stands in a W3C trace. Its parent is the traceparent
// that the upstream gets: "00-", trace id, "-", our span id, "-", flags.
type trace struct {
	parent string
	state  []string // the caller's tracestate, if its traceparent was good
}

const (
	parentLength = 55
	traceEnd     = 3 + 32
)

func (t *trace) id() string { return t.parent[3:traceEnd] }

// ids is the id as the value of a header.
func (t *trace) ids() []string { return []string{t.id()} }

// randomness is a stock of random bytes, so that a call does not pay for a
// read of the source.
type randomness struct {
	stock [512]byte
	left  int // at the end of stock
}

// take returns n bytes, not all zero whatever the source gives.
func (r *randomness) take(source io.Reader, n int) []byte {
	if r.left < n {
		_, _ = io.ReadFull(source, r.stock[:]) // ids name calls; they guard nothing
		r.left = len(r.stock)
	}
	b := r.stock[len(r.stock)-r.left:][:n]
	r.left -= n
	b[0] |= 1
	return b
}

// traceOf goes on with the caller's trace, or begins one.
func (r *randomness) traceOf(source io.Reader, header http.Header) trace {
	var parent [parentLength]byte
	copy(parent[:], "00-")
	var t trace
	if sent := header["Traceparent"]; len(sent) == 1 && wellFormed(sent[0]) {
		copy(parent[3:traceEnd], sent[0][3:])
		t.state = header["Tracestate"]
		parent[parentLength-1] = '0' | sampled(sent[0][parentLength-1])
	} else {
		hex.Encode(parent[3:], r.take(source, 16))
		parent[parentLength-1] = '0'
	}
	parent[traceEnd] = '-'
	hex.Encode(parent[traceEnd+1:], r.take(source, 8))
	copy(parent[parentLength-3:], "-0")
	t.parent = string(parent[:])
	return t
}

// sampled is the one flag of version 00, of the last digit of all flags.
func sampled(digit byte) byte {
	if digit >= 'a' {
		digit++ // the values of letters begin at 10, an even number
	}
	return digit & 1
}

// wellFormed reports whether a traceparent can be gone on with (Trace Context
// §3.2.2): later versions may be longer, 00 may not.
func wellFormed(s string) bool {
	switch {
	case len(s) < parentLength, s[2] != '-', s[traceEnd] != '-', s[parentLength-3] != '-':
		return false
	case s[:2] == "ff", len(s) > parentLength && (s[:2] == "00" || s[parentLength] != '-'):
		return false
	}
	return lowerHex(s[:2]) && lowerHex(s[3:traceEnd]) && lowerHex(s[traceEnd+1:parentLength-3]) && lowerHex(s[parentLength-2:parentLength]) &&
		!zeros(s[3:traceEnd]) && !zeros(s[traceEnd+1:parentLength-3])
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
