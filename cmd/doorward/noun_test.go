package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEachOperationOfTheContractHasACommand(t *testing.T) {
	made := map[string]bool{ // otherwise: by call, explain, export and apply
		"getContract": true, "explainCall": true, "exportDeclaration": true, "planDeclaration": true, "applyDeclaration": true,
	}
	for _, n := range nouns {
		for _, v := range n.verbs {
			for _, name := range []string{v.operation, v.basis, v.shows, v.reads} {
				if name != "" && operations()[name] == nil {
					t.Errorf("%s %s: the contract has no operation %s", n.name, v.name, name)
				}
				made[name] = true
			}
		}
	}
	for name := range operations() {
		if !made[name] {
			t.Errorf("no command makes %s", name)
		}
	}
}

func TestEachFlagAndArgumentHasAPlace(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range nouns {
		for _, v := range n.verbs {
			if name := n.name + " " + v.name; seen[name] {
				t.Errorf("%s is there twice", name)
			} else {
				seen[name] = true
			}
		}
		for i := range n.verbs {
			v := &n.verbs[i]
			task := &task{verb: v, noun: &n, operation: operations()[v.operation]}
			task.fields = task.operation.fields()
			for _, name := range v.arguments {
				if task.field(name) == nil {
					t.Errorf("%s %s: the operation has no %s", n.name, v.name, name)
				}
			}
			if v.asks && task.operation.Description == "" && task.operation.Summary == "" {
				t.Errorf("%s %s asks without saying what happens", n.name, v.name)
			}
		}
	}
}

func TestValuesOfTheCommandLineAreReadAsTheContractHasThem(t *testing.T) {
	text := &schema{Type: "string"}
	for name, c := range map[string]struct {
		schema schema
		given  []string
		want   any // nil: refused
	}{
		"text":                     {*text, []string{"a,b"}, "a,b"},
		"number":                   {schema{Type: "integer"}, []string{"300"}, 300},
		"seconds":                  {schema{Type: "integer"}, []string{"5m"}, 300},
		"part of a second":         {schema{Type: "integer"}, []string{"1500ms"}, nil},
		"list":                     {schema{Type: "array", Items: text}, []string{"a,b", "c"}, []string{"a", "b", "c"}},
		"empty list":               {schema{Type: "array", Items: text}, []string{""}, []string{}},
		"sets":                     {schema{Type: "array", Items: &schema{Type: "array", Items: text}}, []string{"a,b", "c"}, []any{[]string{"a", "b"}, []string{"c"}}},
		"member":                   {schema{Type: "object", Properties: map[string]*schema{"sandbox": text}}, []string{"sandbox=http://x?a=b"}, map[string]any{"sandbox": "http://x?a=b"}},
		"unknown member":           {schema{Type: "object", Properties: map[string]*schema{"sandbox": text}}, []string{"sandbx=http://x"}, nil},
		"one of several":           {schema{Type: "string", Enum: []string{"a", "b"}}, []string{"b"}, "b"},
		"none of several":          {schema{Type: "string", Enum: []string{"a", "b"}}, []string{"c"}, nil},
		"of the form":              {schema{Type: "string", Pattern: "^o-[a-z]+$"}, []string{"o-x"}, "o-x"},
		"of another form":          {schema{Type: "string", Pattern: "^o-[a-z]+$"}, []string{"../x"}, nil},
		"yes":                      {schema{Type: "boolean"}, []string{"true"}, true},
		"neither yes nor no":       {schema{Type: "boolean"}, []string{"maybe"}, nil},
		"time":                     {schema{Type: "string", Format: "date-time"}, []string{"2027-01-31T12:00:00+01:00"}, "2027-01-31T11:00:00Z"},
		"date":                     {schema{Type: "string", Format: "date-time"}, []string{"2027-01-31"}, "2027-01-31T00:00:00Z"},
		"day that is not":          {schema{Type: "string", Format: "date-time"}, []string{"2027-02-31"}, nil},
		"length of time backwards": {schema{Type: "string", Format: "date-time"}, []string{"-5h"}, nil},
	} {
		f := &field{name: "x", schema: &c.schema}
		var err error
		for _, given := range c.given {
			if err = f.Set(given); err != nil {
				break
			}
		}
		if diff := cmp.Diff(c.want, f.value); diff != "" || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestLengthsOfTimeCountFromNow(t *testing.T) {
	now := time.Date(2026, 11, 25, 18, 0, 0, 0, time.FixedZone("", 3600))
	for _, c := range []struct {
		given string
		past  bool
		want  string
	}{
		{"90d", false, "2027-02-23T17:00:00Z"}, {"2w", false, "2026-12-09T17:00:00Z"}, {"36h", false, "2026-11-27T05:00:00Z"},
		{"7d", true, "2026-11-18T17:00:00Z"}, {"30m", true, "2026-11-25T16:30:00Z"},
	} {
		if got, err := readTime(c.given, now, c.past); got != c.want || err != nil {
			t.Errorf("%s: %s %v, want %s", c.given, got, err, c.want)
		}
	}
}

// many is a server that lists that many items, in pages as they are asked for.
func many(t *testing.T, count int) (m *manager, asked *[]string) {
	t.Helper()
	asked = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RawQuery)
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		from, _ := strconv.Atoi(r.FormValue("cursor"))
		page := map[string]any{}
		items := []any{}
		for n := from; n < min(from+limit, count); n++ {
			items = append(items, map[string]any{"id": fmt.Sprint("item-", n), "name": strings.Repeat("x", n%7), "state": "active"})
		}
		if page["items"] = items; from+limit < count {
			page["next"] = fmt.Sprint(from + limit)
		}
		_ = json.NewEncoder(w).Encode(page)
	}))
	t.Cleanup(server.Close)
	return &manager{profile: profile{ManagementURL: server.URL}, client: *server.Client()}, asked
}

