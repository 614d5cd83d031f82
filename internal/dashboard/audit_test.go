package dashboard_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

// busy renames the sandbox that often.
func (s *site) busy(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		s.clock.add(time.Second)
		must(t, s.registry.Apply(t.Context(), s.system, registry.RenameAccount{Account: s.sandbox, Name: fmt.Sprint("Name ", i)}))
	}
}

// path is that of a link of the answer, by its words.
func (a answer) path(t testing.TB, words string) string {
	t.Helper()
	before, _, ok := strings.Cut(a.body, words)
	at := strings.LastIndex(before, `href="`)
	if !ok || at < 0 {
		t.Fatalf("there is no link %q: %s", words, a.text())
	}
	path, _, _ := strings.Cut(before[at+len(`href="`):], `"`)
	return strings.ReplaceAll(path, "&amp;", "&")
}

func TestTheAuditLogIsPagedThroughBothWays(t *testing.T) {
	s := newSite(t)
	s.busy(t, 130)
	v := s.as(t, emailOf(actor.Auditor)).proven()
	path := s.at("/o/{organisation}/audit?action=account.rename")
	first := v.get(path)
	first.wants(t, http.StatusOK, "50 records", "Action: account.rename")
	second := v.get(first.path(t, "Older"))
	third := v.get(second.path(t, "Older"))
	third.wants(t, http.StatusOK, "30 records")
	if strings.Contains(third.body, "Older") || strings.Contains(first.body, "Newer") {
		t.Error("there is something beyond an end of the log")
	}
	if back := v.get(third.path(t, "Newer")); back.text() != second.text() {
		t.Errorf("back is %q, want %q", back.text(), second.text())
	}
	if newest := v.follow(v.get(second.path(t, "Newer"))); newest.text() != first.text() {
		t.Errorf("the newest is %q, want %q", newest.text(), first.text())
	}
	for _, wrong := range []string{"action=account.rename&after=x", "newer=x", "action=member&" + strings.Split(first.path(t, "Older"), "account.rename&")[1]} {
		if a := v.get(s.at("/o/{organisation}/audit?" + wrong)); a.status != http.StatusSeeOther || strings.Contains(a.header.Get("Location"), "after") {
			t.Errorf("TEN-06: %q has status %d", wrong, a.status)
		}
	}
}

func TestTheAuditLogIsFilteredByWhoWhatAndWhen(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	v.post(s.at("/a/{account}/settings"), "name", "Shown")
	path := s.at("/o/{organisation}/audit?")
	for query, says := range map[string]string{
		"actor=organisation_admin@a.example&action=account":                                                 "1 record",
		"actor=organisation+ADMIN&action=account.rename":                                                    "1 record",
		"actor=" + string(s.personOf(t, emailOf(actor.OrganisationAdmin))) + "&object=" + string(s.sandbox): "1 record",
		"actor=viewer@a.example":                                 "No record fits these filters.",
		"object=viewer@a.example&action=member":                  "1 record",
		"action=account.ren":                                     "No record fits these filters.",
		"from=2026-02-28&until=2026-02-28&action=account.rename": "1 record",
		"until=2026-02-27":                                       "No record fits these filters.",
		"from=2026-03-01":                                        "No record fits these filters.",
	} {
		t.Run(query, func(t *testing.T) { v.get(path+query).wants(t, http.StatusOK, says) })
	}
	v.get(path+"from=28.2.2026").wants(t, http.StatusUnprocessableEntity, "The day in from is written like 2026-02-28.")
	v.get(path+"actor="+strings.Repeat("x", 300)).wants(t, http.StatusUnprocessableEntity)
}

