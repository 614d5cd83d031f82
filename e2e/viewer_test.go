package e2e

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// addViewer makes a viewer of the sample organisation beside the running
// product: their link to join would be in a mail. They have the sample
// person's password.
func (p *product) addViewer(t *testing.T) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + filepath.Join(p.folder, "doorward.db"), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	viewer := registry.CreatePerson{ID: id.NewPerson(rand.Reader), Email: maryEmail, Name: "Mary Somerville", Verified: true}
	err = db.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT password FROM person WHERE email = $1`, p.Email).Scan(&viewer.Password)
	})
	if err != nil {
		t.Fatal(err)
	}
	r := registry.New(registry.Config{DB: db, Now: time.Now, Rand: rand.Reader})
	err = r.Apply(t.Context(), actor.NewSystem("e2e").In(id.Organisation(p.Organisation)), viewer,
		registry.AddMember{Person: viewer.ID, Roles: []actor.RoleGrant{{Role: actor.Viewer}}})
	if err != nil {
		t.Fatal(err)
	}
}
