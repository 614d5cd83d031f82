package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
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

// The records of a page are found in an index that holds all that is filtered
// by, and only then read.
const (
	auditColumns    = `seq, at, organisation_id, action, subject, actor, request_id, address, content`
	auditOf         = `SELECT ` + auditColumns + ` FROM audit WHERE organisation_id = $1 AND seq IN (SELECT seq FROM audit WHERE organisation_id = $1`
	auditOfSubject  = auditOf + ` AND subject = $3` // by the index of subjects
	auditOfActor    = auditOf + ` AND actor = $4`   // by the index of actors
	auditOfOperator = `SELECT ` + auditColumns + ` FROM audit WHERE $1 = '' AND seq IN (SELECT seq FROM audit WHERE $1 = ''`
	auditOfThing    = auditOfOperator + ` AND subject = $3`
	auditOfAnyone   = auditOfOperator + ` AND actor = $4`
	auditMatches    = ` AND at >= $7 AND CASE WHEN CAST($8 AS BIGINT) = 0 THEN TRUE ELSE at < $8 END AND $3 IN ('', subject) AND $4 IN ('', actor) AND CASE WHEN $5 = '' THEN TRUE ELSE substr(action || '.', 1, $6) = $5 END`
	auditOlder      = ` AND seq < $2` + auditMatches + ` ORDER BY seq DESC LIMIT $9) ORDER BY seq DESC`
	auditNewer      = ` AND seq > $2` + auditMatches + ` ORDER BY seq LIMIT $9) ORDER BY seq DESC`
	auditForAll     = ` -- any organisation: for the operator at operator level alone`
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
	l, err := r.audit(by, filter, page)
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		var found []AuditRecord
		switch operator := by.Organisation() == ""; {
		case operator && filter.Subject != "":
			found, err = l.audit(ctx, tx, by, filter, auditOfThing+auditOlder+auditForAll)
		case operator && filter.Actor != "":
			found, err = l.audit(ctx, tx, by, filter, auditOfAnyone+auditOlder+auditForAll)
		case operator:
			found, err = l.audit(ctx, tx, by, filter, auditOfOperator+auditOlder+auditForAll)
		case filter.Subject != "":
			found, err = l.audit(ctx, tx, by, filter, auditOfSubject+auditOlder)
		case filter.Actor != "":
			found, err = l.audit(ctx, tx, by, filter, auditOfActor+auditOlder)
		default:
			found, err = l.audit(ctx, tx, by, filter, auditOf+auditOlder)
		}
		list = pageOf(l, found, auditPosition)
		return err
	})
	return list, err
}

// NewerAuditRecords lists, newest first, the records that come right before the
// one of number than in that list, at most as many as the limit. more says that
// there are newer ones.
func (r *Registry) NewerAuditRecords(ctx context.Context, by actor.Actor, filter AuditFilter, than int64, limit int) (list List[AuditRecord], more bool, err error) {
	l, err := r.audit(by, filter, Page{Limit: limit})
	if err != nil {
		return list, false, err
	}
	l.after.number = than
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		switch operator := by.Organisation() == ""; {
		case operator && filter.Subject != "":
			list.Items, err = l.audit(ctx, tx, by, filter, auditOfThing+auditNewer+auditForAll)
		case operator && filter.Actor != "":
			list.Items, err = l.audit(ctx, tx, by, filter, auditOfAnyone+auditNewer+auditForAll)
		case operator:
			list.Items, err = l.audit(ctx, tx, by, filter, auditOfOperator+auditNewer+auditForAll)
		case filter.Subject != "":
			list.Items, err = l.audit(ctx, tx, by, filter, auditOfSubject+auditNewer)
		case filter.Actor != "":
			list.Items, err = l.audit(ctx, tx, by, filter, auditOfActor+auditNewer)
		default:
			list.Items, err = l.audit(ctx, tx, by, filter, auditOf+auditNewer)
		}
		return err
	})
	if more = len(list.Items) > l.limit; more {
		list.Items = list.Items[1:]
	}
	if n := len(list.Items); n > 0 {
		list.Next = l.cursor(auditPosition(&list.Items[n-1]))
	}
	return list, more, err
}

// AuditRecord returns one record of the actor's organisation; at operator level
// of any.
func (r *Registry) AuditRecord(ctx context.Context, by actor.Actor, seq int64) (a AuditRecord, err error) {
	if err := by.Require(actor.AuditRead, ""); err != nil {
		return a, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		a, err = scanAuditRecord(tx.QueryRow(ctx, `SELECT `+auditColumns+` FROM audit WHERE $1 IN ('', organisation_id) AND seq = $2 -- any organisation: for the operator at operator level alone`, string(by.Organisation()), seq))
		return notFound(err, "audit record", seq)
	})
	return a, err
}

// LastMade returns when an action was last made on a subject of the actor's
// organisation, and by whom; a zero time if never. It is for those who have been
// shown the subject, whether or not they may read the log.
func (r *Registry) LastMade(ctx context.Context, by actor.Actor, action, subject string) (at time.Time, who string, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		var micros int64
		err := tx.QueryRow(ctx, `SELECT at, actor FROM audit WHERE organisation_id = $1 AND subject = $2 AND action = $3 ORDER BY seq DESC LIMIT 1`,
			string(by.Organisation()), subject, action).Scan(&micros, &who)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		at = fromMicros(micros)
		return err
	})
	return at, who, err
}

func auditPosition(a *AuditRecord) position { return position{number: a.Seq} }

// audit begins a list of audit records for an actor who may see it.
func (r *Registry) audit(by actor.Actor, filter AuditFilter, page Page) (*listing, error) {
	if err := by.Require(actor.AuditRead, ""); err != nil {
		return nil, err
	}
	if err := validFilter(filter.Action, filter.Subject, filter.Actor); err != nil {
		return nil, err
	}
	return r.list("audit", by, filter, page, beforeNewest)
}

func (l *listing) audit(ctx context.Context, tx *sqldb.Tx, by actor.Actor, filter AuditFilter, query string) ([]AuditRecord, error) {
	action := strings.TrimSuffix(filter.Action, ".")
	if action != "" {
		action += "." // no word is cut
	}
	return filteredRows(ctx, tx, scanAuditRecord, query, string(by.Organisation()), l.after.number, filter.Subject, filter.Actor,
		action, len(action), micros(filter.From), micros(filter.Until), l.fetch())
}
