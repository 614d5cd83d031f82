package resourceserver

import (
	"net/http"
	"net/url"
)

// Account is middleware behind Handler that holds the account which a call names
// in a query parameter (signicat-accountId, unless the operator renamed it) against
// the token's: another one is refused with 403. A call that names none is about
// the token's own account. A token without an account (of an organisation or of
// the operator) may name none, because whose an account is only the gateway knows.
func (g *Guard) Account(parameter string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := checkAccount(r, parameter); err != nil {
				Challenge(w, g.audience, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func checkAccount(r *http.Request, parameter string) error {
	token, ok := FromContext(r.Context())
	if !ok { // not behind Handler: a mistake of the program, and no reason to let calls through
		return &Error{Status: http.StatusUnauthorized, Description: "this call needs an access token"}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query[parameter]) > 1 {
		return invalidRequest("name the account once, as " + parameter + "=…")
	}
	if !query.Has(parameter) || token.AccountID != "" && query.Get(parameter) == token.AccountID {
		return nil
	}
	return &Error{Status: http.StatusForbidden, Description: "this call names an account that is not the token's"}
}
