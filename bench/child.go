package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A child is a process that this program started on one core.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has ended
	err  error         // how it ended, after done
}

// launch describes a process to start.
type launch struct {
	core   int
	argv   []string
	dir    string
	env    []string // added to our own
	stdout io.Writer
	stderr io.Writer
}

// start runs a process on its core. The process dies with this one.
func start(l launch) (*child, error) {
	cmd := exec.Command(l.argv[0], l.argv[1:]...) //nolint:noctx // stop ends it, gently
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.dir, l.stdout, l.stderr
	cmd.Env = append(childEnvironment(), l.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startOn(l.core, cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", l.argv[0], err)
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = cmd.Wait()
	}()
	return c, nil
}

// childEnvironment is our own without what is meant for this process alone. One
// core means one P; Go 1.25 and later would find out by themselves.
func childEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, coresVariable+"=") && !strings.HasPrefix(v, "GOMAXPROCS=") {
			env = append(env, v)
		}
	}
	return append(env, "GOMAXPROCS=1")
}

// startOn forks from a thread that is bound to the core: a mask is inherited.
// The thread outlives the lock, which matters because Pdeathsig follows it.
func startOn(core int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the allowed cores: %w", err)
	}
	if err := bind(core); err != nil {
		return err
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// stop asks the process to end and waits; after ten seconds it is killed, and
// that is an error.
func (c *child) stop() error {
	select {
	case <-c.done:
		return fmt.Errorf("%s ended by itself: %w", c.cmd.Path, c.err)
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", c.cmd.Path, err)
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(10 * time.Second):
		return errors.Join(fmt.Errorf("%s did not stop within 10 s of SIGTERM", c.cmd.Path), c.cmd.Process.Kill())
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// A service is a child of our own that listens.
type service struct {
	*child
	address netip.AddrPort
}

// serve starts this program in one of its roles and waits for its address.
func serve(core int, role string, args ...string) (*service, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer read.Close() // nothing is written to this end
	argv, err := ownRole(role, args...)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	c, err := start(launch{core: core, argv: argv, stdout: write, stderr: os.Stderr})
	if err := errors.Join(err, write.Close()); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s said no address: %w", role, err), c.stop())
	}
	address, err := netip.ParseAddrPort(strings.TrimSpace(line))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s said %q, not an address: %w", role, line, err), c.stop())
	}
	return &service{child: c, address: address}, nil
}

// compute runs this program in a role that ends by itself, and decodes the JSON
// that it prints.
func compute(core int, answer any, role string, args ...string) error {
	argv, err := ownRole(role, args...)
	if err != nil {
		return err
	}
	var out strings.Builder
	c, err := start(launch{core: core, argv: argv, stdout: &out, stderr: os.Stderr})
	if err != nil {
		return err
	}
	<-c.done
	if c.err != nil {
		return fmt.Errorf("%s: %w", role, c.err)
	}
	if err := json.Unmarshal([]byte(out.String()), answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", role, err)
	}
	return nil
}

func ownRole(role string, args ...string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return append([]string{self, childArgument, role}, args...), nil
}

// announceAndServe is the other end of serve: it listens on a free port, says
// which, and answers until the process ends.
func announceAndServe(ctx context.Context, stdout io.Writer, h http.Handler) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if _, err := fmt.Fprintln(stdout, l.Addr()); err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	return s.Serve(l)
}

// awaitReady asks the URL until it answers 200 and returns how long that took
// since the given time. It gives up when the process ends, or after a minute.
func (c *child) awaitReady(ctx context.Context, url string, since time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = get200(ctx, url); last == nil {
			return time.Since(since), nil
		}
		select {
		case <-c.done:
			return 0, fmt.Errorf("%s ended before it was ready: %w", c.cmd.Path, c.err)
		case <-ctx.Done():
			return 0, fmt.Errorf("%s is not ready: %w", c.cmd.Path, last)
		case <-tick.C:
		}
	}
}

func get200(ctx context.Context, url string) error {
	_, err := get(ctx, url)
	return err
}

// get reads the body of a URL that must answer 200.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() // read to its end, or given up
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return io.ReadAll(res.Body)
}
