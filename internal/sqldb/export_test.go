package sqldb

// TranslateMigrations changes the text of migrations on top of what the engine
// needs, so that a test can break them anywhere.
func (db *DB) TranslateMigrations(change func(migration string) string) {
	next := db.dialect.schema
	db.dialect.schema = func(migration string) string { return change(next(migration)) }
}

// Break makes the last write one that the disk failed.
func (db *DB) Break(err error) { db.broken.Store(&err) }

// Broken says whether the disk failed the last write.
func (db *DB) Broken() bool { return db.broken.Load() != nil }
