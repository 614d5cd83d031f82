package redistoken_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/doorward/doorward/tokensource"
	"github.com/doorward/doorward/tokensource/redistoken"
)

func fetched(value string) func(context.Context) (tokensource.Token, error) {
	return func(context.Context) (tokensource.Token, error) {
		return tokensource.Token{Value: value, Lifetime: 600e9, Left: 600e9}, nil
	}
}

func failing(err error) func(context.Context) (tokensource.Token, error) {
	return func(context.Context) (tokensource.Token, error) { return tokensource.Token{}, err }
}

func ExampleCache() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	defer client.Close()
	source, err := tokensource.New(tokensource.Config{
		TokenURL:     "https://api.example.com/auth/open/connect/token",
		ClientID:     "sandbox-round-apple-123",
		ClientSecret: "from a secret store",
		Cache: &redistoken.Cache{
			Client: client,
			Failed: func(err error) { slog.Warn("tokens are not shared", "error", err) },
		},
	})
	fmt.Println(source, err)
	// Output: tokensource.Source(sandbox-round-apple-123) <nil>
}
