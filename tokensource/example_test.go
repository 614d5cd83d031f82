package tokensource_test

import (
	"fmt"
	"net/http"

	"github.com/doorward/doorward/tokensource"
)

func ExampleSource_Transport() {
	source, err := tokensource.New(tokensource.Config{
		TokenURL:     "https://api.example.com/auth/open/connect/token",
		ClientID:     "sandbox-round-apple-123",
		ClientSecret: "from a secret store",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: source.Transport(nil)}
	_ = client // every call of client now carries an access token
}
