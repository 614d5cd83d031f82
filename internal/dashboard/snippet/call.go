package snippet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Call is the call to write. TokenURL, APIURL, ClientID and Path are required.
type Call struct {
	TokenURL  string
	APIURL    string // of the API domain, with or without a slash at the end
	ClientID  string // visible ASCII
	AccountID string // "": the call names no account, and acts on the token's

	// AccountParameter is the query parameter that names the account; "" =
	// signicat-accountId.
	AccountParameter string

	Method string // "" = GET, or POST if there is a body; "*" of a route counts as ""
	Path   string // with the product's prefix, escaped, perhaps with a query; {id} of a route becomes ID
	Body   string // JSON; "" = none
}

// ready is a checked call, as the templates use it.
type ready struct {
	Call
	Target string // URL of the call
	rest   string // of Target, behind the API domain
}

var (
	methodToken = regexp.MustCompile(`^[A-Z]+$`)
	placeholder = regexp.MustCompile(`\{([A-Za-z0-9_]*)(\.\.\.)?\}`)
)

func (c Call) ready() (ready, error) {
	if c.Method == "" || c.Method == "*" {
		c.Method = map[bool]string{true: "GET", false: "POST"}[c.Body == ""]
	}
	if !methodToken.MatchString(c.Method) {
		return ready{}, fmt.Errorf("method %q is not one of HTTP", c.Method)
	}
	for _, address := range []string{c.TokenURL, c.APIURL} {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return ready{}, fmt.Errorf("%q is not a URL with a host", address)
		}
	}
	if !visible(c.ClientID) {
		return ready{}, errors.New("the client id is missing or not visible ASCII")
	}
	rest, err := c.rest()
	if err != nil {
		return ready{}, err
	}
	c.APIURL = strings.TrimSuffix(c.APIURL, "/")
	c.Body, err = compact(c.Body)
	return ready{Call: c, Target: c.APIURL + rest, rest: rest}, err
}

// Blanks are the words in the written call in whose place the reader puts a
// value: ID for {id} of a route. Nil: it runs as it is.
func (c Call) Blanks() (words []string) {
	path, _, _ := strings.Cut(c.Path, "?")
	for _, name := range placeholder.FindAllString(path, -1) {
		words = append(words, blank(name))
	}
	return words
}

func blank(name string) string { return strings.ToUpper(strings.Trim(name, "{.}")) }

// rest is path and query of the call; the account stands last in the query.
func (c Call) rest() (string, error) {
	path, query, _ := strings.Cut(c.Path, "?")
	path = placeholder.ReplaceAllStringFunc(path, blank)
	u, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("path %q is not a path of a URL", c.Path)
	}
	if c.AccountID != "" {
		parameter := c.AccountParameter
		if parameter == "" {
			parameter = "signicat-accountId"
		}
		account := url.QueryEscape(parameter) + "=" + url.QueryEscape(c.AccountID)
		query = strings.TrimPrefix(query+"&"+account, "&")
	}
	if !visible("-" + query) {
		return "", fmt.Errorf("the query of the path %q is not escaped", c.Path)
	}
	if query != "" {
		query = "?" + templating.Replace(query)
	}
	return u.EscapedPath() + query, nil
}

// templating escapes what a URL should not hold and what curl and Postman take
// for templates.
var templating = strings.NewReplacer("{", "%7B", "}", "%7D", "[", "%5B", "]", "%5D")

// compact is the body on one line.
func compact(body string) (string, error) {
	if body == "" {
		return "", nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(body)); err != nil || !utf8.ValidString(body) {
		return "", errors.New("the body is not JSON in UTF-8")
	}
	return b.String(), nil
}

// visible tells whether text is visible ASCII.
func visible(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
