package authserver

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func basicHeader(text string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

func TestTOK16_formEncodedHalvesAreDecoded(t *testing.T) {
	const hard = " %&+:£€\n"
	encoded := url.QueryEscape(hard)
	for name, tt := range map[string]struct {
		header string
		want   credentials
	}{
		"TOK-16 all at once":               {basicHeader(encoded + ":" + encoded), credentials{hard, hard}},
		"TOK-16 plus is a space":           {basicHeader("a+b:c+d"), credentials{"a b", "c d"}},
		"TOK-16 escaped plus":              {basicHeader("a%2Bb:c%2Bd"), credentials{"a+b", "c+d"}},
		"TOK-16 RFC 6749 example":          {"Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3", credentials{"s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw"}},
		"TOK-19 colon in the id":           {basicHeader("a%3Ab:c"), credentials{"a:b", "c"}},
		"TOK-19 first raw colon parts":     {basicHeader("a:b:c"), credentials{"a", "b:c"}},
		"TOK-19 escaped colon in the last": {basicHeader("a:b%3Ac"), credentials{"a", "b:c"}},
		"TOK-19 escaped before the raw":    {basicHeader("a%3Ab%3Ac:d%3Ae:f"), credentials{"a:b:c", "d:e:f"}},
		"TOK-18 twin: several spaces":      {strings.Replace(basicHeader("a:b"), " ", "   ", 1), credentials{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := parseBasic(tt.header); !ok || got != tt.want {
				t.Errorf("parseBasic(%q) = %q, %t, want %q", tt.header, got, ok, tt.want)
			}
		})
	}
}

// What is accepted, net/http and net/url read in the same way.
func FuzzBasic(f *testing.F) {
	for _, seed := range []string{"a:b", "a%3Ab:c", "a:b:c", ":", "a", "a:%zz", "a\n:b", "a+:%00", "£:€"} {
		f.Add(basicHeader(seed))
	}
	f.Add("Basic YTpi\r\n")
	f.Add("basic  YTpi")
	f.Fuzz(func(t *testing.T, header string) {
		got, ok := parseBasic(header)
		if !ok {
			if got != (credentials{}) {
				t.Errorf("parseBasic(%q) refuses and returns credentials", header)
			}
			return
		}
		scheme, encoded, _ := strings.Cut(header, " ")
		r := http.Request{Header: http.Header{"Authorization": {scheme + " " + strings.TrimLeft(encoded, " ")}}}
		id, secret, ok := r.BasicAuth()
		if !ok {
			t.Fatalf("accepted %q, net/http does not", header)
		}
		id, err := url.QueryUnescape(id)
		if err != nil || id != got.id {
			t.Errorf("%q: id %q, net/url has %q, %v", header, got.id, id, err)
		}
		secret, err = url.QueryUnescape(secret)
		if err != nil || secret != got.secret {
			t.Errorf("%q: secret %q, net/url has %q, %v", header, got.secret, secret, err)
		}
	})
}
