package jwt

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// scan reads any one value.
func scan(text string) error {
	s := scanner{text: text}
	s.skip()
	return s.err()
}

func TestScannerReadsJSONStrictly(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	wide := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"m` + strings.Repeat("x", i) + `":0`)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	for _, text := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `-1.5E+10`, `1e-7`, `true`, `false`, `null`, " {\t\"a\" :\r\n[ 1 , 2 ] } ", `"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"`, `"é"`,
		`{"a":{"b":{"c":[{}]}},"d":[[],[[]]]}`, deep(maxDepth), wide(maxMembers), `1` + strings.Repeat("0", maxDigits-1), `"\uFFFD"`,
	} {
		if err := scan(text); err != nil {
			t.Errorf("%s: %v, want acceptance", text, err)
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON, mend the test", text)
		}
	}
	for _, text := range []string{
		``, ` `, `{`, `}`, `[`, `]`, `"`, `"\`, `"\u`, `"\u00`, `"\u00g0"`, `"\x"`, `"\u+041"`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1 "b":2}`, `{a:1}`,
		`{'a':1}`, `{1:1}`, `01`, `1.`, `.5`, `+1`, `1e`, `-`, `1e400`, `1_0`, `0x1`, `Inf`, `NaN`, `tru`, `True`, `nul`, `truefalse`, `{} {}`, `{}x`, "{}\x00", "\x00", "\ufeff{}",
		"\"a\nb\"", "\"\x00\"", "\"\xff\"", "\"\xc0\xaf\"", "\"\\n\xff\"", `"\ud800"`, `"\udc00"`, `"\ud800\u0041"`, `"\ud800x"`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"\u0061":1}`, `{"é":1}`,
		deep(maxDepth + 1), wide(maxMembers + 1), `1` + strings.Repeat("0", maxDigits), strings.Repeat("[", 1<<16), strings.Repeat(`{"a":`, 1<<16),
	} {
		if err := scan(text); err == nil {
			t.Errorf("%.80q accepted, want refusal", text)
		}
	}
}

func TestScannerDecodesStrings(t *testing.T) {
	for text, want := range map[string]string{
		`"a"`:                    "a",
		`"\u0061\/\"\\\b\f"`:     "a/\"\\\b\f",
		`"\ud83d\ude00 \n\r\t"`:  "😀 \n\r\t",
		`"é\u00e9"`:              "éé",
		`"\u0000"`:               "\x00",
		`"before\u0020after"  	`: "before after",
	} {
		s := scanner{text: text}
		if got := s.str(); got != want || s.err() != nil {
			t.Errorf("%s reads as %q, %v; want %q", text, got, s.err(), want)
		}
	}
}

// What we take for JSON, encoding/json takes too, and then loses no member of it.
func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5,"\u00e9",null,true],"b":{}}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `"\ud800"`, `[[[[[[[[]]]]]]]]`, `1e400`, "{}\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if scan(text) != nil {
			return
		}
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("accepted here only: %v: %q", err, text)
		}
		if got, want := members(value), names(t, text); got != want {
			t.Errorf("%d members kept of %d: %q", got, want, text)
		}
	})
}

// members counts the members of all objects in a decoded value.
func members(value any) int {
	n := 0
	switch value := value.(type) {
	case map[string]any:
		n = len(value)
		for _, v := range value {
			n += members(v)
		}
	case []any:
		for _, v := range value {
			n += members(v)
		}
	}
	return n
}

// names counts the members of all objects in a text.
func names(t *testing.T, text string) int {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	inside := 0 // names and values in objects
	var open []json.Delim
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return inside / 2
		}
		if err != nil {
			t.Fatal(err)
		}
		delim, isDelim := token.(json.Delim)
		if isDelim && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 && open[len(open)-1] == '{' {
			inside++
		}
		if isDelim {
			open = append(open, delim)
		}
	}
}
