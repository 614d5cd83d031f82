package tokensource_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/doorward/doorward/tokensource"
)

// platform stands for your API provider: a token endpoint and an API.
func platform() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/open/connect/token", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"access_token":"eyJ.example","expires_in":600,"token_type":"Bearer"}`)
	})
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "called with ", r.Header.Get("Authorization"))
	})
	return httptest.NewServer(mux)
}

func Example() {
	server := platform()
	defer server.Close()
	source, err := tokensource.New(tokensource.Config{
		TokenURL:     server.URL + "/auth/open/connect/token",
		ClientID:     "sandbox-round-apple-123",
		ClientSecret: "from a secret store",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: source.Transport(nil)} // keep it: every call carries a token
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/sessions", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := client.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	// Output: 200 OK
}

func ExampleFromEnvironment() {
	config, err := tokensource.FromEnvironment() // DOORWARD_TOKEN_URL and so on
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = tokensource.New(config)
	fmt.Println(err)
	// Output: token URL is missing
}

func ExampleFromProfile() {
	_, err := tokensource.FromProfile("No Such Name")
	fmt.Println(err)
	// Output: profile "No Such Name": a name is 1 to 64 of a-z, 0-9, - and _
}

func ExampleSource_Token() {
	server := platform()
	defer server.Close()
	source, err := tokensource.New(tokensource.Config{
		TokenURL: server.URL + "/auth/open/connect/token", ClientID: "sandbox-round-apple-123", ClientSecret: "from a secret store",
		Observe: func(e tokensource.Event) { slog.Debug("token", "event", e.Kind, "client", e.ClientID, "error", e.Err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := source.Token(context.Background()) // for a protocol other than HTTP
	fmt.Println(token, err)
	source.Invalidate(token) // when a server refuses it as invalid
	// Output: eyJ.example <nil>
}

func ExampleMemory() {
	server := platform()
	defer server.Close()
	shared := &tokensource.Memory{} // for a program that makes sources as it goes
	for range 3 {
		source, err := tokensource.New(tokensource.Config{
			TokenURL: server.URL + "/auth/open/connect/token", ClientID: "sandbox-round-apple-123", ClientSecret: "from a secret store",
			Cache: shared,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		details, err := source.Details(context.Background())
		fmt.Println(details.Lifetime, err) // one token request for all three
	}
	// Output:
	// 10m0s <nil>
	// 10m0s <nil>
	// 10m0s <nil>
}
