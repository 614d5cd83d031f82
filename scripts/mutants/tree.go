package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tree is a copy of the working tree, in a temporary folder.
type tree string

// copyTree copies what git tracks and what it would: uncommitted files count,
// ignored ones do not.
func copyTree(ctx context.Context) (tree, error) {
	list, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return "", fmt.Errorf("git ls-files: %w", err)
	}
	dir, err := os.MkdirTemp("", "doorward-mutants")
	if err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if err := copyFile(name, filepath.Join(dir, name)); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	return tree(dir), nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted, and not yet committed
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

func (t tree) remove() {
	if err := os.RemoveAll(string(t)); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
}

// baselines runs the tests of all mutants without a patch, once for each
// package. The result has an error for each package where one fails or where
// nothing ran.
func (t tree) baselines(ctx context.Context, mutants []mutant) map[string]error {
	wanted := map[string][]string{}
	for _, m := range mutants {
		wanted[m.pkg] = append(wanted[m.pkg], "(?:"+m.run+")")
	}
	intact := map[string]error{}
	for pkg, expressions := range wanted {
		switch got, output := t.test(ctx, pkg, strings.Join(expressions, "|")); got {
		case passed:
			intact[pkg] = nil
		case notRun:
			intact[pkg] = errors.New("the named test does not exist")
		default:
			intact[pkg] = fmt.Errorf("the package's tests are %s without a mutant:\n%s", got, output)
		}
	}
	return intact
}

// mutate applies the patch, runs the test and takes the patch back. Nil means
// that the test turned red.
func (t tree) mutate(ctx context.Context, m mutant) error {
	if err := t.apply(ctx, m); err != nil {
		return err
	}
	got, output := t.test(ctx, m.pkg, m.run)
	if err := t.apply(ctx, m, "--reverse"); err != nil {
		return err
	}
	switch got {
	case failed:
		return nil
	case passed:
		return fmt.Errorf("survived: %s %s passes", m.pkg, m.run)
	default:
		return fmt.Errorf("%s:\n%s", got, output)
	}
}

func (t tree) apply(ctx context.Context, m mutant, options ...string) error {
	git := exec.CommandContext(ctx, "git", append([]string{"apply", "-p1"}, options...)...)
	git.Dir = string(t)
	git.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(string(t)))
	git.Stdin = bytes.NewReader(m.patch)
	if output, err := git.CombinedOutput(); err != nil {
		return fmt.Errorf("does not apply: %s", bytes.TrimSpace(output))
	}
	return nil
}

// result is how a run of go test ended.
type result string

const (
	passed      result = "green"
	failed      result = "red"
	notRun      result = "not run"
	notCompiled result = "not compiled"
)

// test runs tests without the race detector, which a guard's test does not need,
// and on SQLite alone unless scripts/engines has started the others. -trimpath
// lets go reuse packages that it built elsewhere.
func (t tree) test(ctx context.Context, pkg, run string) (result, []byte) {
	test := exec.CommandContext(ctx, "go", "test", "-trimpath", "-vet=off", "-count=1", "-timeout=2m", "-run="+run, pkg)
	test.Dir = string(t)
	test.Env = append(os.Environ(), "PWD="+string(t))
	if os.Getenv("DOORWARD_TEST_POSTGRES") == "" {
		test.Env = append(test.Env, "ENGINES=sqlite")
	}
	output, err := test.CombinedOutput()
	switch {
	case bytes.Contains(output, []byte("[build failed]")), bytes.Contains(output, []byte("[setup failed]")):
		return notCompiled, output
	case bytes.Contains(output, []byte("[no tests to run]")), bytes.Contains(output, []byte("[no test files]")):
		return notRun, output
	case err == nil:
		return passed, output
	case bytes.Contains(output, []byte("\nFAIL\t")) || bytes.HasPrefix(output, []byte("FAIL\t")):
		return failed, output
	default:
		return notCompiled, output
	}
}
