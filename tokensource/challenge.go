package tokensource

import (
	"net/http"
	"strings"
)

// refusesToken tells whether the answer is 401 with a Bearer challenge that says
// error="invalid_token" (RFC 6750 §3.1). Nothing else is mended by a new token.
func refusesToken(response *http.Response) bool {
	if response.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, field := range response.Header.Values("WWW-Authenticate") {
		if isInvalidToken(field) {
			return true
		}
	}
	return false
}

// isInvalidToken reads one field, which may hold several challenges
// (RFC 9110 §11.6.1): a list of parameters, some of which a scheme precedes.
func isInvalidToken(field string) bool {
	scheme := ""
	for item := range listItems(field) {
		name, value, isParameter := strings.Cut(item, "=")
		name = strings.TrimSpace(name)
		if first, rest, found := strings.Cut(name, " "); found || !isParameter {
			scheme, name = first, strings.TrimSpace(rest)
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if strings.EqualFold(scheme, "Bearer") && strings.EqualFold(name, "error") && value == "invalid_token" {
			return true
		}
	}
	return false
}

// listItems yields what stands between the commas outside quoted strings.
func listItems(field string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(field); i++ {
			switch {
			case quoted && field[i] == '\\':
				i++
			case field[i] == '"':
				quoted = !quoted
			case field[i] == ',' && !quoted:
				if !yield(strings.TrimSpace(field[start:i])) {
					return
				}
				start = i + 1
			}
		}
		yield(strings.TrimSpace(field[start:]))
	}
}
