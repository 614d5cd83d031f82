// Package deploy_test checks the files with which Doorward is put into service:
// by the programs that read them where those run here, else by their parsers.
// `make deploy` runs it with what it needs.
package deploy_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"go.yaml.in/yaml/v3"
)

// doorward is the product's binary, as the Containerfile builds it.
var doorward = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "doorward-deploy-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "doorward")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/doorward")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if path, err := doorward(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(status)
}

func binary(t *testing.T) string {
	t.Helper()
	path, err := doorward()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a command to its end, which must be a good one.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
}

// configured checks a configuration with the program that reads it.
func configured(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "doorward.yaml")
	write(t, path, text, 0o600)
	run(t, binary(t), "serve", "--check", "--config", path)
}

func TestTheUnitOfSystemdIsGood(t *testing.T) {
	unit := strings.ReplaceAll(read(t, "systemd/doorward.service"), "/usr/local/bin/doorward", binary(t))
	path := filepath.Join(t.TempDir(), "doorward.service")
	write(t, path, unit, 0o644)
	if said := run(t, "systemd-analyze", "verify", "--man=no", path); strings.Contains(said, path) {
		t.Errorf("systemd says of the unit:\n%s", said)
	}
	run(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", path) // of 100, where the default exposes 96
	t.Run("twin", func(t *testing.T) {
		write(t, path, strings.Replace(unit, "ProtectSystem=strict", "ProtectSystem=strikt", 1), 0o644)
		if out, _ := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", path).CombinedOutput(); !strings.Contains(string(out), "strikt") {
			t.Errorf("a mistake in the unit is not noticed: %s", out)
		}
	})
}

func TestTheBaseOfKustomizeIsGood(t *testing.T) {
	if _, err := os.Stat("../build/tools/kustomize"); err != nil {
		t.Fatal("no kustomize: run the test with `make deploy`")
	}
	type object struct {
		Kind     string
		Metadata struct{ Name string }
		Data     map[string]string
		Spec     struct {
			Strategy struct {
				RollingUpdate struct {
					MaxUnavailable *int `yaml:"maxUnavailable"`
				} `yaml:"rollingUpdate"`
			}
			MaxUnavailable *int `yaml:"maxUnavailable"`
			Selector       yaml.Node
			Template       struct {
				Spec struct {
					Containers, InitContainers []struct {
						Image          string
						StartupProbe   *yaml.Node `yaml:"startupProbe"`
						ReadinessProbe *yaml.Node `yaml:"readinessProbe"`
						LivenessProbe  *yaml.Node `yaml:"livenessProbe"`
					}
					Volumes []struct {
						ConfigMap struct{ Name string } `yaml:"configMap"`
					}
				}
			}
		}
	}
	found := map[string]object{}
	documents := yaml.NewDecoder(strings.NewReader(run(t, "../build/tools/kustomize", "build", "kubernetes")))
	for {
		var o object
		err := documents.Decode(&o)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[o.Kind] = o
	}
	for _, kind := range []string{"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"} {
		if _, ok := found[kind]; !ok {
			t.Errorf("there is no %s", kind)
		}
	}
	configured(t, found["ConfigMap"].Data["doorward.yaml"])
	pods := found["Deployment"].Spec.Template.Spec
	if name := found["ConfigMap"].Metadata.Name; len(pods.Volumes) != 1 || pods.Volumes[0].ConfigMap.Name != name {
		t.Errorf("the pods do not use the configuration %s: %+v", name, pods.Volumes)
	}
	if len(pods.Containers) != 1 {
		t.Fatalf("%d containers, want one", len(pods.Containers))
	}
	c := pods.Containers[0]
	if c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil {
		t.Error("a probe is missing")
	}
	if !strings.HasPrefix(c.Image, "registry.example.com/doorward:") {
		t.Errorf("the image is %s: an overlay cannot change it", c.Image)
	}
	if n := found["Deployment"].Spec.Strategy.RollingUpdate.MaxUnavailable; n == nil || *n != 0 {
		t.Error("a rolling update takes servers away before their successors are ready")
	}
	if n := found["PodDisruptionBudget"].Spec.MaxUnavailable; n == nil || *n != 1 {
		t.Error("a drain may take more than one server away")
	}
}

func TestTheComposeFileIsGood(t *testing.T) {
	load := func(environment ...string) error {
		options, err := cli.NewProjectOptions([]string{"compose/compose.yaml"}, cli.WithEnv(environment))
		if err != nil {
			return err
		}
		project, err := options.LoadProject(t.Context())
		if err != nil {
			return err
		}
		names := project.ServiceNames()
		slices.Sort(names)
		if want := []string{"balancer", "doorward-1", "doorward-2", "migrate", "postgres", "valkey"}; !slices.Equal(names, want) {
			t.Errorf("services %q, want %q", names, want)
		}
		for _, name := range []string{"doorward-1", "doorward-2"} {
			service := project.Services[name]
			if node := service.Environment["DOORWARD_NODE_NAME"]; node == nil || *node != name || service.Environment["DOORWARD_DATABASE"] == nil {
				t.Errorf("%s has the environment %v", name, service.Environment)
			}
			if service.DependsOn["migrate"].Condition != "service_completed_successfully" {
				t.Errorf("%s does not wait for the schema", name)
			}
		}
		for _, service := range project.Services {
			for _, port := range service.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("%s is open to the network at port %s", service.Name, port.Published)
				}
			}
			for _, volume := range service.Volumes {
				if volume.Type != "bind" {
					continue
				}
				if _, err := os.Stat(volume.Source); err != nil {
					t.Errorf("%s mounts what is not there: %v", service.Name, err)
				}
			}
		}
		return nil
	}
	if err := load("POSTGRES_PASSWORD=x"); err == nil || !strings.Contains(err.Error(), "DOORWARD_KEY_ENCRYPTION_KEY") {
		t.Errorf("without a key: %v, want an error that names it", err)
	}
	t.Run("twin", func(t *testing.T) {
		if err := load("POSTGRES_PASSWORD=x", "DOORWARD_KEY_ENCRYPTION_KEY=y"); err != nil {
			t.Error(err)
		}
	})
	configured(t, read(t, "compose/doorward.yaml"))
	run(t, "haproxy", "-c", "-f", "compose/haproxy.cfg")
}

