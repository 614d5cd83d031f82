package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
)

// Limits of what a request may cost before anything looks at it.
const (
	maxHeaderBytes    = 32 << 10 // net/http adds 4 KiB of slack
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
)

// At a stop, connections that are in use end with their next answer. Those on
// which nothing has moved for quietTime are closed; after drainTime all are that
// carry no request.
const (
	quietTime = 20 * time.Millisecond
	drainTime = time.Second
)

// Listeners are the sockets of a server, one per audience, so that a mistake
// in one cannot expose another.
type Listeners struct {
	API, Dashboard, Ops net.Listener
	Management          net.Listener // nil: it has none of its own
}

// all returns those that are open, in the order in which they are stopped.
func (l *Listeners) all() (open []net.Listener) {
	for _, listener := range []net.Listener{l.API, l.Dashboard, l.Management, l.Ops} {
		if listener != nil {
			open = append(open, listener)
		}
	}
	return open
}

// Listen opens the sockets that the configuration names.
func (c *Config) Listen(ctx context.Context) (l Listeners, err error) {
	for _, open := range []struct {
		listener *net.Listener
		address  string
	}{{&l.API, c.APIListen}, {&l.Dashboard, c.DashboardListen}, {&l.Ops, c.OpsListen}, {&l.Management, c.ManagementListen}} {
		if open.listener == &l.Management && (c.ManagementListen == "" || c.ManagementListen == c.APIListen) {
			continue
		}
		if *open.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", open.address); err != nil {
			l.Close()
			return Listeners{}, fmt.Errorf("listen on %s: %w; choose another address or stop what uses it", open.address, err)
		}
	}
	return l, nil
}

// Close closes those that are open.
func (l Listeners) Close() {
	for _, listener := range l.all() {
		_ = listener.Close()
	}
}

// Serve answers on the listeners until the context ends, then lets the calls
// in flight finish within the grace time. It stops with an error when a migration
// has left this binary behind. It closes the listeners.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	secured, err := s.config.TLS.config(s.log, s.now)
	if err != nil {
		l.Close()
		return err
	}
	servers := []*http.Server{s.httpServer(l.API, s.api, secured), s.httpServer(l.Dashboard, s.dashboard, secured)}
	if l.Management != nil {
		servers = append(servers, s.httpServer(l.Management, s.management, secured))
	}
	servers = append(servers, s.httpServer(l.Ops, s.ops(), nil))
	ended := make(chan error, len(servers))
	for i, listener := range l.all() {
		go func() { ended <- serve(servers[i], listener) }() // awaited below, one value each
	}
	jobs, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, job := range []func(context.Context){s.keepLease, s.keys.Run, s.usage.Run, s.webhooks.Run, s.mail.Run, s.people.Run, s.chain.Run, s.checkpoints.Run, s.forgetFailures, s.upkeep} {
		running.Go(func() { job(jobs) })
	}
	outdated := make(chan error, 1)
	running.Go(func() {
		if err := s.access.Run(jobs); err != nil {
			outdated <- err
		}
	})
	s.ready.Store(true)
	s.tellSystemd(isReady)
	running.Go(func() {
		if err := settle(); err != nil {
			s.log.Debug("some memory of the start was not given back", "error", err)
		}
	})
	var failed error
	left := len(servers)
	select {
	case <-ctx.Done():
	case failed = <-ended: // one listener broke: stop the others too
		left--
	case failed = <-outdated:
	}
	s.ready.Store(false)
	s.tellSystemd(isStopping)
	failed = errors.Join(failed, s.shutdown(ctx, l, servers))
	for range left {
		failed = errors.Join(failed, <-ended)
	}
	stopJobs()
	running.Wait()
	return failed
}

// shutdown stops accepting at once and waits for calls in flight. The ops
// listener goes last, so that the stop can be watched.
func (s *Server) shutdown(ctx context.Context, l Listeners, servers []*http.Server) error {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.GraceTime)
	defer cancel()
	s.traffic.stopping.Store(true)
	s.endStreams()
	for _, listener := range l.all()[:len(servers)-1] {
		_ = listener.Close()
	}
	s.traffic.drain(grace)
	var stopping sync.WaitGroup
	last := len(servers) - 1
	for _, server := range servers[:last] {
		stopping.Go(func() {
			if server.Shutdown(grace) != nil {
				s.log.Warn("calls were still in flight when the grace time ended", "grace_time", s.config.GraceTime)
				_ = server.Close()
			}
		})
	}
	stopping.Wait()
	return servers[last].Close()
}

func (s *Server) httpServer(listener net.Listener, handler http.Handler, secured *tls.Config) *http.Server {
	return &http.Server{
		Addr: listener.Addr().String(), Handler: s.traffic.watch(handler), TLSConfig: secured.Clone(), ErrorLog: s.errorLog(),
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250}, ConnState: takeTurns,
	}
}

// takeTurns lets the other connections go on once one has got its answer. A caller
// who asks again at once would else be served before those who wait.
func takeTurns(_ net.Conn, state http.ConnState) {
	if state == http.StateIdle {
		runtime.Gosched()
	}
}

// traffic is the requests on all listeners.
type traffic struct {
	stopping atomic.Bool
	active   atomic.Int64 // requests
	ended    atomic.Int64 // when one last did during the stop; Unix nanoseconds
}

// watch counts the requests, and says on each answer during a stop that it is its
// connection's last: a connection that is closed unannounced can swallow the
// next request. HTTP/2 has a way of its own.
func (t *traffic) watch(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.active.Add(1)
		defer t.leave()
		if t.stopping.Load() && r.ProtoMajor == 1 {
			w.Header()["Connection"] = []string{"close"}
		}
		handler.ServeHTTP(w, r)
	})
}

func (t *traffic) leave() {
	t.active.Add(-1)
	if t.stopping.Load() {
		t.ended.Store(time.Now().UnixNano())
	}
}

// drain waits until connections that are in use have had their last answer.
func (t *traffic) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	ticker := time.NewTicker(quietTime)
	defer ticker.Stop()
	for quiet := false; !quiet; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			quiet = t.active.Load() == 0 && time.Since(time.Unix(0, t.ended.Load())) >= quietTime
		}
	}
}

func serve(server *http.Server, listener net.Listener) error {
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve on %s: %w", server.Addr, err)
}

// upkeep does once an hour what nobody waits for.
func (s *Server) upkeep(ctx context.Context) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		for _, job := range []struct {
			name string
			do   func(context.Context) error
		}{
			{"trim the change feed", func(ctx context.Context) error { return journal.Trim(ctx, s.db, s.now()) }},
			{"erase deleted organisations", s.registry.EraseDue},
			{"delete people who did not verify their address", s.registry.DeleteUnverified},
			{"mail people whose client secrets end", s.registry.MailEndingSecrets},
			{"forget links and sessions that are over", s.people.Clean},
		} {
			if err := job.do(ctx); err != nil && ctx.Err() == nil && fault.KindOf(err) != fault.Unavailable {
				s.log.Error(job.name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
