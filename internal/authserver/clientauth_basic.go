package authserver

import (
	"encoding/base64"
	"strings"
)

// maxAuthorization is the longest Authorization header, in bytes.
const maxAuthorization = 8 << 10

func clientSecretBasic() clientMethod {
	return clientMethod{name: "client_secret_basic", read: readBasic}
}

// readBasic takes the credentials of the Authorization header. A header that
// cannot be read, and each further one, is a wrong credential.
func readBasic(x *exchange) (c credentials, present bool) {
	headers := x.r.Header["Authorization"]
	if len(headers) == 1 {
		c, _ = parseBasic(headers[0])
	}
	return c, len(headers) > 0
}

// parseBasic reads "Basic base64(form(id):form(secret))" (RFC 6749 §2.3.1, RFC
// 7617 §2). The halves part at the first colon and are decoded after that, so
// that an encoded colon belongs to its half. Ids and secrets have an alphabet
// that form-encoding leaves as it is, so halves sent raw read the same.
func parseBasic(header string) (c credentials, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if len(header) > maxAuthorization || !strings.EqualFold(scheme, "Basic") {
		return credentials{}, false
	}
	var room [256]byte // usually enough
	text, err := base64.StdEncoding.Strict().AppendDecode(room[:0], []byte(strings.TrimLeft(encoded, " ")))
	if err != nil || strings.ContainsAny(encoded, "\r\n") { // Go's decoder skips line breaks
		return credentials{}, false
	}
	id, secret, found := strings.Cut(string(text), ":")
	if !found {
		return credentials{}, false
	}
	id, goodID := unescape(id)
	secret, goodSecret := unescape(secret)
	if !goodID || !goodSecret || id == "" {
		return credentials{}, false
	}
	return credentials{id, secret}, true
}
