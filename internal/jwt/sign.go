package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Sign appends the compact JWS of the claims to dst. The typ must be the type that
// the key is for, and an access token's sandbox claim must agree with the key's
// environment. It refuses what Verify would refuse, and with ErrTooLarge a token
// of more than MaxSigned bytes. The same key and claims give the same token: ECDSA
// is deterministic (RFC 6979). On an error dst is returned as it was.
func (k *PrivateKey) Sign(dst []byte, typ string, claims *Claims) ([]byte, error) {
	if k.public.Use.tokenType() != typ {
		return dst, fmt.Errorf("%w: key %s does not sign tokens of type %q", ErrMalformed, k.public.ID, typ)
	}
	if k.public.Use == UseAccessToken && k.public.Environment != environment(claims.Sandbox) {
		return dst, ErrEnvironment
	}
	if err := claims.check(typ); err != nil {
		return dst, err
	}
	var scratch [2048]byte // on the stack, enough for most tokens
	token := append(dst, k.header...)
	token = base64.RawURLEncoding.AppendEncode(token, claims.append(scratch[:0]))
	token, err := k.sign(append(token, '.'), len(dst))
	if err != nil {
		return dst, err
	}
	if len(token)-len(dst) > MaxSigned {
		return dst, fmt.Errorf("%w: over %d bytes; ask for fewer permissions", ErrTooLarge, MaxSigned)
	}
	return token, nil
}

// sign appends the signature of token[start:], which ends in the dot.
func (k *PrivateKey) sign(token []byte, start int) ([]byte, error) {
	input := token[start : len(token)-1]
	switch key := k.signer.(type) {
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(input)
		// nil: deterministic, a quarter cheaper, and no random source to fail.
		der, err := key.Sign(nil, digest[:], crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("sign token: %w", err)
		}
		raw, err := rawSignature(der)
		if err != nil {
			return nil, err
		}
		return base64.RawURLEncoding.AppendEncode(token, raw[:]), nil
	case *rsa.PrivateKey:
		digest := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err != nil {
			return nil, fmt.Errorf("sign token: %w", err)
		}
		return base64.RawURLEncoding.AppendEncode(token, signature), nil
	case ed25519.PrivateKey:
		return base64.RawURLEncoding.AppendEncode(token, ed25519.Sign(key, input)), nil
	}
	return nil, fmt.Errorf("sign token: no algorithm for key %s", k.public.ID)
}

// verify tells whether signature is the key's over input.
func (k *PublicKey) verify(input, signature []byte) bool {
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		var der [derSize]byte
		encoded, ok := derSignature(der[:0], signature)
		digest := sha256.Sum256(input)
		return ok && k.Algorithm == ES256 && ecdsa.VerifyASN1(key, digest[:], encoded)
	case *rsa.PublicKey:
		digest := sha256.Sum256(input)
		return k.Algorithm == RS256 && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case ed25519.PublicKey:
		return k.Algorithm == EdDSA && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, input, signature)
	}
	return false
}
