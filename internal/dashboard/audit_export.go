package dashboard

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

const (
	maxExports     = 4                // at one time
	exportPatience = 30 * time.Second // with a reader who takes nothing
)

// auditLine is a record in an export, as the management API writes it.
type auditLine struct {
	Seq          int64           `json:"seq"`
	At           time.Time       `json:"at"`
	Organisation string          `json:"organisation_id,omitempty"`
	Action       string          `json:"action"`
	Subject      string          `json:"subject"`
	Actor        string          `json:"actor"`
	RequestID    string          `json:"request_id,omitempty"`
	Address      string          `json:"address,omitempty"`
	Content      json.RawMessage `json:"content,omitempty"`
}

// exportAudit streams the records that the filters find, newest first, page by
// page: however many there are, it holds one page.
func (d *dashboard) exportAudit(x *exchange) error {
	select {
	case d.exports <- struct{}{}:
		defer func() { <-d.exports }()
	default:
		return &fault.Error{Kind: fault.RateLimited, Code: fault.TooManyRequests, Message: "other exports are running: try again in a minute", RetryAfter: time.Minute}
	}
	query := x.URL.Query()
	people, err := x.people()
	if err != nil {
		return err
	}
	filter, err := people.filter(query)
	if err != nil {
		return err
	}
	page := registry.Page{Limit: registry.MaxPageSize}
	list, err := d.Registry.AuditRecords(x.Context(), x.by, filter, page)
	if err != nil {
		return err
	}
	write := x.beginExport(query)
	for {
		if err := write(list.Items); err != nil {
			panic(http.ErrAbortHandler) // the reader must see that the file is not whole
		}
		if page.After = list.Next; page.After == "" {
			return nil
		}
		if list, err = d.Registry.AuditRecords(x.Context(), x.by, filter, page); err != nil {
			d.Log.Error("an export of the audit log ended early", "request_id", x.requestID, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// beginExport writes the head of a file and returns what writes its records.
func (x *exchange) beginExport(query url.Values) func([]registry.AuditRecord) error {
	format, kind := "ndjson", "application/x-ndjson"
	if query.Get("format") == "csv" {
		format, kind = "csv", "text/csv; charset=utf-8; header=present"
	}
	h := x.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%s-%s.%s"`, titleOf(string(x.organisation.ID), "operator"), x.d.Now().UTC().Format(time.DateOnly), format))
	control := http.NewResponseController(x.w)
	if x.Method == http.MethodHead {
		return func([]registry.AuditRecord) error { return nil }
	}
	write := writeNDJSON
	if format == "csv" {
		write = writeCSV
		_, _ = io.WriteString(x.w, strings.Join(auditColumns, ",")+"\r\n")
	}
	return func(records []registry.AuditRecord) error {
		_ = control.SetWriteDeadline(time.Now().Add(exportPatience)) // where there is none, nobody waits
		if err := write(x.w, records); err != nil {
			return err
		}
		_ = control.Flush()
		return nil
	}
}

var auditColumns = []string{"seq", "at", "organisation_id", "action", "subject", "actor", "request_id", "address", "content"}

func writeNDJSON(w io.Writer, records []registry.AuditRecord) error {
	out := json.NewEncoder(w)
	for _, a := range records {
		line := auditLine{a.Seq, a.At, string(a.Organisation), a.Action, a.Subject, a.Actor, a.RequestID, a.Address, visible(a.Content)}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// writeCSV writes rows (RFC 4180).
func writeCSV(w io.Writer, records []registry.AuditRecord) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	for _, a := range records {
		row := []string{strconv.FormatInt(a.Seq, 10), a.At.Format(time.RFC3339Nano), string(a.Organisation), a.Action, a.Subject, a.Actor, a.RequestID, a.Address, string(visible(a.Content))}
		for i := range row {
			row[i] = inert(row[i])
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// inert keeps a spreadsheet from taking a text for a formula (WEB-16).
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// visible writes JSON with every character that nobody sees as its number, so
// that a name neither begins a line nor turns the reading order (AUD-06).
func visible(content json.RawMessage) json.RawMessage {
	if strings.IndexFunc(string(content), unseen) < 0 {
		return content
	}
	var out strings.Builder
	for _, r := range string(content) {
		if !unseen(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return json.RawMessage(out.String())
}

func unseen(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
