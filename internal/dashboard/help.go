package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
)

const callExample = `HTTP/1.1 403 Forbidden
Content-Type: application/problem+json
WWW-Authenticate: Bearer realm="doorward", error="insufficient_scope", …

{
  "type": "https://…/help/errors#permission_missing",
  "title": "Permission missing",
  "status": 403,
  "code": "permission_missing",
  "detail": "This call needs auth.sessions.read; …",
  "traceId": "4bf92f3577b34da6a3ce929d0e0e4736"
}`

const tokenExample = `HTTP/1.1 401 Unauthorized
Content-Type: application/json
WWW-Authenticate: Basic realm="doorward"

{
  "error": "invalid_client",
  "error_description": "…",
  "error_uri": "https://…/help/errors#invalid_client"
}`

// helpErrors is the page of error codes: one place per code, at the anchor
// that problem documents and error_uri point to.
func (d *dashboard) helpErrors(x *exchange) error {
	return x.show(http.StatusOK, view.HelpErrors(x.page("Error codes"), errorSections()))
}

func errorSections() []view.ErrorSection {
	taken := map[string]bool{}
	return []view.ErrorSection{
		{
			Anchor:  "calls",
			Title:   "API calls",
			Intro:   "The gateway and the management API answer with a problem document (RFC 9457). Decide by status and code; detail is for people and may change. Quote traceId when you ask for help.",
			Example: callExample,
			Entries: errorEntries(fault.Entries(), taken),
		},
		{
			Anchor:  "token-endpoint",
			Title:   "Token endpoint",
			Intro:   "The token endpoint answers as OAuth 2.0 says (RFC 6749, section 5.2). The code is in error.",
			Example: tokenExample,
			Entries: errorEntries(fault.OAuthEntries(), taken),
		},
	}
}

// help is where the help begins.
func (d *dashboard) help(x *exchange) error {
	return x.show(http.StatusOK, view.Help(x.page("Help")))
}

func (d *dashboard) helpKeys(x *exchange) error {
	return x.show(http.StatusOK, view.HelpKeys(x.page("Keys")))
}

// errorEntries takes anchors; a code that already has one in an earlier section
// gets another, because an id may stand once on a page.
func errorEntries(rows []fault.Entry, taken map[string]bool) []view.ErrorEntry {
	entries := make([]view.ErrorEntry, len(rows))
	for i, row := range rows {
		anchor := string(row.Code)
		if taken[anchor] {
			anchor = "token-" + anchor
		}
		taken[anchor] = true
		entries[i] = view.ErrorEntry{
			Anchor:    anchor,
			Code:      string(row.Code),
			Status:    row.Status,
			Title:     row.Title,
			Cause:     row.Cause,
			Remedy:    row.Remedy,
			Challenge: row.WWWAuthenticate("...", "<permission>"),
		}
	}
	return entries
}
