package gateway

import "strings"

// dashboardCookie begins the names of the Dashboard's cookies.
const dashboardCookie = "__host-doorward"

// withoutDashboardCookies returns the Cookie headers without the Dashboard's:
// the very same slice when there are none.
func withoutDashboardCookies(headers []string) []string {
	found := false
	for _, header := range headers {
		found = found || mayHoldDashboards(header)
	}
	if !found {
		return headers
	}
	var kept []string
	for _, header := range headers {
		var cookies []string
		for cookie := range strings.SplitSeq(header, ";") {
			if cookie = strings.Trim(cookie, " \t"); cookie != "" && !isDashboards(cookie) {
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
	if isDashboards(strings.TrimLeft(cookie, " \t")) {
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

// isDashboards ignores case, as browsers do with prefixes of cookie names.
func isDashboards(cookie string) bool {
	return len(cookie) >= len(dashboardCookie) && strings.EqualFold(cookie[:len(dashboardCookie)], dashboardCookie)
}

func mayHoldDashboards(header string) bool {
	for i := range len(header) {
		if header[i] == dashboardCookie[0] && isDashboards(header[i:]) {
			return true
		}
	}
	return false
}
