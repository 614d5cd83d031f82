//go:build linux && faults

package servertest_test

import (
	"bytes"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// ownPostgres is a PostgreSQL of the test's own, which it may kill. It writes
// durably, as servers do; the one that all tests share does not.
type ownPostgres struct {
	t       *testing.T
	data    string
	port    string
	account *syscall.Credential // PostgreSQL refuses to run as root; nil: as we are
	process *exec.Cmd
	output  bytes.Buffer
}

// newOwnPostgres starts one with the programs that DOORWARD_TEST_POSTGRES_BIN
// names.
func newOwnPostgres(t *testing.T) *ownPostgres {
	t.Helper()
	if os.Getenv("DOORWARD_TEST_POSTGRES_BIN") == "" {
		t.Fatal("no programs of PostgreSQL: run the test with `make faults-short`")
	}
	folder, err := os.MkdirTemp("/tmp", "doorward-faults.") // others may not enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	p := &ownPostgres{t: t, data: filepath.Join(folder, "data")}
	if os.Geteuid() == 0 {
		p.account = p.other(folder)
	}
	if err := p.command("initdb", "-D", p.data, "-U", "doorward", "--auth=trust", "--encoding=UTF8", "--no-locale").Run(); err != nil {
		t.Fatalf("initdb: %v: %s", err, &p.output)
	}
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, p.port, _ = net.SplitHostPort(free.Addr().String())
	_ = free.Close()
	p.start()
	t.Cleanup(p.kill)
	return p
}

// other gives the folder to somebody else than root.
func (p *ownPostgres) other(folder string) *syscall.Credential {
	p.t.Helper()
	somebody, err := user.Lookup("postgres")
	if err != nil {
		somebody, err = user.Lookup("nobody")
	}
	if err != nil {
		p.t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(somebody.Uid, 10, 32)
	gid, _ := strconv.ParseUint(somebody.Gid, 10, 32)
	if err := os.Chown(folder, int(uid), int(gid)); err != nil {
		p.t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (p *ownPostgres) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(os.Getenv("DOORWARD_TEST_POSTGRES_BIN"), program), args...) //nolint:noctx // it is killed
	c.Dir, c.Stdout, c.Stderr = filepath.Dir(p.data), &p.output, &p.output
	c.SysProcAttr = &syscall.SysProcAttr{Credential: p.account, Pdeathsig: syscall.SIGKILL}
	return c
}

func (p *ownPostgres) url() string {
	return "postgres://doorward@127.0.0.1:" + p.port + "/postgres?sslmode=disable"
}

// start starts the server, anew until its predecessor's processes are gone.
func (p *ownPostgres) start() {
	p.t.Helper()
	eventually(p.t, "the start of PostgreSQL", func() bool {
		p.process = p.command("postgres", "-D", p.data, "-p", p.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
		if err := p.process.Start(); err != nil {
			p.t.Fatal(err)
		}
		for p.process.ProcessState == nil {
			if p.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", p.port).Run() == nil {
				return true
			}
			var status syscall.WaitStatus
			if pid, _ := syscall.Wait4(p.process.Process.Pid, &status, syscall.WNOHANG, nil); pid != 0 {
				return false
			}
			<-time.After(20 * time.Millisecond)
		}
		return false
	})
}

// kill is kill -9 of the server; its other processes end when they notice.
func (p *ownPostgres) kill() {
	_ = p.process.Process.Kill()
	_, _ = p.process.Process.Wait()
}

// STO-03 on PostgreSQL, whose server is killed and comes back while writers go
// on: what was acknowledged was on its disk.
func TestSTO03_killedServerLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	if !slices.Contains(sqldbtest.Engines(), "postgres") {
		return
	}
	p := newOwnPostgres(t)
	if _, err := server.Migrate(t.Context(), p.url()); err != nil {
		t.Fatal(err)
	}
	k := newKilledWorkersOn(t, p.url(), 4)
	rounds := size(0, 5, 40)
	var away time.Duration
	for range rounds {
		k.hearAndKill(t, k.start(t), 200, func() {
			p.kill()
			gone := time.Now()
			p.start()
			away += time.Since(gone)
		})
		k.check(t, k.touched)
		if t.Failed() {
			return
		}
	}
	figure(t, "%d kills of the server (away for %s on average), %d changes acknowledged, none lost", rounds, (away / time.Duration(rounds)).Round(time.Millisecond), k.acknowledged)
}

// STO-10: where each word of the database takes two seconds, what is in memory
// goes on at its own pace, and changes are made or refused, not half of either.
func TestSTO10_slowPostgreSQLSlowsNothingInMemory(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		const delay = 2 * time.Second
		proxy := newFaultyProxy(t, database.Host)
		through := *database
		through.Host = proxy.listener.Addr().String()
		p := servertest.Start(t, servertest.On(through.String()), func(c *server.Config) { c.StaleLimit = time.Minute })
		c := p.NewClient("echo.call")
		if err := p.Server.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		call := func(accessToken string) time.Duration {
			began := time.Now()
			if a := get(t, p.URL+"/echo/x", accessToken); a.status != 200 {
				t.Errorf("call = %d %s", a.status, a.body)
			}
			return time.Since(began)
		}
		call(token(t, p.URL, c))
		proxy.delay.Store(int64(delay))
		var slowest time.Duration
		for range size(0, 50, 500) {
			began := time.Now()
			accessToken := token(t, p.URL, c)
			slowest = max(slowest, time.Since(began), call(accessToken))
		}
		if slowest >= delay/2 {
			t.Errorf("a token or call took %s: it waited for the database", slowest)
		}
		revokes := registry.SetSecretState{Client: c.ID, Secret: c.Secret, State: registry.SecretRevoked}
		err := p.Server.Registry().Apply(t.Context(), p.Operator(), revokes)
		if err != nil && fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a change over a slow network = %v", err)
		}
		proxy.delay.Store(0)
		if err := p.Server.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if status := issue(t, p.URL, c).status; (status == 401) != (err == nil) {
			t.Errorf("the change ended with %v, and the secret gets %d", err, status)
		}
		outcome := "made"
		if err != nil {
			outcome = "refused as a whole"
		}
		figure(t, "slowest token or call %s while the database took %s a word; a change of eight words was %s", slowest.Round(time.Microsecond), delay, outcome)
		t.Run("twin", func(t *testing.T) {
			if err := p.Server.Registry().Apply(t.Context(), p.Operator(), revokes); err != nil {
				t.Errorf("the change after it was fast again: %v", err)
			}
		})
	})
}
