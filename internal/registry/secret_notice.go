package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/sqldb"
)

// People are told so many days before a secret ends, and when it has ended, once
// each. A notice before which the secret was not there yet is left out.
const (
	FirstNotice  = 14
	SecondNotice = 3
)

const (
	noticeLate  = 3 * 24 * time.Hour // after an end, it is told no more
	noticeBatch = 200                // secrets of one transaction
	noticeKept  = 30 * 24 * time.Hour
)

// endingSecret is a secret of which people are to be told, and the notice.
type endingSecret struct {
	Secret
	ends         time.Time
	days         int64
	client       string // its name
	organisation id.Organisation
	account      id.Account
	contact      id.Person
}

// MailEndingSecrets tells people of the secrets that end soon: the client's
// contact, else the developers there, else whoever may add a secret. Each gets
// one mail about all of theirs.
func (r *Registry) MailEndingSecrets(ctx context.Context) error {
	for {
		var due []endingSecret
		err := r.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
			due, err = r.endingSecrets(ctx, tx)
			return err
		})
		if err != nil || len(due) == 0 {
			return err
		}
		err = r.DB.Write(ctx, func(tx *sqldb.Tx) error { return r.tellOfSecrets(ctx, tx, due) })
		if err != nil || len(due) < noticeBatch {
			return err
		}
	}
}

func (r *Registry) endingSecrets(ctx context.Context, tx *sqldb.Tx) ([]endingSecret, error) {
	now := r.Now()
	return rowsOf(ctx, tx, scanEndingSecret, `SELECT `+secretColumns+`, ends, days, client_name, organisation_id, account_id, contact FROM (
		SELECT s.*, `+secretEnd+` AS ends, CASE WHEN `+secretEnd+` <= $1 THEN 0 WHEN `+secretEnd+` <= $2 THEN CAST($7 AS BIGINT) ELSE CAST($8 AS BIGINT) END AS days, c.name AS client_name, c.account_id, c.contact
		FROM client_secret s JOIN client c ON c.id = s.client_id LEFT JOIN organisation o ON o.id = c.organisation_id
		WHERE s.state IN ('active', 'retiring') AND `+secretEnd+` BETWEEN $3 AND $4 AND c.state = 'enabled' AND COALESCE(o.state, 'active') = 'active') s
		WHERE created_at <= ends - days * CAST($5 AS BIGINT) AND NOT EXISTS (SELECT 1 FROM secret_notice n WHERE n.secret_id = s.id AND n.days <= s.days)
		ORDER BY ends, id LIMIT $6 -- any organisation: one job tells everybody`,
		now.UnixMicro(), now.AddDate(0, 0, SecondNotice).UnixMicro(), now.Add(-noticeLate).UnixMicro(), now.AddDate(0, 0, FirstNotice).UnixMicro(),
		(24 * time.Hour).Microseconds(), noticeBatch, SecondNotice, FirstNotice)
}

func scanEndingSecret(row scanner) (e endingSecret, err error) {
	var ends int64
	e.Secret, err = scanSecretAnd(row, &ends, &e.days, &e.client, &e.organisation, &e.account, &e.contact)
	e.ends = fromMicros(ends)
	return e, err
}

// tellOfSecrets mails people about secrets of which no other node told them.
func (r *Registry) tellOfSecrets(ctx context.Context, tx *sqldb.Tx, due []endingSecret) error {
	told := map[Email][]mail.EndingSecret{}
	people := map[id.Organisation][]answerable{}
	for _, e := range due {
		result, err := tx.Exec(ctx, `INSERT INTO secret_notice (secret_id, days, organisation_id, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, e.ID, e.days, e.organisation, r.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return err
			}
			continue
		}
		if _, known := people[e.organisation]; !known {
			if people[e.organisation], err = answerablePeople(ctx, tx, e.organisation); err != nil {
				return err
			}
		}
		for _, p := range e.toTell(people[e.organisation]) {
			told[p] = append(told[p], e.line(r.Now()))
		}
	}
	recipients := make([]Email, 0, len(told))
	for email := range told {
		recipients = append(recipients, email)
	}
	slices.SortFunc(recipients, func(a, b Email) int { return cmp.Compare(a.Key, b.Key) }) // the same in each run
	for _, email := range recipients {
		if err := r.Mail.Post(ctx, tx, mail.SecretsEnd(mail.Recipient(email), told[email])); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `DELETE FROM secret_notice WHERE at <= $1 -- any organisation: old ones of all`, r.Now().Add(-noticeKept).UnixMicro())
	return err
}

// answerable is a role of a person who verified their address.
type answerable struct {
	Person
	actor.RoleGrant
}

func answerablePeople(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation) ([]answerable, error) {
	return rowsOf(ctx, tx, func(row scanner) (a answerable, err error) {
		return a, row.Scan(&a.ID, &a.Email, &a.NoMails, &a.Role, &a.Account)
	}, `SELECT p.id, p.email, NOT p.secret_mails, m.role, m.account_id FROM member_role m JOIN person p ON p.id = m.person_id WHERE m.organisation_id = $1 AND p.verified_at > 0 ORDER BY p.id, m.role, m.account_id`, organisation)
}

// toTell chooses the addresses of those who are told.
func (e *endingSecret) toTell(people []answerable) []Email {
	for _, choose := range []func(a *answerable) bool{
		func(a *answerable) bool { return a.ID == e.contact },
		func(a *answerable) bool { return a.Role == actor.Developer && a.reaches(e.account) },
		func(a *answerable) bool { return a.Role.Abilities()[actor.SecretWrite] && a.reaches(e.account) },
	} {
		var chosen []Email
		found := false
		for _, a := range people {
			if !choose(&a) {
				continue
			}
			found = true
			if email, err := ParseEmail(a.Email); err == nil && !a.NoMails && !slices.Contains(chosen, email) {
				chosen = append(chosen, email)
			}
		}
		if found { // who wants no mails does not pass them on to others
			return chosen
		}
	}
	return nil
}

func (a *answerable) reaches(account id.Account) bool {
	return a.RoleGrant.Account == "" || a.RoleGrant.Account == account
}

// line is what a mail says of a secret.
func (e *endingSecret) line(now time.Time) mail.EndingSecret {
	path := "/o/" + string(e.organisation)
	if e.account != "" {
		path = fmt.Sprintf("/a/%s/clients/%s/secrets", e.account, e.Client)
	}
	return mail.EndingSecret{
		Secret: e.Name, ID: string(e.ID), Client: e.client, ClientID: string(e.Client), Ends: e.ends, Over: past(e.ends, now),
		UsedAt: e.LastUsedAt, UsedFrom: e.LastUsedFrom, Path: path,
	}
}
