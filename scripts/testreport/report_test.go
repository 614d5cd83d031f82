package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReportShowsFailuresWholeAndPassesInOneLine(t *testing.T) {
	const events = `go: a line of the go command
{"Action":"build-output","ImportPath":"m/broken","Output":"broken.go:1: no\n"}
{"Action":"fail","Package":"m/broken"}
{"Action":"output","Package":"m/good","Test":"TestJWT13_duplicate","Output":"chatter\n"}
{"Action":"pass","Package":"m/good","Test":"TestJWT13_duplicate/JWT-14_null/twin"}
{"Action":"pass","Package":"m/good","Test":"TestJWT13_duplicate"}
{"Action":"output","Package":"m/bad","Test":"TestTOK01","Output":"--- FAIL: TestTOK01\n"}
{"Action":"fail","Package":"m/bad","Test":"TestTOK01"}
{"Action":"output","Package":"m/bad","Test":"TestCutShort","Output":"panic: cut short\n"}
{"Action":"output","Package":"m/bad","Output":"FAIL\tm/bad\t0.1s\n"}
{"Action":"output","Package":"m/good","Output":"PASS\n"}
{"Action":"output","Package":"m/good","Output":"ok  \tm/good\t0.1s\n"}
{"Action":"pass","Package":"m/good"}
{"Action":"fail","Package":"m/bad"}
`
	const want = `go: a line of the go command
broken.go:1: no
ok  	m/good	0.1s
--- FAIL: TestTOK01
panic: cut short
FAIL	m/bad	0.1s

packages: 1 passed, 2 failed, 0 skipped
tests:    2 passed, 1 failed, 0 skipped
  failed  m/bad.TestTOK01
security catalogue: 2 cases passed, 1 of them with a twin (*)
  JWT  13 14*
`
	var got strings.Builder
	r := newReport(&got)
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.summary()
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestCaseIDsAreFoundInTestNames(t *testing.T) {
	for name, want := range map[string][]string{
		"TestTOK01_repeated":          {"TOK-01"},
		"TestX/JWT-13_duplicate_sub":  {"JWT-13"},
		"TestTOK01_and/TOK-03_both":   {"TOK-01", "TOK-03"},
		"TestBROKEN-01":               nil,
		"TestJWT130":                  nil,
		"TestGW07_headers/GW-07/twin": {"GW-07"},
		"TestNothing":                 nil,
	} {
		c := catalogue{}
		c.add(name, "pass")
		var got []string
		for _, id := range []string{"GW-07", "JWT-13", "TOK-01", "TOK-03"} {
			if c[id].passed {
				got = append(got, id)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(c) != len(want) {
			t.Errorf("%s: %d ids, -want +got:\n%s", name, len(c), diff)
		}
	}
}
