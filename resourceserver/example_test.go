package resourceserver_test

import (
	"fmt"
	"net/http"

	"github.com/doorward/doorward/resourceserver"
)

func ExampleGuard_Handler() {
	guard, err := resourceserver.New(resourceserver.Config{
		Issuer:   "https://api.example.com/auth/open",
		Audience: "https://api.example.com",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.FromContext(r.Context())
		fmt.Fprintln(w, "sessions of", token.AccountID)
	})
	http.Handle("GET /sessions/", guard.Handler("auth.sessions.read")(sessions))
}
