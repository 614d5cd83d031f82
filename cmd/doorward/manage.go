package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// manager calls the management API as the client of a profile.
type manager struct {
	profile  profile
	client   http.Client
	patience *patience
}

func newManager(cmd *cobra.Command, profileName string) (*manager, error) {
	p, err := readProfile(profileName)
	if err != nil {
		return nil, err
	}
	source, err := p.source()
	if err != nil {
		return nil, err
	}
	m := &manager{profile: p, patience: &patience{next: source.Transport(http.DefaultTransport), to: cmd.ErrOrStderr(), what: "waiting for " + p.ManagementURL}}
	m.client = http.Client{Transport: m.patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return m, nil
}

// ask is a request to the management API.
type ask struct {
	method, path string // beneath the product's prefix, escaped
	query        url.Values
	body         any // nil: none
	header       http.Header
}

// longestAnswer bounds what is read: a page of 200 products can be large.
const longestAnswer = 256 << 20

// do sends a request, and returns the body of an answer that is no refusal,
// and its entity tag.
func (m *manager) do(ctx context.Context, a ask) (text []byte, etag string, err error) {
	var body io.Reader
	if a.body != nil {
		text, err := json.Marshal(a.body)
		if err != nil {
			return nil, "", err
		}
		body = bytes.NewReader(text)
	}
	address := m.profile.ManagementURL + "/management/v1" + a.path
	if len(a.query) > 0 {
		address += "?" + a.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, a.method, address, body)
	if err != nil {
		return nil, "", usageError{err}
	}
	for name, values := range a.header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", "doorward-cli/"+version())
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := m.client.Do(request)
	if err != nil {
		return nil, "", tokenAdvice(err, &m.profile)
	}
	defer func() { _ = answer.Body.Close() }()
	if text, err = io.ReadAll(io.LimitReader(answer.Body, longestAnswer)); err != nil {
		return nil, "", fmt.Errorf("the answer of %s broke off: %w", request.URL.Host, err)
	}
	if answer.StatusCode >= 300 {
		return nil, "", problemOf(answer, text)
	}
	return text, answer.Header.Get("ETag"), nil
}

// page is one of a list.
type page struct {
	Items []json.RawMessage
	Next  string
}

// pages reads a list to its end, or until limit items; 0 is all of them. items
// names the member of the answer that holds them.
func (m *manager) pages(ctx context.Context, a ask, items string, limit int, each func([]json.RawMessage) error) error {
	query := url.Values{}
	for name, values := range a.query {
		query[name] = values
	}
	a.query = query
	for read := 0; ; {
		if limit > 0 && a.query.Has("limit") {
			a.query.Set("limit", fmt.Sprint(min(largestPage, limit-read)))
		}
		text, _, err := m.do(ctx, a)
		if err != nil {
			return err
		}
		p, err := readPage(text, items)
		if err != nil {
			return err
		}
		if limit > 0 && len(p.Items) > limit-read {
			p.Items = p.Items[:limit-read]
		}
		if err := each(p.Items); err != nil {
			return err
		}
		if read += len(p.Items); p.Next == "" || limit > 0 && read >= limit {
			return nil
		}
		a.query.Set("cursor", p.Next)
	}
}

const largestPage = 200

func readPage(text []byte, items string) (p page, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return p, fmt.Errorf("the answer is no list: %w", err)
	}
	if err := json.Unmarshal(members[items], &p.Items); err != nil {
		return p, fmt.Errorf("the answer has no %s: %w", items, err)
	}
	if next, ok := members["next"]; ok {
		err = json.Unmarshal(next, &p.Next)
	}
	return p, err
}

// idempotencyKey lets a request that broke off be sent again.
func idempotencyKey() http.Header {
	return http.Header{"Idempotency-Key": {rand.Text()}}
}
