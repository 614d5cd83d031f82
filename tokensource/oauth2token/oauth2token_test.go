package oauth2token_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/doorward/doorward/tokensource"
	"github.com/doorward/doorward/tokensource/oauth2token"
)

func server(status int) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, `{"access_token":"eyJ.example","expires_in":600,"token_type":"Bearer"}`)
	}))
}

func source(address string) (*tokensource.Source, error) {
	return tokensource.New(tokensource.Config{TokenURL: address + "/token", ClientID: "sandbox-round-apple-123", ClientSecret: "from a secret store"})
}

func TestTokenHasItsExpiry(t *testing.T) {
	s := server(http.StatusOK)
	defer s.Close()
	tokens, err := source(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	got, err := oauth2token.New(tokens).Token()
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(got.Expiry); got.AccessToken != "eyJ.example" || got.Type() != "Bearer" || left > 10*time.Minute || left < 5*time.Minute {
		t.Errorf("token of type %s has %v left, want one of type Bearer with 10 minutes", got.Type(), left)
	}
}

func TestRefusalIsAnError(t *testing.T) {
	s := server(http.StatusUnauthorized)
	defer s.Close()
	tokens, err := source(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := oauth2token.New(tokens).Token(); err == nil {
		t.Errorf("token %v of a server that refuses", got)
	}
}

func ExampleNew() {
	s := server(http.StatusOK)
	defer s.Close()
	tokens, err := source(s.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := oauth2.NewClient(context.Background(), oauth2token.New(tokens))
	_ = client // for a library that wants the client of x/oauth2
	token, err := oauth2token.New(tokens).Token()
	fmt.Println(token.AccessToken, err)
	// Output: eyJ.example <nil>
}
