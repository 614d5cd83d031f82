package jwt

import (
	"bytes"
	"errors"
)

// The standard library speaks ASN.1 DER: SEQUENCE { INTEGER r, INTEGER s }. JWS
// has r and s as 32 bytes each (RFC 7518 §3.4).
const (
	coordinate  = 32
	derSequence = 0x30
	derInteger  = 0x02
	derHeader   = 2                              // tag and length
	derSize     = derHeader*3 + 2*(coordinate+1) // at most
)

var errDER = errors.New("sign token: signature is not the DER of two 256-bit integers")

// rawSignature is r and s of a DER signature.
func rawSignature(der []byte) (raw [2 * coordinate]byte, err error) {
	if len(der) < derHeader || der[0] != derSequence || int(der[1]) != len(der)-derHeader {
		return raw, errDER
	}
	rest := der[derHeader:]
	for half := range 2 {
		if len(rest) < derHeader || rest[0] != derInteger || int(rest[1]) > len(rest)-derHeader {
			return raw, errDER
		}
		number := bytes.TrimLeft(rest[derHeader:derHeader+int(rest[1])], "\x00")
		if len(number) > coordinate {
			return raw, errDER
		}
		copy(raw[(half+1)*coordinate-len(number):], number)
		rest = rest[derHeader+int(rest[1]):]
	}
	if len(rest) > 0 {
		return raw, errDER
	}
	return raw, nil
}

// derSignature appends the DER of r and s, both above 0.
func derSignature(dst, raw []byte) ([]byte, bool) {
	if len(raw) != 2*coordinate {
		return nil, false
	}
	dst = append(dst, derSequence, 0)
	for _, half := range [][]byte{raw[:coordinate], raw[coordinate:]} {
		number := bytes.TrimLeft(half, "\x00")
		if len(number) == 0 {
			return nil, false
		}
		if number[0] >= 0x80 { // or it would read as negative
			dst = append(dst, derInteger, byte(len(number)+1), 0)
		} else {
			dst = append(dst, derInteger, byte(len(number)))
		}
		dst = append(dst, number...)
	}
	dst[1] = byte(len(dst) - derHeader)
	return dst, true
}
