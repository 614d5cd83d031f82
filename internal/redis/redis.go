// Package redis runs scripts on a Redis or Valkey server, which is all that the
// platform needs of one.
//
// It hides the protocol (RESP 2) and the connections: a few that are kept, and no
// queue. What must stay true: what the server says is bounded in size, and
// nothing waits beyond the deadline of its context.
package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Config says which server, and how it is reached.
type Config struct {
	Address  string        // host:port
	Username string        // empty: the default user
	Password func() string // nil: without authentication
	Database int
	TLS      bool
	Roots    *x509.CertPool // to trust the server by; nil: the system's
}

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	config   Config
	commands atomic.Uint64

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

const (
	keptIdle    = 4
	dialTimeout = 5 * time.Second // of a context without a deadline
)

// New returns a Client, which connects when it is needed.
func New(config Config) *Client { return &Client{config: config} }

// Close closes the connections that are not in use, and the others after it.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.idle {
		_ = conn.Close()
	}
	c.idle = nil
}

// Commands counts the commands sent so far.
func (c *Client) Commands() uint64 { return c.commands.Load() }

// Eval runs a script (EVAL) whose result is integers. After a connection that
// was kept turns out to be broken it is run again on a new one, so it may have
// run twice.
func (c *Client) Eval(ctx context.Context, script string, keys []string, arguments ...int64) ([]int64, error) {
	command := append([]string{"EVAL", script, strconv.Itoa(len(keys))}, keys...)
	for _, argument := range arguments {
		command = append(command, strconv.FormatInt(argument, 10))
	}
	for {
		conn, kept, err := c.take(ctx)
		if err != nil {
			return nil, err
		}
		numbers, err := c.do(ctx, conn, command...)
		if err == nil || errors.As(err, new(Error)) {
			c.keep(conn)
			return numbers, err
		}
		_ = conn.Close()
		if !kept || ctx.Err() != nil {
			return nil, fmt.Errorf("ask the Redis server %s: %w", c.config.Address, err)
		}
	}
}

// conn is a connection that has authenticated.
type conn struct {
	net.Conn
	reader *bufio.Reader
}

// take returns a connection that was kept, else a new one.
func (c *Client) take(ctx context.Context) (_ *conn, kept bool, err error) {
	c.mu.Lock()
	if last := len(c.idle) - 1; last >= 0 {
		conn := c.idle[last]
		c.idle = c.idle[:last]
		c.mu.Unlock()
		return conn, true, nil
	}
	c.mu.Unlock()
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("connect to the Redis server %s: %w", c.config.Address, err)
	}
	return conn, false, nil
}

func (c *Client) keep(conn *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= keptIdle {
		_ = conn.Close()
		return
	}
	c.idle = append(c.idle, conn)
}

func (c *Client) dial(ctx context.Context) (_ *conn, err error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	var raw net.Conn
	if c.config.TLS {
		raw, err = (&tls.Dialer{NetDialer: dialer, Config: &tls.Config{RootCAs: c.config.Roots, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", c.config.Address)
	} else {
		raw, err = dialer.DialContext(ctx, "tcp", c.config.Address)
	}
	if err != nil {
		return nil, err
	}
	conn := &conn{raw, bufio.NewReaderSize(raw, maxLine)}
	if err := c.greet(ctx, conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// greet authenticates and chooses the database.
func (c *Client) greet(ctx context.Context, conn *conn) error {
	if c.config.Password != nil {
		login := []string{"AUTH", c.config.Username, c.config.Password()}
		if c.config.Username == "" {
			login = []string{"AUTH", c.config.Password()} // as servers from before users have it
		}
		if _, err := c.do(ctx, conn, login...); err != nil {
			return err
		}
	}
	if c.config.Database != 0 {
		_, err := c.do(ctx, conn, "SELECT", strconv.Itoa(c.config.Database))
		return err
	}
	return nil
}

// do sends one command and reads its reply.
func (c *Client) do(ctx context.Context, conn *conn, command ...string) ([]int64, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dialTimeout)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	c.commands.Add(1)
	if _, err := conn.Write(appendCommand(nil, command...)); err != nil {
		return nil, err
	}
	return readReply(conn.reader)
}
