package registry

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// AuditRecord is a record of the audit log.
type AuditRecord struct {
	Seq          int64
	At           time.Time
	Organisation id.Organisation // empty: the operator's
	Action       string
	Subject      string
	Actor        string // "person:…", "client:…" or "system:job"
	RequestID    string
	Address      string
	Content      json.RawMessage // {"edit": …, "before": …}; nil once erased
}

// AuditFilter limits a list of audit records. Empty fields do not.
type AuditFilter struct {
	Action  string // as a whole, or its first words: "client"
	Subject string
	Actor   string
	From    time.Time // not before this time
	Until   time.Time // before this time
}

const (
	auditColumns = `seq, at, organisation_id, action, subject, actor, request_id, address, content`
	auditMatches = ` AND seq < $2 AND $3 IN ('', subject) AND $4 IN ('', actor) AND substr(action || '.', 1, $6) = $5 AND at >= $7 AND CASE WHEN CAST($8 AS BIGINT) = 0 THEN TRUE ELSE at < $8 END
		ORDER BY seq DESC LIMIT $9`
)

func scanAuditRecord(row scanner) (a AuditRecord, err error) {
	var at int64
	var content []byte
	err = row.Scan(&a.Seq, &at, &a.Organisation, &a.Action, &a.Subject, &a.Actor, &a.RequestID, &a.Address, &content)
	a.At, a.Content = fromMicros(at), content
	return a, err
}

// AuditRecords lists the audit log of the actor's organisation, newest first;
// at operator level the whole one.
func (r *Registry) AuditRecords(ctx context.Context, by actor.Actor, filter AuditFilter, page Page) (list List[AuditRecord], err error) {
	if err := by.Require(actor.AuditRead, ""); err != nil {
		return list, err
	}
	l, err := r.list("audit", by, filter, page, beforeNewest)
	if err == nil {
		err = validFilter(filter.Action, filter.Subject, filter.Actor)
	}
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		var found []AuditRecord
		switch {
		case by.Organisation() == "":
			found, err = l.audit(ctx, tx, by, filter, `SELECT `+auditColumns+` FROM audit WHERE $1 = ''`+auditMatches+` -- any organisation: for the operator at operator level alone`)
		case filter.Subject != "": // by the index of subjects
			found, err = l.audit(ctx, tx, by, filter, `SELECT `+auditColumns+` FROM audit WHERE organisation_id = $1 AND subject = $3`+auditMatches)
		default:
			found, err = l.audit(ctx, tx, by, filter, `SELECT `+auditColumns+` FROM audit WHERE organisation_id = $1`+auditMatches)
		}
		list = pageOf(l, found, func(a *AuditRecord) position { return position{number: a.Seq} })
		return err
	})
	return list, err
}

func (l *listing) audit(ctx context.Context, tx *sqldb.Tx, by actor.Actor, filter AuditFilter, query string) ([]AuditRecord, error) {
	action := strings.TrimSuffix(filter.Action, ".")
	if action != "" {
		action += "." // no word is cut
	}
	return filteredRows(ctx, tx, scanAuditRecord, query, string(by.Organisation()), l.after.number, filter.Subject, filter.Actor,
		action, len(action), micros(filter.From), micros(filter.Until), l.fetch())
}