// image is a folder that holds what the last stage of the Containerfile copies,
// and nothing else.
func image(t *testing.T) (root string) {
	t.Helper()
	_, last, found := strings.Cut(read(t, "container/Containerfile"), "\nFROM scratch\n")
	if !found {
		t.Fatal("the image is not made from scratch")
	}
	root = t.TempDir()
	for line := range strings.Lines(last) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "COPY" {
			continue
		}
		words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") })
		from, to := words[1], filepath.Join(root, words[2])
		switch from {
		case "/doorward":
			write(t, to, read(t, binary(t)), 0o755)
		case "/empty":
			if err := os.MkdirAll(to, 0o700); err != nil {
				t.Fatal(err)
			}
		default:
			write(t, to, read(t, from), 0o644)
		}
	}
	return root
}

// in is a command in the image.
func in(t *testing.T, root string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), "/usr/local/bin/doorward", args...)
	c.Dir, c.Env = "/", []string{"DOORWARD_KEY_ENCRYPTION_KEY=" + hex.EncodeToString(make([]byte, 32))}
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Geteuid() != 0 { // as root of a user namespace of its own
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	}
	return c
}

const configuration = `public_url: http://127.0.0.1:1
database: sqlite:/var/lib/doorward/doorward.db
api_listen: 127.0.0.1:0
dashboard_listen: 127.0.0.1:0
ops_listen: 127.0.0.1:0
products:
  - key: echo
    name: Echo
    prefix: /echo
    visibility: published
    sandbox_access: open
    production_access: open
    upstreams: {sandbox: %q, production: %q}
    permissions: [{key: echo.call, description: Call it., assignable: customer}]
    routes: [{method: "*", path: "/{path...}", permissions: [[echo.call]]}]
`

func TestTheImageHoldsAllThatTheProgramNeeds(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.NotFoundHandler())
	upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	root := image(t)
	write(t, filepath.Join(root, "etc/doorward/doorward.yaml"), fmt.Sprintf(configuration, upstream.URL, upstream.URL), 0o644)
	if said, err := in(t, root, "version").CombinedOutput(); err != nil {
		t.Fatalf("version: %v %s", err, said)
	}
	serve := in(t, root, "serve", "--config", "/etc/doorward/doorward.yaml")
	if said, ok := start(t, serve); !ok {
		t.Fatalf("the server does not start:\n%s", said)
	}

	// An authority of the image is trusted, and one that is not in it is not.
	bundle := filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")
	authorities, err := os.ReadFile(bundle)
	if err != nil || bytes.Count(authorities, []byte("BEGIN CERTIFICATE")) < 50 {
		t.Fatalf("the image lacks the certificates of authorities: %v", err)
	}
	doctor := func() string {
		out, _ := in(t, root, "doctor", "--config", "/etc/doorward/doorward.yaml").CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "upstream of echo in sandbox") {
				return line
			}
		}
		t.Fatalf("the doctor does not look at the upstream:\n%s", out)
		return ""
	}
	if line := doctor(); !strings.Contains(line, "certificate") {
		t.Errorf("an upstream of an unknown authority: %s", line)
	}
	t.Run("twin", func(t *testing.T) {
		own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
		write(t, bundle, string(authorities)+string(own), 0o644)
		if line := doctor(); !strings.Contains(line, "good") {
			t.Errorf("an upstream of a known authority: %s", line)
		}
	})
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("the server stopped with %v", err)
	}
}

// start starts a server, waits until it serves or ends, and returns what it said.
func start(t *testing.T, serve *exec.Cmd) (said string, serving bool) {
	t.Helper()
	stderr, err := serve.StderrPipe()
	if err == nil {
		err = serve.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for !serving && lines.Scan() {
		said += lines.Text() + "\n"
		serving = strings.Contains(lines.Text(), `"msg":"serving"`)
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	return said, serving
}

// The key of the systemd unit reaches the program by a credential, whose mode
// says that its group reads it where an access control list lets the service in.
func TestTheKeyComesAsACredentialOfSystemd(t *testing.T) {
	folder := t.TempDir()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "credentials/key-encryption-key"), hex.EncodeToString(key), 0o440)
	config := filepath.Join(folder, "doorward.yaml")
	write(t, config, fmt.Sprintf(strings.ReplaceAll(configuration, "/var/lib/doorward", folder), "http://127.0.0.1:1", "http://127.0.0.1:1"), 0o644)
	serve := func(environment ...string) (said string, serving bool) {
		c := exec.CommandContext(t.Context(), binary(t), "serve", "--config", config)
		c.Env = append(environment, "DOORWARD_KEY_ENCRYPTION_KEY__FILE="+filepath.Join(folder, "credentials/key-encryption-key"))
		defer func() {
			_ = c.Process.Kill()
			_ = c.Wait()
		}()
		return start(t, c)
	}
	if said, serving := serve(); serving || !strings.Contains(said, "others may use") {
		t.Errorf("with a file that its group may read, elsewhere: %s", said)
	}
	t.Run("twin", func(t *testing.T) {
		if said, serving := serve("CREDENTIALS_DIRECTORY=" + filepath.Join(folder, "credentials")); !serving {
			t.Errorf("with a credential: %s", said)
		}
	})
}
