package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A load is a stream of prepared requests over keep-alive connections. Each
// connection has one request under way at a time.
type load struct {
	address     netip.AddrPort // IPv4
	connections int
	status      int // what every answer must have

	// next returns the bytes of one more request, nil after the last.
	next func() []byte
	// answered is told of each answer, in the order of arrival; nil is fine.
	// The body is valid during the call only.
	answered func(took time.Duration, body []byte)
}

// An outcome is what one stretch of load came to.
type outcome struct {
	requests uint64
	elapsed  time.Duration
	times    *histogram
}

var errStuck = errors.New("no answer for 10 s")

// wire is a connection of the generator: raw sockets in one epoll loop, because
// a goroutine per connection costs the load core more than net/http costs the
// server core.
type wire struct {
	fd   int
	sent time.Time
	have int // bytes of an unfinished answer in buf
	buf  [32 << 10]byte
}

// A generator drives one load. It is not safe for concurrent use.
type generator struct {
	load
	poll  int
	wires []*wire
}

// dial opens the load's connections.
func dial(l load) (*generator, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create an epoll: %w", err)
	}
	g := &generator{load: l, poll: poll}
	for i := range l.connections {
		fd, err := connect(l.address)
		if err != nil {
			return nil, errors.Join(err, g.close())
		}
		g.wires = append(g.wires, &wire{fd: fd})
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return nil, errors.Join(fmt.Errorf("watch a connection: %w", err), g.close())
		}
	}
	return g, nil
}

func connect(address netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	to := &unix.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())}
	err = errors.Join(
		unix.Connect(fd, to),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetNonblock(fd, true),
	)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("connect to %s: %w", address, err), unix.Close(fd))
	}
	return fd, nil
}

func (g *generator) close() error {
	errs := []error{unix.Close(g.poll)}
	for _, w := range g.wires {
		errs = append(errs, unix.Close(w.fd))
	}
	return errors.Join(errs...)
}

// run makes load for the given time, or until the requests run out, and waits
// for the last answers. The first answer that is not as wanted ends it with an
// error: a refused request costs less than a served one, and would flatter.
func (g *generator) run(length time.Duration) (outcome, error) {
	out := outcome{times: new(histogram)}
	start := time.Now()
	deadline := start.Add(length)
	underWay := 0
	for _, w := range g.wires {
		sent, err := g.send(w, start, deadline)
		if err != nil {
			return out, err
		}
		underWay += sent
	}
	events := make([]unix.EpollEvent, len(g.wires))
	for underWay > 0 {
		g.gather()
		n, err := unix.EpollWait(g.poll, events, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return out, errors.Join(errStuck, err)
		}
		for _, event := range events[:n] {
			w := g.wires[event.Fd]
			whole, err := g.receive(w, &out)
			if err != nil {
				return out, err
			}
			if !whole {
				continue
			}
			sent, err := g.send(w, time.Now(), deadline)
			if err != nil {
				return out, err
			}
			underWay += sent - 1
		}
	}
	out.elapsed = time.Since(start)
	return out, nil
}

// gather lets answers pile up for a moment, so that neither core pays for a
// wake-up per answer. The server has the other connections to go on with. A
// connection that is alone is not kept waiting: what it times is the answer.
func (g *generator) gather() {
	if len(g.wires) == 1 {
		return
	}
	nap := unix.NsecToTimespec(int64(80 * time.Microsecond))
	_ = unix.Nanosleep(&nap, nil) // a signal cuts it short, which does no harm
}

// send puts one more request under way and returns 1, or 0 after the deadline
// and after the last request.
func (g *generator) send(w *wire, now, deadline time.Time) (int, error) {
	if !now.Before(deadline) {
		return 0, nil
	}
	request := g.next()
	if request == nil {
		return 0, nil
	}
	w.sent = now
	n, err := unix.Write(w.fd, request)
	if err != nil || n < len(request) {
		return 0, fmt.Errorf("sent %d of %d bytes: %w", n, len(request), err)
	}
	return 1, nil
}

// receive reads what has arrived and reports whether the answer is whole.
func (g *generator) receive(w *wire, out *outcome) (bool, error) {
	n, err := unix.Read(w.fd, w.buf[w.have:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil || n == 0 {
		return false, fmt.Errorf("connection ended before the answer to request %d: %w", out.requests, err)
	}
	w.have += n
	answer, err := readResponse(w.buf[:w.have])
	if err != nil {
		return false, err
	}
	if answer.size == 0 && w.have < len(w.buf) {
		return false, nil
	}
	if answer.size != w.have {
		return false, fmt.Errorf("the answer has %d bytes, of %d that came: the buffer or the framing is wrong", answer.size, w.have)
	}
	if answer.status != g.status {
		return false, fmt.Errorf("request %d was answered %d, want %d: %.300s", out.requests, answer.status, g.status, answer.body)
	}
	took := time.Since(w.sent)
	out.times.record(took)
	out.requests++
	w.have = 0
	if g.answered != nil {
		g.answered(took, answer.body)
	}
	return true, nil
}

// inTurn returns a source that repeats the requests for ever.
func inTurn(requests [][]byte) func() []byte {
	i := -1
	return func() []byte {
		if i++; i == len(requests) {
			i = 0
		}
		return requests[i]
	}
}

// once returns a source that gives each request one time.
func once(requests [][]byte) func() []byte {
	return func() []byte {
		if len(requests) == 0 {
			return nil
		}
		request := requests[0]
		requests = requests[1:]
		return request
	}
}
