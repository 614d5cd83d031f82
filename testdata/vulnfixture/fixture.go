// Package vulnfixture calls a function that testdata/vulndb lists, in a version
// that has the fault: `make vuln` must report it. Nothing imports this module.
package vulnfixture

import "github.com/golang-jwt/jwt/v5"

// Subject reads a token that nobody verified.
func Subject(token string) (string, error) {
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		return "", err
	}
	return parsed.Claims.GetSubject()
}
