package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A response is one whole HTTP/1.1 answer at the start of a buffer.
type response struct {
	status int
	body   []byte // a part of the buffer that was read
	size   int    // bytes of head and body together
}

var errNoLength = errors.New("the answer has no Content-Length: the load generator reads no other framing")

// readResponse looks for one whole answer at the start of buf. It reads only
// what the load generator needs: the status and Content-Length (RFC 9112 §6.2).
// While the answer is incomplete, its size is zero.
func readResponse(buf []byte) (response, error) {
	head := bytes.Index(buf, []byte("\r\n\r\n"))
	if head < 0 {
		return response{}, nil
	}
	const version = "HTTP/1.1 "
	if head < len(version)+3 || string(buf[:len(version)]) != version {
		return response{}, fmt.Errorf("the answer starts with %q, not with an HTTP/1.1 status line", buf[:min(head, 20)])
	}
	status, err := strconv.Atoi(string(buf[len(version) : len(version)+3]))
	if err != nil {
		return response{}, fmt.Errorf("read the status: %w", err)
	}
	length, err := contentLength(buf[:head+2])
	if err != nil {
		return response{}, err
	}
	size := head + 4 + length
	if len(buf) < size {
		return response{}, nil
	}
	return response{status: status, body: buf[head+4 : size], size: size}, nil
}

// contentLength reads the length from a head whose lines all end in CR LF.
func contentLength(head []byte) (int, error) {
	const name = "\r\nContent-Length: "
	at := bytes.Index(head, []byte(name))
	if at < 0 {
		return 0, errNoLength
	}
	value := head[at+len(name):]
	value = value[:bytes.IndexByte(value, '\r')]
	length, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("read Content-Length: %w", err)
	}
	return int(length), nil
}
