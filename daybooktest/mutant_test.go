package daybooktest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
)

func TestMain(m *testing.M) {
	// The mutants are meant to fail: no minimal example, and no file of it, is
	// wanted. The seed is fixed, so that none survives by chance.
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s", "rapid.seed": "1"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// handles returns two handles on a new SQLite file.
func handles(t *testing.T) (one, two daybook.Driver) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "book.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	open := func(t testing.TB) daybook.Driver {
		t.Helper()
		db, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	return opened(t, open), opened(t, open)
}

// What kills a mutant must hold for what it was made of.
func TestASoundEngineIsNotFoundFaulty(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, m := range slices.Concat(mutants, snapshotMutants, tablesMutants, projectionMutants) {
		for _, name := range m.killedBy {
			if tried[name] {
				continue
			}
			tried[name] = true
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				one, two := handles(t)
				if failed, said := verdict(t, func(t TB) { checkNamed(t, name).hold(t, one, two) }); failed {
					t.Errorf("%s", said)
				}
			})
		}
	}
}

// A mutant that survives is a fault of the suite.
func TestEveryMutantIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("under -short, checks repeat too little to see every fault")
	}
	t.Parallel()
	for _, m := range slices.Concat(mutants, snapshotMutants, tablesMutants, projectionMutants) {
		for _, number := range m.killedBy {
			t.Run(m.name+" is killed by "+number, func(t *testing.T) {
				t.Parallel()
				c := checkNamed(t, number)
				one, two := handles(t)
				failed, said := verdict(t, func(t TB) { c.hold(t, m.wrap(one), m.wrap(two)) })
				if !failed {
					t.Errorf("the check %q holds although %s", c.name, m.name)
				}
				if m.says != "" && !strings.Contains(said, m.says) {
					t.Errorf("the check %q failed for another reason, want one with %q:\n%s", c.name, m.says, said)
				}
				t.Logf("%.600s", said)
			})
		}
	}
}

// checkNamed finds a check by a part of its name.
func checkNamed(t TB, name string) check {
	t.Helper()
	var found []check
	for _, c := range checks {
		if strings.Contains(c.name, name) {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d checks have %q in their names, want 1", len(found), name)
	}
	return found[0]
}
