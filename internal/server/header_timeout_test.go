package server

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestDOS01_connectionsThatNeverFinishTheirHeaderAreClosed(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{log: slog.New(slog.DiscardHandler)}
	server := s.httpServer(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "good\n") }), nil)
	if server.ReadHeaderTimeout <= 0 || server.ReadHeaderTimeout > 10*time.Second || server.IdleTimeout <= 0 || server.MaxHeaderBytes <= 0 {
		t.Fatalf("DOS-01 a limit is missing: %+v", server)
	}
	server.ReadHeaderTimeout = 50 * time.Millisecond // the same code, sooner
	ended := make(chan error, 1)
	go func() { ended <- serve(server, listener) }()
	defer func() {
		_ = server.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	open := func(text string) net.Conn {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	var slow []net.Conn
	for i := range 200 {
		slow = append(slow, open("GET / HTTP/1.1\r\nHost: localhost\r\nX: "[:1+i%30]))
	}
	t.Run("DOS-01/twin", func(t *testing.T) {
		response, err := http.ReadResponse(bufio.NewReader(open("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("status %d beside the slow ones", response.StatusCode)
		}
	})
	closed := 0
	for _, conn := range slow {
		if _, err := io.Copy(io.Discard, conn); err == nil { // ends when the server closes
			closed++
		}
	}
	if closed != len(slow) {
		t.Errorf("DOS-01 %d of %d connections were closed in order", closed, len(slow))
	}
}
