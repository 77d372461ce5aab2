package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/internal/pgtest"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	t.Run("opening before migrating says what to do", func(t *testing.T) {
		t.Parallel()
		_, err := Open(t.Context(), pgtest.DSN(t))
		want := `the schema is at version 0, this program needs 3: run "daybank migrate" or call postgres.Migrate`
		if !errors.Is(err, daybook.ErrSchema) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("the second time it does nothing", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.DSN(t)
		for range 2 {
			if err := Migrate(t.Context(), dsn); err != nil {
				t.Fatal(err)
			}
		}
		openDB(t, dsn)
	})
	t.Run("eight at once on two databases of one cluster all succeed", func(t *testing.T) {
		t.Parallel()
		first, second := pgtest.DSN(t), pgtest.DSN(t)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if err := Migrate(t.Context(), []string{first, second}[i%2]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		openDB(t, first)
		openDB(t, second)
	})
	t.Run("a newer schema is refused by both", func(t *testing.T) {
		t.Parallel()
		dsn := migrated.DSN(t)
		exec(t, connect(t, dsn), `INSERT INTO daybook.schema_migrations (version_id, is_applied) VALUES (99, true)`)
		_, openErr := Open(t.Context(), dsn)
		for _, err := range []error{openErr, Migrate(t.Context(), dsn)} {
			if !errors.Is(err, daybook.ErrSchema) || !strings.Contains(err.Error(), "is at version 99") {
				t.Errorf("error is %v", err)
			}
		}
	})
	t.Run("the schema's number is that of the last file", func(t *testing.T) {
		t.Parallel()
		files, err := fs.Glob(migrations, "migrations/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		if last := files[len(files)-1]; !strings.HasPrefix(last, fmt.Sprintf("migrations/%05d_", schemaVersion)) {
			t.Errorf("schemaVersion is %d and the last file %s", schemaVersion, last)
		}
	})
}

func TestMigrateAs(t *testing.T) {
	t.Parallel()
	t.Run("waiting for another one ends with the context", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.DSN(t)
		exec(t, connect(t, dsn), `SELECT pg_advisory_lock($1)`, int64(migrationKey))
		ctx, cancel := context.WithTimeout(t.Context(), shortly)
		defer cancel()
		if err := Migrate(ctx, dsn); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a role that may not create the schema is told what it needs", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.DSN(t)
		err := Migrate(t.Context(), as(t, dsn, newLogin(t, connect(t, dsn), "")))
		if sqlState(err) != codePrivilege || !strings.Contains(err.Error(), "GRANT CREATE ON DATABASE") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("an owner who is no superuser migrates where daybook_app exists", func(t *testing.T) {
		t.Parallel()
		migrated.DSN(t) // creates daybook_app
		dsn := pgtest.DSN(t)
		admin := connect(t, dsn)
		owner := newLogin(t, admin, "")
		exec(t, admin, fmt.Sprintf(`GRANT CREATE ON DATABASE %s TO %s`, value[string](t, admin, `SELECT current_database()`), owner))
		if err := Migrate(t.Context(), as(t, dsn, owner)); err != nil {
			t.Fatal(err)
		}
		db := openDB(t, as(t, dsn, owner))
		book, err := db.OpenBook(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		appendOne(t, db, book, deposits(account(), 1))
	})
}

// A server of its own: the role belongs to the cluster.
func TestMigrateWithoutTheRole(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Start(t).DSN()
	admin := connect(t, dsn)
	exec(t, admin, `CREATE ROLE owner LOGIN`)
	exec(t, admin, `GRANT CREATE ON DATABASE postgres TO owner`)
	err := Migrate(t.Context(), as(t, dsn, "owner"))
	if sqlState(err) != codePrivilege || !strings.Contains(err.Error(), `have an administrator run "CREATE ROLE daybook_app NOLOGIN"`) {
		t.Fatalf("error is %v", err)
	}
	if got := value[bool](t, admin, `SELECT to_regclass('daybook.events') IS NULL`); !got {
		t.Error("the migration that failed has left tables")
	}
	exec(t, admin, `CREATE ROLE daybook_app NOLOGIN`)
	if err := Migrate(t.Context(), as(t, dsn, "owner")); err != nil {
		t.Error(err)
	}
}

func TestServerTooOld(t *testing.T) {
	t.Parallel()
	err := checkServer(140009)
	if !errors.Is(err, daybook.ErrSchema) || !strings.Contains(err.Error(), "the server is PostgreSQL 14.9, this program needs 15 or newer") {
		t.Errorf("error is %v", err)
	}
	if err := checkServer(150000); err != nil {
		t.Error(err)
	}
}

// as returns dsn for another user.
func as(t testing.TB, dsn, user string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if u.User != nil {
		u.User = url.UserPassword(user, loginPassword)
		return u.String()
	}
	return with(t, with(t, dsn, "user", user), "password", loginPassword)
}
