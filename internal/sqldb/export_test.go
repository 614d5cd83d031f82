package sqldb

// TranslateMigrations changes the text of migrations on top of what the engine
// needs, so that a test can break them anywhere.
func (db *DB) TranslateMigrations(change func(migration string) string) {
	next := db.dialect.schema
	db.dialect.schema = func(migration string) string { return change(next(migration)) }
}
