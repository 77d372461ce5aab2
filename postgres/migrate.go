package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/daybook-go/daybook"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// schemaVersion is the number of the last migration: what this program needs.
	schemaVersion = 3
	// versionTable is goose's list of the migrations applied.
	versionTable = "daybook.schema_migrations"
	// minServer is the oldest server that will do, as server_version_num has it.
	minServer = 150000
	// migrationKey is the key of the advisory lock that migrating takes: "daybook"
	// in ASCII.
	migrationKey = 0x6461_7962_6f6f_6b
	// lockPause is the time between two attempts to get it.
	lockPause = 50 * time.Millisecond
)

const serverVersionSQL = `SELECT current_setting('server_version_num')::integer`

// Migrate brings the tables of the database at dsn to the version that this
// program needs; where they are there, it does nothing. Several processes may
// migrate at once: each one waits for the one before it, as long as ctx lives. A
// migration is applied whole or not at all.
//
// The role of dsn becomes the owner of the schema "daybook", and must be allowed to
// create it. Where the role daybook_app is missing it must be allowed to create
// that as well, or the error names the statement that an administrator has to run.
// A program needs no more than daybook_app: GRANT it to the program's login.
//
// A schema newer than this program, and a server older than PostgreSQL 15, is an
// error that wraps [daybook.ErrSchema].
func Migrate(ctx context.Context, dsn string) (err error) {
	config, _, err := parse(dsn)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config.ConnConfig)
	defer func() { err = errors.Join(err, db.Close()) }()

	// The lock belongs to this connection and goes with it, whatever happens.
	conn, err := db.Conn(ctx)
	if err != nil {
		return explain("migrate", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := prepare(ctx, conn); err != nil {
		return err
	}
	return applyAll(ctx, db)
}

// prepare checks the server, waits until nobody else migrates, and makes the schema
// where it is missing: goose looks for its table in it.
//
// It is used instead of goose's lock, which is not held yet when that table is made.
func prepare(ctx context.Context, conn *sql.Conn) error {
	var server int
	if err := conn.QueryRowContext(ctx, serverVersionSQL).Scan(&server); err != nil {
		return explain("migrate", err)
	}
	if err := checkServer(server); err != nil {
		return err
	}
	for locked := false; !locked; {
		// To ask again is better than to wait inside the server: a statement that
		// waits there has a snapshot, and CREATE INDEX CONCURRENTLY waits for that.
		if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, int64(migrationKey)).Scan(&locked); err != nil {
			return explain("migrate", err)
		}
		if locked {
			break
		}
		select {
		case <-ctx.Done():
			return explain("migrate: waiting for another process that migrates", ctx.Err())
		case <-time.After(lockPause):
		}
	}
	// Not CREATE SCHEMA IF NOT EXISTS: it needs the privilege even where the schema exists.
	var missing bool
	err := conn.QueryRowContext(ctx, `SELECT to_regnamespace('daybook') IS NULL`).Scan(&missing)
	if err == nil && missing {
		_, err = conn.ExecContext(ctx, `CREATE SCHEMA daybook`)
	}
	return explainMigration(err)
}

// applyAll applies the migrations that are missing.
func applyAll(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return explainMigration(err)
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return explain("migrate", err)
	}
	return checkSchema(version)
}

func explainMigration(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == codePrivilege {
		return fmt.Errorf("postgres: migrate: the role that migrates must own the schema daybook, or may create it (GRANT CREATE ON DATABASE), and may create the role daybook_app where it is missing: %w", err)
	}
	return explain("migrate", err)
}

// checkTables says whether the server and its tables are what this program needs.
func checkTables(ctx context.Context, conn *pgx.Conn) error {
	var server int
	if err := conn.QueryRow(ctx, serverVersionSQL).Scan(&server); err != nil {
		return err
	}
	if err := checkServer(server); err != nil {
		return err
	}
	var migrated bool
	var version int64
	err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&migrated)
	if err == nil && migrated {
		err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&version)
	}
	if err != nil {
		return err
	}
	return checkSchema(version)
}

func checkServer(version int) error {
	if version < minServer {
		return fmt.Errorf("%w: the server is PostgreSQL %d.%d, this program needs %d or newer",
			daybook.ErrSchema, version/10000, version%10000, minServer/10000)
	}
	return nil
}

func checkSchema(version int64) error {
	switch {
	case version < schemaVersion:
		return fmt.Errorf(`%w: the schema is at version %d, this program needs %d: run "daybank migrate" or call postgres.Migrate`,
			daybook.ErrSchema, version, schemaVersion)
	case version > schemaVersion:
		return fmt.Errorf("%w: the schema is at version %d, this program knows none beyond %d: use a newer program",
			daybook.ErrSchema, version, schemaVersion)
	}
	return nil
}
