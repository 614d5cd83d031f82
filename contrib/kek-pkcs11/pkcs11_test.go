package main_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// module is SoftHSM of Debian, with a token of the test's own.
type module struct {
	t       *testing.T
	program string
	args    []string
}

func newModule(t *testing.T) *module {
	t.Helper()
	library := ""
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			library = path
		}
	}
	if library == "" {
		t.Fatal("no SoftHSM: run the test with `make test-pkcs11`")
	}
	folder := t.TempDir()
	tokens := filepath.Join(folder, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "softhsm2.conf"), "directories.tokendir = "+tokens+"\nlog.level = ERROR\n", 0o600)
	t.Setenv("SOFTHSM2_CONF", filepath.Join(folder, "softhsm2.conf"))
	run(t, "", "softhsm2-util", "--init-token", "--free", "--label", "doorward", "--pin", "1234", "--so-pin", "5678")
	write(t, filepath.Join(folder, "pin"), "1234\n", 0o400)
	m := &module{t: t, program: filepath.Join(folder, "kek-pkcs11")}
	run(t, ".", "go", "build", "-o", m.program, ".")
	m.args = []string{"--module", library, "--token", "doorward", "--key", "kek", "--pin-file", filepath.Join(folder, "pin")}
	return m
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, folder, name string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = folder
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// with replaces the value of a flag.
func (m *module) with(flag, value string) *module {
	other := &module{t: m.t, program: m.program, args: append([]string(nil), m.args...)}
	for i, arg := range other.args {
		if arg == flag {
			other.args[i+1] = value
		}
	}
	return other
}

// ask runs the program on a text. A failure is what it says of it.
func (m *module) ask(verb string, text []byte) (answer []byte, failure string) {
	m.t.Helper()
	c := exec.CommandContext(m.t.Context(), m.program, append(append([]string(nil), m.args...), verb)...)
	c.Stdin = strings.NewReader(base64.StdEncoding.EncodeToString(text) + "\n")
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Sprint(err, " ", said.String())
	}
	answer, err = base64.StdEncoding.DecodeString(strings.TrimSuffix(string(out), "\n"))
	if err != nil {
		m.t.Fatalf("%s answers %q: %v", verb, out, err)
	}
	return answer, ""
}

func TestWhatIsWrappedIsUnwrappedByTheSameKeyAlone(t *testing.T) {
	m := newModule(t)
	text := []byte("a sealing key of thirty-six bytes...")
	if _, failure := m.ask("wrap", text); !strings.Contains(failure, "generate makes it") {
		t.Errorf("without a key: %q", failure)
	}
	for _, label := range []string{"kek", "other"} {
		if _, failure := m.with("--key", label).ask("generate", nil); failure != "" {
			t.Fatal(failure)
		}
	}
	if _, failure := m.ask("generate", nil); !strings.Contains(failure, "already") {
		t.Errorf("a second key of that label: %q", failure)
	}
	first, failure := m.ask("wrap", text)
	if failure != "" {
		t.Fatal(failure)
	}
	if second, _ := m.ask("wrap", text); bytes.Equal(first, second) || bytes.Contains(first, text) {
		t.Error("wrapping is not encrypting, or twice the same")
	}
	got, failure := m.ask("unwrap", first)
	if !bytes.Equal(got, text) {
		t.Errorf("twin: unwrap = %q %s", got, failure)
	}
	for i := range first {
		altered := bytes.Clone(first)
		altered[i] ^= 1
		if i%9 == 0 || i == len(first)-1 { // of each part some
			if got, failure := m.ask("unwrap", altered); failure == "" {
				t.Errorf("byte %d was altered, and it unwraps to %q", i, got)
			}
		}
	}
	loose := filepath.Join(t.TempDir(), "pin")
	write(t, loose, "1234", 0o444)
	wrong := filepath.Join(t.TempDir(), "pin")
	write(t, wrong, "4321", 0o400)
	for name, row := range map[string]struct {
		m   *module
		why string
	}{
		"another key":        {m.with("--key", "other"), "another key"},
		"another token":      {m.with("--token", "other"), "0 tokens"},
		"another PIN":        {m.with("--pin-file", wrong), "PIN_INCORRECT"},
		"a PIN for all":      {m.with("--pin-file", loose), "chmod 0400"},
		"no PKCS #11 at all": {m.with("--module", "/etc/hostname"), "cannot be loaded"},
	} {
		if got, failure := row.m.ask("unwrap", first); !strings.Contains(failure, row.why) {
			t.Errorf("%s: %q %q, want that it says %q", name, got, failure, row.why)
		}
	}
}

// A server starts, and starts again, with the module's key, and not with another.
func TestDoorwardStartsWithTheKeyOfAModule(t *testing.T) {
	m := newModule(t)
	folder := t.TempDir()
	doorward := filepath.Join(folder, "doorward")
	run(t, "../..", "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", doorward, "./cmd/doorward") // as make build does
	start := func(m *module) (said string, serving bool) {
		command, config := "["+m.program, filepath.Join(folder, "doorward.yaml")
		for _, arg := range m.args {
			command += ", " + arg
		}
		write(t, config, "public_url: http://127.0.0.1:1\ndatabase: sqlite:"+filepath.Join(folder, "doorward.db")+
			"\napi_listen: 127.0.0.1:0\ndashboard_listen: 127.0.0.1:0\nops_listen: 127.0.0.1:0\nkey_encryption_key: {command: "+command+"]}\n", 0o600)
		c := exec.CommandContext(t.Context(), doorward, "serve", "--config", config)
		stderr, err := c.StderrPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stderr)
		for !serving && lines.Scan() {
			said += lines.Text() + "\n"
			serving = strings.Contains(lines.Text(), `"msg":"serving"`)
		}
		_ = c.Process.Signal(syscall.SIGTERM)
		for lines.Scan() { // what it says of its end
			said += lines.Text() + "\n"
		}
		_ = c.Wait()
		return said, serving
	}
	for _, label := range []string{"kek", "other"} {
		if _, failure := m.with("--key", label).ask("generate", nil); failure != "" {
			t.Fatal(failure)
		}
	}
	for range 2 {
		if said, serving := start(m); !serving {
			t.Fatalf("the server does not start:\n%s", said)
		}
	}
	if said, serving := start(m.with("--key", "other")); serving || !strings.Contains(said, "another key") {
		t.Errorf("with another key: %s", said)
	}
	if said, serving := start(m); !serving {
		t.Errorf("twin: after that the server does not start:\n%s", said)
	}
}
