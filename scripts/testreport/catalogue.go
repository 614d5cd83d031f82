package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// caseID finds the ids of the security catalogue in a test's name: JWT-13 in
// TestJWT13_duplicateClaimIsRefused and in the subtest JWT-13_duplicate_sub.
var caseID = regexp.MustCompile(`(?:^|[^A-Z])(TOK|JWT|KEY|AUZ|GW|TEN|PRIV|WEB|SEC|AUD|STO|DOS|SUP)-?([0-9]{2})(?:[^0-9]|$)`)

// outcome is what was seen of one case.
type outcome struct{ passed, failed, twin bool }

// catalogue is the outcome of each case, by its id.
type catalogue map[string]outcome

func (c catalogue) add(test, action string) {
	for _, id := range casesOf(test) {
		seen := c[id]
		seen.passed = seen.passed || action == "pass"
		seen.failed = seen.failed || action == "fail"
		c[id] = seen
	}
	if parent, ok := strings.CutSuffix(test, "/twin"); ok && action == "pass" {
		c.addTwin(parent)
	}
}

// addTwin credits a twin to the innermost test around it that names a case.
func (c catalogue) addTwin(parent string) {
	for parent != "" {
		cut := strings.LastIndex(parent, "/") + 1
		ids := casesOf(parent[cut:])
		for _, id := range ids {
			seen := c[id]
			seen.twin = true
			c[id] = seen
		}
		if len(ids) > 0 {
			return
		}
		parent = strings.TrimSuffix(parent[:cut], "/")
	}
}

func casesOf(test string) []string {
	var ids []string
	for _, match := range caseID.FindAllStringSubmatch(test, -1) {
		ids = append(ids, match[1]+"-"+match[2])
	}
	return ids
}

// print lists the cases that count, a line for each group; a star marks those
// with a twin, the nearly equal input that is accepted.
func (c catalogue) print(out io.Writer) {
	numbers := map[string][]string{}
	count, twins := 0, 0
	for _, id := range slices.Sorted(maps.Keys(c)) {
		seen := c[id]
		if !seen.passed || seen.failed {
			continue
		}
		group, number, _ := strings.Cut(id, "-")
		count++
		if seen.twin {
			twins++
			number += "*"
		}
		numbers[group] = append(numbers[group], number)
	}
	fmt.Fprintf(out, "security catalogue: %d cases passed, %d of them with a twin (*)\n", count, twins)
	for _, group := range slices.Sorted(maps.Keys(numbers)) {
		fmt.Fprintf(out, "  %-4s %s\n", group, strings.Join(numbers[group], " "))
	}
}
