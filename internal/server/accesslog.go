package server

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	logDelay = 200 * time.Millisecond // that a line may wait for others
	logBytes = 64 << 10               // that may wait
)

// accessLog gathers lines and writes them together, so that a call does not
// pay for a write of its own. Lines stay whole and in order. It is safe for
// concurrent use.
type accessLog struct {
	mu    sync.Mutex
	lines []byte
	out   io.Writer
	close func() error
	timer *time.Timer // runs while lines wait
}

// Write keeps the line; what cannot be written in the end is lost, since a call
// must not wait for its log.
func (l *accessLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == 0 {
		l.timer.Reset(logDelay)
	}
	l.lines = append(l.lines, line...)
	if len(l.lines) >= logBytes {
		l.write()
	}
	return len(line), nil
}

func (l *accessLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write()
}

func (l *accessLog) write() {
	if len(l.lines) > 0 {
		_, _ = l.out.Write(l.lines) // see Write
		l.lines = l.lines[:0]
	}
}

// Close writes what waits, and closes the file.
func (l *accessLog) Close() error {
	l.timer.Stop()
	l.flush()
	return l.close()
}

// openAccessLog opens what the access log is written to; nil is off.
func (s *Server) openAccessLog() (io.Writer, error) {
	l := &accessLog{out: os.Stdout, close: func() error { return nil }}
	switch s.config.AccessLog {
	case "off":
		return nil, nil //nolint:nilnil // off is an answer
	case "-":
	default:
		file, err := os.OpenFile(s.config.AccessLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the access log: %w", err)
		}
		l.out, l.close = file, file.Close
	}
	l.timer = time.AfterFunc(time.Hour, l.flush)
	l.timer.Stop()
	s.onClose(l.Close)
	return l, nil
}
