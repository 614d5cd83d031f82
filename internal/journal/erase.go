package journal

import (
	"context"
	"fmt"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// EraseSubject erases what the audit log says about a subject: content, salt and
// address of the records so far. Who did what to it when is still there, and
// the chain still verifies, with the stored digests.
func EraseSubject(ctx context.Context, tx *sqldb.Tx, subject string) error {
	_, err := tx.Exec(ctx, `UPDATE audit SET content = NULL, salt = NULL, address = '' WHERE subject = $1
		AND organisation_id IN (SELECT id FROM organisation UNION SELECT '') -- any organisation: a person may have been in several; named for the index`, subject)
	return eraseError(err)
}

// EraseOrganisation erases likewise what the audit log says about an
// organisation, in so many records, and says whether that was all.
func EraseOrganisation(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation, limit int64) (all bool, err error) {
	result, err := tx.Exec(ctx, `UPDATE audit SET content = NULL, salt = NULL, address = '' WHERE organisation_id = $1
		AND seq IN (SELECT seq FROM audit WHERE organisation_id = $1 AND salt IS NOT NULL ORDER BY seq LIMIT $2)`, organisation, limit)
	if err != nil {
		return false, eraseError(err)
	}
	erased, err := result.RowsAffected()
	return erased < limit, eraseError(err)
}

func eraseError(err error) error {
	if err != nil {
		return fmt.Errorf("erase from the audit log: %w", err)
	}
	return nil
}
