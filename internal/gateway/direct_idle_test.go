package gateway

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectionsThatAreIdleForLongAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var peers []net.Conn
		d := &direct{dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			peers = append(peers, theirs)
			return ours, nil
		}}
		idle := func() {
			c, err := d.connect(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			c.since = time.Now()
			d.keep(c)
		}
		closed := func(peer net.Conn) bool {
			_ = peer.SetReadDeadline(time.Now()) // an open one would wait
			_, err := peer.Read(make([]byte, 1))
			timeout, ok := err.(net.Error) //nolint:errorlint // a pipe's own
			return !(ok && timeout.Timeout())
		}
		idle()
		time.Sleep(upstreamIdle / 2)
		idle()
		time.Sleep(upstreamIdle/2 - time.Second)
		if closed(peers[0]) || closed(peers[1]) {
			t.Error("a connection was closed too early")
		}
		time.Sleep(2 * time.Second)
		if !closed(peers[0]) || closed(peers[1]) {
			t.Error("the older one should be closed, the younger not")
		}
		time.Sleep(upstreamIdle)
		d.mu.Lock()
		defer d.mu.Unlock()
		if !closed(peers[1]) || d.reaper != nil {
			t.Error("the younger one should be closed now, and nothing left to do")
		}
	})
}
