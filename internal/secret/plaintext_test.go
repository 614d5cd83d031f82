package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/secret"
)

const canary = "canary-7f3a"

type configuration struct {
	Name     string
	Password secret.Plaintext
	hidden   secret.Plaintext
}

func TestSEC11_plaintextShowsItselfToNoPrinter(t *testing.T) {
	p := secret.NewPlaintext(canary)
	config := configuration{Name: "visible", Password: p, hidden: p}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "secret", p, "config", config, "name", "visible")
	slog.New(slog.NewTextHandler(&log, nil)).Info("start", "secret", p, "config", config)
	inJSON, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	inXML, err := xml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{"slog": log.String(), "JSON": string(inJSON), "XML": string(inXML), "String": p.String(), "GoString": p.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T %v"} {
		shown[verb] = fmt.Sprintf(verb, p, p)
		shown["pointer "+verb] = fmt.Sprintf(verb, &p, &p)
		shown["struct "+verb] = fmt.Sprintf(verb, config, config)
		shown["struct pointer "+verb] = fmt.Sprintf(verb, &config, &config)
		shown["slice "+verb] = fmt.Sprintf(verb, []secret.Plaintext{p}, map[string]secret.Plaintext{"a": p})
	}
	for how, text := range shown {
		t.Run(how, func(t *testing.T) {
			for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))} {
				if strings.Contains(text, form) {
					t.Errorf("the secret is shown: %s", text)
				}
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if got, want := p.Reveal(), canary; got != want {
			t.Errorf("Reveal = %q, want %q", got, want)
		}
		if got, want := string(inJSON), `{"Name":"visible","Password":"[redacted]"}`; got != want {
			t.Errorf("JSON = %s, want %s", got, want)
		}
	})
}

func TestZeroPlaintextIsEmpty(t *testing.T) {
	var zero secret.Plaintext
	if got, want := zero.Reveal(), ""; got != want {
		t.Errorf("Reveal = %q, want %q", got, want)
	}
	for p, want := range map[*secret.Plaintext]bool{&zero: true, new(secret.NewPlaintext("")): true, new(secret.NewPlaintext("x")): false} {
		if got := p.IsZero(); got != want {
			t.Errorf("IsZero of %q = %v, want %v", p.Reveal(), got, want)
		}
	}
	if got, want := zero.String(), "[redacted]"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
}
