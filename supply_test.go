package doorward_test

import (
	"encoding/json"
	"go/version"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// oldestToolchain is the first release of Go without the known faults in the
// parts of the standard library that we use.
const oldestToolchain = "go1.26.6"

func TestSUP02_toolchainHasTheKnownFixes(t *testing.T) {
	if !isFixed(runtime.Version()) {
		t.Errorf("built with %s, want %s or newer", runtime.Version(), oldestToolchain)
	}
	for _, old := range []string{"go1.26.5", "go1.26rc1", "go1.25.12", "devel"} {
		if isFixed(old) {
			t.Errorf("%s passes for a release with the fixes", old)
		}
	}
	t.Run("twin", func(t *testing.T) {
		for _, fixed := range []string{oldestToolchain, "go1.26.10", "go1.27.0", "go1.26.8 X:synctest"} {
			if !isFixed(fixed) {
				t.Errorf("%s is refused", fixed)
			}
		}
	})
}

func isFixed(toolchain string) bool {
	release, _, _ := strings.Cut(toolchain, " ") // behind a space: experiments
	return version.Compare(release, oldestToolchain) >= 0
}

func TestSUP03_modulesAreTheOnesThatWereChecked(t *testing.T) {
	t.Run("module cache", func(t *testing.T) {
		if output, err := exec.CommandContext(t.Context(), "go", "mod", "verify").CombinedOutput(); err != nil {
			t.Errorf("go mod verify: %v\n%s", err, output)
		}
	})
	t.Run("module files and scripts", func(t *testing.T) {
		report(t, supplyDefects(t, os.DirFS(".")))
	})
	for name, text := range map[string]string{
		"go.mod":         "module m\n\nreplace example.com/a => ../a\n",
		"bench/go.mod":   "module m\n\nreplace (\n\texample.com/a v1.0.0 => example.com/b v1.0.0\n)\n",
		"Makefile":       "test:\n\tGONOSUMDB=* go test ./...\n",
		".ci/run":        "export GOFLAGS=-mod=mod\n",
		"scripts/engine": "export GOSUMDB=off\n",
	} {
		t.Run("planted in "+name, func(t *testing.T) {
			if got := supplyDefects(t, fstest.MapFS{name: {Data: []byte(text)}}); len(got) != 1 {
				t.Errorf("defects = %q, want one", got)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		files := fstest.MapFS{
			"go.mod":       {Data: []byte("module m\n\nrequire example.com/a v1.0.0\n")},
			"bench/go.mod": {Data: []byte("module m\n\nreplace github.com/doorward/doorward => ../\n")},
			"Makefile":     {Data: []byte("test:\n\tgo test ./...\n")},
		}
		if got := supplyDefects(t, files); len(got) > 0 {
			t.Errorf("defects = %q, want none", got)
		}
	})
}

var (
	replacement = regexp.MustCompile(`(?m)^.*=>.*$`)
	unchecked   = regexp.MustCompile(`GOSUMDB=off|GONOSUMDB=|GONOSUMCHECK=|GOPRIVATE=|GOINSECURE=|-mod=mod`)
)

// supplyDefects finds what would let other code into a build than go.sum lists.
// The modules inside this one may stand beside it: they name it by its folder.
func supplyDefects(t *testing.T, root fs.FS) []string {
	t.Helper()
	var defects []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "build", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || !isBuildFile(name):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if found := unchecked.Find(text); found != nil {
			defects = append(defects, name+": switches checks of modules off: "+string(found))
		}
		for _, line := range replacement.FindAllString(string(text), -1) {
			if path.Base(name) == "go.mod" && !strings.Contains(line, strings.TrimSuffix(module, "/")+" => ../") {
				defects = append(defects, name+": replaces a module: "+strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return defects
}

func isBuildFile(name string) bool {
	dir := path.Dir(name)
	return path.Base(name) == "go.mod" || name == "Makefile" || dir == ".ci" || dir == "scripts"
}

// lockFile is package-lock.json.
type lockFile struct {
	Packages map[string]struct {
		Version, Integrity, Resolved string
		HasInstallScript             bool
		Link                         bool
	}
}

func TestSUP05_npmPackagesAreTheOnesOfTheLockFile(t *testing.T) {
	settings := map[string]string{"Makefile": "npm ci --ignore-scripts"}
	for _, folder := range []string{"clients/typescript", "internal/api/testdata/typescript"} {
		text, err := os.ReadFile(folder + "/package-lock.json")
		if err != nil {
			t.Fatal(err)
		}
		report(t, lockDefects(t, string(text)))
		settings[folder+"/.npmrc"] = "ignore-scripts=true"
	}
	for file, want := range settings {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %q, %v", file, want, err)
		}
	}
	const good = `"version": "1.0.0", "integrity": "sha512-x"`
	for name, entry := range map[string]string{
		"no integrity":     `"version": "1.0.0"`,
		"weak integrity":   `"version": "1.0.0", "integrity": "sha1-x"`,
		"names a host":     good + `, "resolved": "https://packages.example/a.tgz"`,
		"install script":   good + `, "hasInstallScript": true`,
		"another's folder": good + `, "link": true`,
	} {
		t.Run("planted "+name, func(t *testing.T) {
			if got := lockDefects(t, `{"packages": {"": {}, "node_modules/a": {`+entry+`}}}`); len(got) != 1 {
				t.Errorf("defects = %q, want one", got)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if got := lockDefects(t, `{"packages": {"": {}, "node_modules/a": {`+good+`}}}`); len(got) > 0 {
			t.Errorf("defects = %q, want none", got)
		}
	})
}

// lockDefects finds what would let other code in than the lock file's sums say, or
// let a package run something while it is installed.
func lockDefects(t *testing.T, text string) []string {
	t.Helper()
	var lock lockFile
	if err := json.Unmarshal([]byte(text), &lock); err != nil {
		t.Fatal(err)
	}
	var defects []string
	for name, entry := range lock.Packages {
		switch {
		case name == "":
		case !strings.HasPrefix(entry.Integrity, "sha512-"):
			defects = append(defects, name+": has no SHA-512 sum")
		case entry.Resolved != "":
			defects = append(defects, name+": names a host")
		case entry.HasInstallScript:
			defects = append(defects, name+": runs a script when it is installed")
		case entry.Link:
			defects = append(defects, name+": is a folder of this machine")
		}
	}
	if len(lock.Packages) < 2 {
		defects = append(defects, "the lock file names no package")
	}
	return defects
}
