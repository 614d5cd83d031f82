package gateway

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectionsThatAreIdleForLongAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var peers []net.Conn
		var gone atomic.Bool // what the upstreams have done
		d := &direct{most: 9, dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			peers = append(peers, theirs)
			return ours, nil
		}}
		idle := func() {
			c, err := d.connect(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			c.since, c.quiet = time.Now(), func() bool { return !gone.Load() }
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
		time.Sleep(upstreamIdle/2 - directSweep - time.Second)
		if closed(peers[0]) || closed(peers[1]) {
			t.Error("a connection was closed too early")
		}
		time.Sleep(2*directSweep + 2*time.Second)
		if !closed(peers[0]) || closed(peers[1]) {
			t.Error("the older one should be closed, the younger not")
		}
		time.Sleep(upstreamIdle)
		if !closed(peers[1]) || sweeping(d) {
			t.Error("the younger one should be closed now, and nothing left to do")
		}
		idle()
		time.Sleep(directSweep + time.Second)
		if closed(peers[2]) {
			t.Error("a connection was closed too early")
		}
		gone.Store(true)
		time.Sleep(directSweep)
		if !closed(peers[2]) || sweeping(d) {
			t.Error("what the upstream has closed should be closed here, and nothing left to do")
		}
	})
}

func sweeping(d *direct) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sweeper != nil
}
