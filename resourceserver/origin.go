package resourceserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/jwt"
)

const maxRedirects = 3

// origin fetches documents of the issuer. Whatever its metadata or its redirects
// say, requests go to the scheme, host and port of the issuer alone.
type origin struct {
	issuer *url.URL
	client *http.Client
}

func newOrigin(issuer *url.URL, client *http.Client) *origin {
	own := &http.Client{}
	if client != nil {
		*own = *client
	}
	o := &origin{issuer: issuer, client: own}
	own.CheckRedirect = func(request *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || !o.has(request.URL) {
			return errors.New("redirect away from the issuer")
		}
		return nil
	}
	return o
}

func (o *origin) has(u *url.URL) bool {
	return u.Scheme == o.issuer.Scheme && strings.EqualFold(u.Host, o.issuer.Host) && u.User == nil
}

// keys fetches the metadata and the JWK Set that it names.
func (o *origin) keys(ctx context.Context) (map[string]*jwt.PublicKey, error) {
	address, err := o.jwksURI(ctx)
	if err != nil {
		return nil, err
	}
	body, err := o.get(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	set, err := jwt.ParseJWKSet(body)
	if err != nil {
		return nil, fmt.Errorf("read the issuer's keys: %w", err)
	}
	keys := make(map[string]*jwt.PublicKey, len(set))
	for i := range set {
		keys[set[i].ID] = &set[i]
	}
	return keys, nil
}

// jwksURI reads the metadata (RFC 8414 §3), which must be the issuer's own.
func (o *origin) jwksURI(ctx context.Context) (*url.URL, error) {
	body, err := o.get(ctx, o.metadataURL())
	if err != nil {
		return nil, fmt.Errorf("fetch the issuer's metadata: %w", err)
	}
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return nil, fmt.Errorf("read the issuer's metadata: %w", err)
	}
	if metadata.Issuer != o.issuer.String() { // RFC 8414 §3.3
		return nil, errors.New("metadata is of another issuer; configure the issuer exactly as its metadata says it")
	}
	address, err := url.Parse(metadata.JWKSURI)
	if err != nil || !o.has(address) {
		return nil, errors.New("metadata's jwks_uri is not a URL on the issuer's host")
	}
	return address, nil
}

// metadataURL puts the well-known name between host and path (RFC 8414 §3.1).
func (o *origin) metadataURL() *url.URL {
	address := *o.issuer
	address.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(o.issuer.Path, "/")
	address.RawPath = ""
	return &address
}

// get fetches a document of at most 1 MiB.
func (o *origin) get(ctx context.Context, address *url.URL) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := o.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("issuer answered %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, jwt.MaxJWKSetSize+1))
	if err != nil {
		return nil, err
	}
	if len(body) > jwt.MaxJWKSetSize {
		return nil, fmt.Errorf("document is longer than %d bytes", jwt.MaxJWKSetSize)
	}
	return body, nil
}
