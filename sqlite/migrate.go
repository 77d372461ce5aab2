package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"

	"github.com/daybook-go/daybook"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationsTable is where the file remembers which migrations it has seen.
const migrationsTable = "daybook_migrations"

// migrateAttempts bounds how often Migrate tries again after another process
// migrated the same file at the same moment.
const migrateAttempts = 5

// Migrate brings the tables in the file at path to what this program needs, and
// makes the file when there is none. Doing it again does nothing. Several processes
// may do it at once.
func Migrate(ctx context.Context, path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, "rwc"))
	if err != nil {
		return fmt.Errorf("sqlite: migrate %s: %w", path, err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for attempt := 1; ; attempt++ {
		// One of two that migrate at once finds the other's tables there already
		// and fails; on looking again nothing is left to be done.
		err = migrateOnce(ctx, db)
		if err == nil || attempt == migrateAttempts || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("sqlite: migrate %s: %w", path, explain(err))
	}
	return nil
}

func migrateOnce(ctx context.Context, db *sql.DB) error {
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	current, latest, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > latest {
		return newerSchema(current, latest)
	}
	_, err = provider.Up(ctx)
	return err
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithTableName(migrationsTable), goose.WithDisableGlobalRegistry(true))
}

// The highest migration that a file has seen.
const selectVersion = `SELECT coalesce(max(version_id), 0) FROM ` + migrationsTable

const countMigrationsTable = `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '` + migrationsTable + `'`

// checkSchema returns an error of kind daybook.ErrSchema unless db has the tables
// this program needs.
func checkSchema(ctx context.Context, db *sql.DB) error {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	latest := int64(len(entries)) // numbered from 1 without a gap; a test holds it
	var tables, version int64
	if err := db.QueryRowContext(ctx, countMigrationsTable).Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		if err := db.QueryRowContext(ctx, selectVersion).Scan(&version); err != nil {
			return err
		}
	}
	switch {
	case version < latest:
		return fmt.Errorf("%w: the file's schema is at version %d, this program needs %d: run \"daybank migrate\" or call sqlite.Migrate", daybook.ErrSchema, version, latest)
	case version > latest:
		return newerSchema(version, latest)
	}
	return nil
}

func newerSchema(version, latest int64) error {
	return fmt.Errorf("%w: the file's schema is at version %d, this program knows up to %d: use a newer program", daybook.ErrSchema, version, latest)
}

// exists tells a missing file from one that cannot be opened.
func exists(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no such file: sqlite.Migrate makes it: %w", fs.ErrNotExist)
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory: name a file")
	}
	return nil
}
