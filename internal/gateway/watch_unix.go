//go:build unix

package gateway

import (
	"net"
	"syscall"
)

// watchOf returns a function that tells whether the peer has neither closed the
// connection nor sent anything on it. What cannot be told is a no.
func watchOf(conn net.Conn) func() bool {
	no := func() bool { return false }
	c, ok := conn.(syscall.Conn)
	if !ok {
		return no
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return no
	}
	var one [1]byte
	var got error
	look := func(fd uintptr) {
		_, _, got = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	return func() bool {
		err := raw.Control(look) // and not Read, which would wait for one under way
		return err == nil && (got == syscall.EAGAIN || got == syscall.EWOULDBLOCK)
	}
}
