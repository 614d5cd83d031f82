package main

import (
	"bytes"
	"errors"
	"testing"
)

const wholeAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

func TestResponseIsReadOnlyWhenItIsWhole(t *testing.T) {
	for n := range len(wholeAnswer) {
		got, err := readResponse([]byte(wholeAnswer[:n]))
		if err != nil || got.size != 0 {
			t.Fatalf("after %d bytes: size %d, error %v, want 0 and none", n, got.size, err)
		}
	}
	got, err := readResponse([]byte(wholeAnswer + "HTTP/1.1 401"))
	if err != nil {
		t.Fatal(err)
	}
	if got.status != 200 || string(got.body) != "hello" || got.size != len(wholeAnswer) {
		t.Errorf("response = %d %q, %d bytes; want 200 \"hello\", %d bytes", got.status, got.body, got.size, len(wholeAnswer))
	}
}

func TestResponseWithoutABodyIsWholeAfterItsHead(t *testing.T) {
	answer := "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
	got, err := readResponse([]byte(answer))
	if err != nil || got.status != 429 || got.size != len(answer) || len(got.body) != 0 {
		t.Errorf("response = %+v, error %v", got, err)
	}
}

func TestResponseThatCannotBeFramedIsAnError(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"x\r\n\r\n",
	} {
		if _, err := readResponse([]byte(answer)); err == nil {
			t.Errorf("%q was read without an error", answer)
		}
	}
	_, err := readResponse([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	if !errors.Is(err, errNoLength) {
		t.Errorf("chunked answer: error %v, want %v", err, errNoLength)
	}
}

func FuzzReadResponse(f *testing.F) {
	f.Add([]byte(wholeAnswer))
	f.Add([]byte("HTTP/1.1 200\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readResponse(data)
		if err != nil {
			return
		}
		if got.size > len(data) || !bytes.HasSuffix(data[:got.size], got.body) {
			t.Errorf("response of %d bytes out of %d, body %q", got.size, len(data), got.body)
		}
	})
}
