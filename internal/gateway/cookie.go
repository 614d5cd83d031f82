package gateway

import "strings"

// dashboardCookie begins the names of the Dashboard's cookies.
const dashboardCookie = "__host-doorward"

// withoutDashboardCookies returns the Cookie headers without the Dashboard's:
// the very same slice when there are none.
func withoutDashboardCookies(headers []string) []string {
	found := false
	for _, header := range headers {
		found = found || containsFold(header, dashboardCookie)
	}
	if !found {
		return headers
	}
	var kept []string
	for _, header := range headers {
		var cookies []string
		for cookie := range strings.SplitSeq(header, ";") {
			if cookie = strings.Trim(cookie, " \t"); cookie != "" && !hasPrefixFold(cookie, dashboardCookie) {
				cookies = append(cookies, cookie)
			}
		}
		if len(cookies) > 0 {
			kept = append(kept, strings.Join(cookies, "; "))
		}
	}
	return kept
}

// keepCookie is the rule for Set-Cookie of an upstream: a product may set
// cookies of the API host, for itself; one with a Domain attribute would reach
// other hosts of ours, such as the Dashboard's, and one with the name of a
// Dashboard cookie could pass for it.
func keepCookie(header string) bool {
	cookie, attributes, _ := strings.Cut(header, ";")
	if hasPrefixFold(strings.TrimLeft(cookie, " \t"), dashboardCookie) {
		return false
	}
	for attribute := range strings.SplitSeq(attributes, ";") {
		name, _, _ := strings.Cut(attribute, "=")
		if strings.EqualFold(strings.TrimSpace(name), "domain") {
			return false
		}
	}
	return true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func containsFold(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i] == part[0] && strings.EqualFold(s[i:i+len(part)], part) {
			return true
		}
	}
	return false
}
