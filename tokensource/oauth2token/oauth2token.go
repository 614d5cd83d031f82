// Package oauth2token gives the tokens of package tokensource to programs that
// take an oauth2.TokenSource of golang.org/x/oauth2.
package oauth2token

import (
	"context"
	"time"

	"golang.org/x/oauth2"

	"github.com/doorward/doorward/tokensource"
)

// New adapts the source. Its tokens have their expiry. By the interface's design
// Token takes no context: it waits no longer than the source's time-out. Do not
// wrap it in oauth2.ReuseTokenSource, which would serve tokens after the source
// has dropped them.
func New(source *tokensource.Source) oauth2.TokenSource { return adapter{source} }

type adapter struct{ source *tokensource.Source }

// Token is a token that is good for a while yet.
func (a adapter) Token() (*oauth2.Token, error) {
	token, err := a.source.Details(context.Background())
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{
		AccessToken: token.Value, TokenType: "Bearer", Expiry: time.Now().Add(token.Left), ExpiresIn: int64(token.Left / time.Second),
	}, nil
}
