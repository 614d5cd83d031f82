package main

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func TestClientOfXOAuth2GetsATokenInEachStyle(t *testing.T) {
	d := startDev(t, t.TempDir())
	for name, style := range map[string]oauth2.AuthStyle{"auto": oauth2.AuthStyleAutoDetect, "header": oauth2.AuthStyleInHeader, "params": oauth2.AuthStyleInParams} {
		t.Run(name, func(t *testing.T) {
			config := clientcredentials.Config{ClientID: string(d.Client), ClientSecret: d.ClientSecret, TokenURL: d.TokenURL, AuthStyle: style}
			got, err := config.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.TokenType != "Bearer" || got.Expiry.IsZero() || got.Extra("scope") != "signicat-api" {
				t.Errorf("token = %q, expires %s, scope %v", got.TokenType, got.Expiry, got.Extra("scope"))
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.APIURL+"/echo/hello", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := config.Client(t.Context()).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusForbidden { // known, and not permitted
				t.Errorf("the call gets %s", response.Status)
			}
			t.Run("twin", func(t *testing.T) {
				config.ClientSecret += "x"
				config.EndpointParams = url.Values{}
				if _, err := config.Token(t.Context()); err == nil {
					t.Error("a wrong secret gets a token")
				}
			})
		})
	}
}

func TestKEY13_goOIDCDiscoversAndVerifies(t *testing.T) {
	d := startDev(t, t.TempDir())
	provider, err := oidc.NewProvider(t.Context(), d.Issuer) // compares the issuer, byte for byte
	if err != nil {
		t.Fatal(err)
	}
	if got := provider.Endpoint().TokenURL; got != d.TokenURL {
		t.Errorf("KEY-13 token endpoint = %q, want %q", got, d.TokenURL)
	}
	var metadata struct {
		JWKSURI    string   `json:"jwks_uri"`
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		Introspect string   `json:"introspection_endpoint"`
	}
	if err := provider.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	issued := d.token(t, d.inBody()...)
	keys := oidc.NewRemoteKeySet(context.Background(), metadata.JWKSURI)
	verifier := oidc.NewVerifier(d.Issuer, keys, &oidc.Config{ClientID: d.APIURL, SupportedSigningAlgs: []string{oidc.ES256}}) // the audience
	got, err := verifier.Verify(t.Context(), issued)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != string(d.Client) {
		t.Errorf("KEY-13 subject = %q, want %q", got.Subject, d.Client)
	}
	t.Run("KEY-13 changed token", func(t *testing.T) {
		middle := len(issued) / 2
		changed := issued[:middle] + map[bool]string{true: "B", false: "A"}[issued[middle] == 'A'] + issued[middle+1:]
		if _, err := verifier.Verify(t.Context(), changed); err == nil {
			t.Error("a changed token is verified")
		}
	})
	t.Run("KEY-13 another issuer", func(t *testing.T) {
		if _, err := oidc.NewProvider(t.Context(), d.APIURL); err == nil {
			t.Error("the API domain passes for the issuer")
		}
	})
}