func TestARecordShowsWhatWasBeforeAndWhatCame(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	v.post(s.at("/a/{account}/settings"), "name", "<b>Shown</b>")
	v.get(v.get(s.at("/o/{organisation}/audit?action=account.rename")).path(t, "<code>account.rename")).wants(t, http.StatusOK,
		"Removed: Try-out name", "Added: <b>Shown</b> name", "From 192.0.2.7", "Request id", "Organisation admin")
	v.post(s.at("/o/{organisation}/team/{person}"), "role", "viewer", "new_role", "developer", "new_account", string(s.sandbox))
	v.get(v.get(s.at("/o/{organisation}/audit?action=member.roles")).path(t, "<code>member.roles")).wants(t, http.StatusOK, "Added: Developer on <b>Shown</b> roles")
	held, create := "echo.call", "auth.sessions.create"
	for _, edit := range []registry.Edit{
		registry.AddPermissions{Client: s.client, Permissions: []string{held, create}}, registry.RemovePermissions{Client: s.client, Permissions: []string{held, "auth.unknown"}},
	} {
		if err := s.registry.Apply(t.Context(), s.system, edit); err != nil {
			t.Fatal(err)
		}
	}
	for verb, word := range map[string]string{"add": "Added: " + create + " permissions", "remove": "Removed: " + held + " permissions"} {
		record := v.get(v.get(s.at("/o/{organisation}/audit?action=client.permissions."+verb)).path(t, "<code>client.permissions."+verb))
		record.wants(t, http.StatusOK, word)
		if text := record.text(); strings.Contains(text, "Added: "+held) || strings.Contains(text, "Removed: "+create) || strings.Contains(text, "unknown permissions") {
			t.Errorf("%s shows what did not change: %s", verb, text)
		}
	}
	viewer := s.as(t, emailOf(actor.Viewer)).proven()
	viewer.post(s.at("/a/{account}/settings"), "name", "Mine")
	refused := v.get(s.at("/o/{organisation}/audit?action=refusal"))
	refused.wants(t, http.StatusOK, "account.rename", "Refused")
	v.get(refused.path(t, "<code>account.rename")).wants(t, http.StatusOK, "Nothing was changed", "you need the ability account.write")
}

func TestAUD10_recordsOfOthersAreNotFound(t *testing.T) {
	s := newSite(t)
	list, err := s.registry.AuditRecords(t.Context(), actor.NewSystem("test").In(s.other), registry.AuditFilter{}, registry.Page{Limit: 1})
	must(t, err)
	v := s.as(t, emailOf(actor.Auditor)).proven()
	for _, key := range []string{fmt.Sprint(list.Items[0].Seq), "999999", "x", "9999999999999999999999"} {
		v.get(s.at("/o/{organisation}/audit/"+key)).wants(t, http.StatusNotFound)
	}
	if a := v.get(s.at("/o/{organisation}/audit/export")); strings.Contains(a.body, string(s.other)) || !strings.Contains(a.body, string(s.organisation)) {
		t.Error("the export is not of the organisation alone")
	}
}

func TestTheAuditLogIsExportedWhole(t *testing.T) {
	s := newSite(t)
	s.busy(t, 205) // pages of 200
	must(t, s.registry.Apply(t.Context(), s.system, registry.RenameAccount{Account: s.sandbox, Name: "\u202eturned, \"quoted\""}))
	v := s.as(t, emailOf(actor.Auditor)).proven()
	a := v.get(s.at("/o/{organisation}/audit/export?action=account.rename"))
	if got := a.header.Get("Content-Disposition"); a.status != http.StatusOK || got != `attachment; filename="audit-`+string(s.organisation)+`-2026-02-28.ndjson"` {
		t.Errorf("status %d, %q", a.status, got)
	}
	lines := strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
	if len(lines) != 206 {
		t.Fatalf("%d lines, want 206", len(lines))
	}
	for _, line := range lines {
		var record management.AuditRecord
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&record); err != nil || record.Action != "account.rename" || record.Content == nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if !strings.Contains(lines[0], `\u202eturned`) || strings.Contains(lines[0], "\u202e") {
		t.Errorf("AUD-06: %q", lines[0])
	}
	file := v.get(s.at("/o/{organisation}/audit/export?format=csv&action=account.rename")).body
	rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil || len(rows) != 207 || strings.Count(file, "\r\n") != 207 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if rows[0][3] != "action" || rows[1][3] != "account.rename" || !json.Valid([]byte(rows[1][8])) {
		t.Errorf("%q\n%q", rows[0], rows[1])
	}
}

func TestThePageSaysWhetherTheChainIsWhole(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Auditor)).proven()
	path := s.at("/o/{organisation}/audit")
	v.get(path).wants(t, http.StatusOK, "has not been verified")
	s.chain = journal.ChainState{At: s.clock.Now().Add(-time.Hour), Length: 9}
	v.get(path).wants(t, http.StatusOK, "Chain is whole", "1 hour ago")
	s.chain.Broken = 7
	v.get(path).wants(t, http.StatusOK, "Record 7 does not fit the chain of records")
}

func TestWEB16_aCellOfAnExportIsNoFormula(t *testing.T) {
	for _, cell := range []string{"=1+1", "+1", "-1", "@sum", "\t=1", "\r=1"} {
		if got := dashboard.Inert(cell); got != "'"+cell {
			t.Errorf("%q becomes %q", cell, got)
		}
	}
	for _, cell := range []string{"", "account.rename", "{\"a\":\"=1\"}", "a=1"} {
		if got := dashboard.Inert(cell); got != cell {
			t.Errorf("twin: %q becomes %q", cell, got)
		}
	}
}
