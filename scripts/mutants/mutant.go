package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// mutant is one patch and the test that must turn red under it.
type mutant struct {
	name  string // the file's, without .patch
	guard string // what the patch breaks, in words
	pkg   string // as go test takes it: ./internal/jwt
	run   string // for go test -run
	patch []byte
}

// load reads the mutants of a folder: those named, or all.
func load(dir string, names []string) ([]mutant, error) {
	if len(names) == 0 {
		files, err := filepath.Glob(filepath.Join(dir, "*.patch"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(file), ".patch"))
		}
	}
	if len(names) == 0 {
		return nil, errors.New("there is no mutant in " + dir)
	}
	var mutants []mutant
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name+".patch"))
		if err != nil {
			return nil, err
		}
		m, err := parse(name, text)
		if err != nil {
			return nil, fmt.Errorf("%s.patch: %w", name, err)
		}
		mutants = append(mutants, m)
	}
	return mutants, nil
}

var (
	testLine  = regexp.MustCompile(`(?m)^# test: (\./\S*) (\S.*)$`)
	guardLine = regexp.MustCompile(`(?m)^# guard: (\S.*)$`)
)

// parse reads the header lines; git skips them when it applies the patch.
func parse(name string, text []byte) (mutant, error) {
	test, guard := testLine.FindSubmatch(text), guardLine.FindSubmatch(text)
	if test == nil || guard == nil {
		return mutant{}, errors.New(`must begin with the lines "# test: ./PACKAGE RUN_REGEX" and "# guard: WORDS"`)
	}
	if _, err := regexp.Compile(string(test[2])); err != nil {
		return mutant{}, err
	}
	return mutant{name: name, guard: string(guard[1]), pkg: string(test[1]), run: string(test[2]), patch: text}, nil
}
