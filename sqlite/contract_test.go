package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/daybooktest"
	"github.com/daybook-go/daybook/sqlite"
)

func TestDriver(t *testing.T) {
	daybooktest.Driver(t, func(t testing.TB) daybooktest.Opener {
		t.Helper()
		path := filepath.Join(t.TempDir(), "book.db")
		if err := sqlite.Migrate(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		return func(t testing.TB) daybook.Driver {
			t.Helper()
			db, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
	})
}