func TestListsAreReadToTheirEnd(t *testing.T) {
	const count = 450
	for _, c := range []struct {
		format string
		quiet  bool
		limit  int
		lines  int
		asked  int
	}{
		{"table", false, 0, count + 1, 3}, {"json", true, 0, count, 3}, {"yaml", false, 0, 3 * count, 3}, {"json", false, 0, 5*count + 2, 3},
		{"table", true, 200, 200, 1}, {"table", true, 250, 250, 2}, {"json", false, 1, 7, 1},
	} {
		m, asked := many(t, count)
		var out, messages bytes.Buffer
		l := &listing{printer: &printer{format: c.format, quiet: c.quiet}, out: &out, id: []string{"id"}, columns: []string{"id", "name", "state"}}
		err := m.pages(t.Context(), ask{method: http.MethodGet, query: url.Values{"limit": {"200"}, "state": {"active"}}}, "items", c.limit, l.add)
		if err == nil {
			err = l.end(&messages)
		}
		if lines := strings.Count(out.String(), "\n"); err != nil || lines != c.lines || len(*asked) != c.asked || messages.Len() > 0 {
			t.Errorf("%+v: %v, %d lines in %d pages, and says %q", c, err, lines, len(*asked), messages.String())
		}
		for _, query := range *asked {
			if !strings.Contains(query, "state=active") {
				t.Errorf("%+v: the filter is lost in %s", c, query)
			}
		}
		if c.format == "json" && !c.quiet && !json.Valid(out.Bytes()) {
			t.Errorf("%+v: not JSON: %.200s", c, out.String())
		}
	}
}

func TestHostileNamesDoNotReachTheTerminal(t *testing.T) {
	var out bytes.Buffer
	l := &listing{printer: &printer{format: "table"}, out: &out, id: []string{"id"}, columns: []string{"id", "name"}}
	hostile, err := json.Marshal(map[string]string{"id": "o-1", "name": "\x1b]0;owned\x07\u202egnp.exe\n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.add([]json.RawMessage{hostile}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\u202e") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%q", out.String())
	}
}
