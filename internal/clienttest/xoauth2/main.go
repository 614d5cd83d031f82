// Command xoauth2 is a client process of the conformance test that uses
// golang.org/x/oauth2/clientcredentials as its documentation shows. docs/clients.md
// publishes what comes of it.
package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/doorward/doorward/internal/clienttest"
)

func main() {
	if err := client().Serve(os.Stdin, os.Stdout, false, true); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client() clienttest.Client {
	return clienttest.Client{Name: "golang.org/x/oauth2", Open: func(c clienttest.Command) (clienttest.Source, error) {
		config := clientcredentials.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, TokenURL: c.TokenURL, Scopes: c.Scopes}
		if c.AuthStyle == "post" {
			config.AuthStyle = oauth2.AuthStyleInParams
		}
		source := config.TokenSource(context.Background())
		return clienttest.Source{
			Token: func(context.Context) (string, error) {
				token, err := source.Token() // takes no context
				if err != nil {
					return "", err
				}
				return token.AccessToken, nil
			},
			Transport: &oauth2.Transport{Source: source},
			Printed:   []any{config, source},
		}, nil
	}}
}
