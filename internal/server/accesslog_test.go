package server

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func newTestLog(out *bytes.Buffer) *accessLog {
	l := &accessLog{out: out, close: func() error { return nil }}
	l.timer = time.AfterFunc(time.Hour, l.flush)
	l.timer.Stop()
	return l
}

func TestLinesAreWrittenTogetherAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newTestLog(&out)
		_, _ = l.Write([]byte("one\n"))
		_, _ = l.Write([]byte("two\n"))
		l.mu.Lock()
		if out.Len() > 0 {
			t.Errorf("written at once: %q", &out)
		}
		l.mu.Unlock()
		time.Sleep(logDelay) // of the bubble's clock
		synctest.Wait()
		if got, want := out.String(), "one\ntwo\n"; got != want {
			t.Errorf("after the delay = %q, want %q", got, want)
		}
		_, _ = l.Write([]byte("three\n"))
		time.Sleep(logDelay)
		synctest.Wait()
		if got, want := out.String(), "one\ntwo\nthree\n"; got != want {
			t.Errorf("after the second delay = %q, want %q", got, want)
		}
	})
}

func TestManyLinesDoNotWait(t *testing.T) {
	var out bytes.Buffer
	l := newTestLog(&out)
	line := bytes.Repeat([]byte("x"), logBytes/2)
	_, _ = l.Write(line)
	_, _ = l.Write(line)
	if got, want := out.Len(), logBytes; got != want {
		t.Errorf("written bytes = %d, want %d", got, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestClosingTheAccessLogWritesWhatWaits(t *testing.T) {
	var out bytes.Buffer
	l := newTestLog(&out)
	_, _ = l.Write([]byte("last\n"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "last\n"; got != want {
		t.Errorf("written = %q, want %q", got, want)
	}
}
