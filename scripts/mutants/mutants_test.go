package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	guardSource = "package guard\n\nfunc Open(key int) bool {\n\treturn key == 7\n}\n"
	guardTest   = "package guard\n\nimport \"testing\"\n\nfunc TestWrongKey(t *testing.T) {\n\tif Open(8) {\n\t\tt.Error(\"open\")\n\t}\n}\n\nfunc TestRed(t *testing.T) { t.Error(\"always\") }\n"
)

// patch replaces the return line of guardSource.
func patch(test, line string) string {
	return "# test: " + test + "\n# guard: the key\n--- a/guard.go\n+++ b/guard.go\n@@ -3,3 +3,3 @@\n func Open(key int) bool {\n-\treturn key == 7\n+\treturn " + line + "\n }\n"
}

func TestOnlyARedTestUnderAWorkingPatchIsASuccess(t *testing.T) {
	for name, test := range map[string]struct{ patch, want string }{
		"noticed":         {patch("./. TestWrongKey", "key != 7"), "red"},
		"survives":        {patch("./. TestWrongKey", "key == 9"), "ERROR survived: ./. TestWrongKey passes"},
		"does not build":  {patch("./. TestWrongKey", "key"), "ERROR not compiled:"},
		"names no test":   {patch("./. TestNowhere", "key != 7"), "ERROR the named test does not exist"},
		"red without it":  {patch("./. TestRed", "key != 7"), "ERROR the package's tests are red without a mutant:"},
		"does not apply":  {strings.Replace(patch("./. TestWrongKey", "key"), "-\treturn key", "-\treturn kex", 1), "ERROR does not apply: error: patch failed: guard.go:3"},
		"names no folder": {patch("./nowhere TestWrongKey", "key"), "ERROR the package's tests are not compiled without a mutant:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(module(t, map[string]string{"testdata/mutants/one.patch": test.patch}))
			var out strings.Builder
			err := run(t.Context(), &out, nil)
			line, _, _ := strings.Cut(out.String(), "\n")
			if got := regexp.MustCompile(`red$|ERROR .*`).FindString(line); got != test.want {
				t.Errorf("verdict = %q, want %q; all:\n%s", got, test.want, out.String())
			}
			if (err == nil) != (test.want == "red") {
				t.Errorf("error = %v for %q", err, test.want)
			}
			if left, err := os.ReadFile("guard.go"); err != nil || string(left) != guardSource {
				t.Errorf("the working tree was touched: %q, %v", left, err)
			}
		})
	}
}

func TestPatchWithoutHeaderIsRefused(t *testing.T) {
	whole := patch("./. TestWrongKey", "key")
	for _, text := range []string{
		strings.Replace(whole, "# test: ", "# tests: ", 1),
		strings.Replace(whole, "# guard: the key", "# guard: ", 1),
		strings.Replace(whole, "./. TestWrongKey", "./.", 1),
		strings.Replace(whole, "TestWrongKey", "Test(", 1),
	} {
		if _, err := parse("one", []byte(text)); err == nil {
			t.Errorf("accepted:\n%s", text)
		}
	}
	if _, err := parse("one", []byte(whole)); err != nil {
		t.Error(err)
	}
}

// module makes a git repository with a small module and more files, none of
// them committed.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	maps.Copy(files, map[string]string{"go.mod": "module guard\n\ngo 1.26\n", "guard.go": guardSource, "guard_test.go": guardTest})
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := exec.CommandContext(t.Context(), "git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, output)
	}
	return dir
}

// A patch that no longer applies guards nothing, and would be noticed only when
// all mutants run.
func TestEachPatchApplies(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	mutants, err := load(filepath.Join(root, "testdata", "mutants"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if err := tree(root).apply(t.Context(), m, "--check"); err != nil {
			t.Errorf("%s %v", m.name, err)
		}
	}
}
