package resourceserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/doorward/doorward/resourceserver"
	"github.com/doorward/doorward/resourceserver/resourceservertest"
)

// issuer stands for your API provider's; in a test it gets the test's argument.
var issuer = resourceservertest.New(&testing.B{})

// show sends a request with the token to the handler.
func show(handler http.Handler, target, field, value string) {
	request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	request.Header.Set(field, value)
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	fmt.Println(strings.TrimSpace(fmt.Sprint(response.Code, " ", response.Header().Get("WWW-Authenticate"))))
}

var sessions = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	token, _ := resourceserver.FromContext(r.Context())
	fmt.Fprintln(w, "sessions of", token.AccountID)
})

func ExampleNew() {
	guard, err := resourceserver.New(resourceserver.Config{
		Issuer:   "https://api.example.com/auth/open",
		Audience: "https://api.example.com",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	http.Handle("GET /sessions/", guard.Handler("auth.sessions.read")(sessions))
}

func ExampleGuard_Handler() {
	guard, err := resourceserver.New(issuer.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := guard.Handler("auth.sessions.read")(sessions)
	reader := issuer.Token(resourceservertest.Claims{Permissions: []string{"auth.sessions.read"}})
	show(handler, "/sessions", "Authorization", "Bearer "+reader)
	show(handler, "/sessions", "Authorization", "Bearer "+issuer.Token(resourceservertest.Claims{}))
	show(handler, "/sessions", "Authorization", "Basic eDp5")
	// Output:
	// 200
	// 403 Bearer realm="https://issuer.example", error="insufficient_scope", error_description="this call needs a permission that the token does not have", scope="auth.sessions.read"
	// 401 Bearer realm="https://issuer.example"
}

func ExampleGuard_Account() {
	guard, err := resourceserver.New(issuer.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := guard.Handler()(guard.Account("signicat-accountId")(sessions))
	token := issuer.Token(resourceservertest.Claims{AccountID: "a-p-0123456789abcdefghij"})
	show(handler, "/sessions?signicat-accountId=a-p-0123456789abcdefghij", "Authorization", "Bearer "+token)
	show(handler, "/sessions?signicat-accountId=a-p-jihgfedcba9876543210", "Authorization", "Bearer "+token)
	// Output:
	// 200
	// 403
}

// A service behind the gateway of Doorward: its audience is the key of its product.
func ExampleGuard_Handler_behindTheGateway() {
	config := issuer.Config()
	config.Tokens, config.Audience = resourceserver.Assertions, "auth"
	guard, err := resourceserver.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	show(guard.Handler()(sessions), "/sessions", "Doorward-Assertion", issuer.Assertion(resourceservertest.Claims{Audience: "auth"}))
	// Output: 200
}

func ExampleGuard_Verify() {
	guard, err := resourceserver.New(issuer.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = guard.Verify(context.Background(), "a token that came by another way than HTTP")
	if refused, ok := errors.AsType[*resourceserver.Error](err); ok {
		fmt.Println(refused.Status, refused.Description)
	}
	// Output: 401 the token is malformed
}
