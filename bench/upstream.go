package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

// upstreamBody is what the upstream and the bare handler answer, 256 bytes.
const upstreamBody = `{"id":"5f0c1d7e-6a0b-4f57-9f3b-2b1f3c9d8e7a","status":"CREATED","accountId":"a-s-0123456789abcdefghij",` +
	`"authenticationUrl":"https://api.example.com/auth/flow/5f0c1d7e-6a0b-4f57-9f3b-2b1f3c9d8e7a","expiresAt":"2026-01-01T00:00:00Z",` +
	`"flow":"redirect","ok":1}`

// serveUpstream is the role upstream. It shares the load core with the load
// generator, so it is one epoll loop that answers fixed bytes to whatever ends
// in an empty line; it understands no request body.
func serveUpstream(_ context.Context, stdout io.Writer, _ []string) error {
	listener, address, err := listenRaw()
	if err != nil {
		return err
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create an epoll: %w", err)
	}
	if err := watch(poll, listener); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, address); err != nil {
		return err
	}
	u := &upstream{poll: poll, listener: listener, unfinished: make(map[int][]byte)}
	u.answer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(upstreamBody), upstreamBody)
	return u.loop()
}

type upstream struct {
	poll, listener int
	answer         []byte
	buf            [64 << 10]byte
	unfinished     map[int][]byte // the start of a request, by socket
}

func (u *upstream) loop() error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(u.poll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for requests: %w", err)
		}
		for _, event := range events[:max(n, 0)] {
			if err := u.handle(int(event.Fd)); err != nil {
				return err
			}
		}
	}
}

func (u *upstream) handle(fd int) error {
	if fd == u.listener {
		accepted, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		return errors.Join(unix.SetsockoptInt(accepted, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), watch(u.poll, accepted))
	}
	n, err := unix.Read(fd, u.buf[:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil || n == 0 { // the proxy closed the connection
		delete(u.unfinished, fd)
		return unix.Close(fd)
	}
	request := u.buf[:n]
	if start, ok := u.unfinished[fd]; ok {
		request = append(start, request...)
		delete(u.unfinished, fd)
	}
	if !bytes.HasSuffix(request, []byte("\r\n\r\n")) {
		u.unfinished[fd] = bytes.Clone(request)
		return nil
	}
	_, err = unix.Write(fd, u.answer)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return nil // the next read tells that it has gone
	}
	return err
}

func watch(poll, fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

// listenRaw opens a listening socket on a free loopback port.
func listenRaw() (int, netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, netip.AddrPort{}, fmt.Errorf("open a socket: %w", err)
	}
	loopback := [4]byte{127, 0, 0, 1}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback}), unix.Listen(fd, 512)); err != nil {
		return 0, netip.AddrPort{}, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, netip.AddrPort{}, fmt.Errorf("read the port: %w", err)
	}
	port := name.(*unix.SockaddrInet4).Port
	return fd, netip.AddrPortFrom(netip.AddrFrom4(loopback), uint16(port)), nil
}
