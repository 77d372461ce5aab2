package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

type noted struct {
	Text string `json:"text"`
}

var registry = daybook.NewRegistry(daybook.Type[noted]("Noted"))

// newFile returns the path of a migrated, empty file.
func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "book.db")
	if err := Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

func openFile(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func openBook(t *testing.T, db *DB) *daybook.Book {
	t.Helper()
	book, err := daybook.Open(t.Context(), db, "main", registry)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func note(text string, expected daybook.Expected) daybook.Entry {
	id := daybook.AggregateID{Type: "notebook", ID: daybook.UUID{1: 1}}
	return daybook.Entry{Aggregate: id, Expected: expected, Events: []daybook.Event{{Data: noted{Text: text}}}}
}

func TestEventsAreAppendOnlyForEverybody(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	book := openBook(t, openFile(t, path))
	recs, err := book.Append(t.Context(), note("first", daybook.NoEvents()))
	if err != nil {
		t.Fatal(err)
	}
	// Another program, with none of our settings.
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	all := `SELECT book_id, position, aggregate_type, aggregate_id, sequence_number, event_id, event_type, schema_version, '{"text":"forged"}', metadata, occurred_at, recorded_at FROM events`
	for _, statement := range []string{
		`UPDATE events SET payload = '{}'`,
		`UPDATE events SET payload = '{}' WHERE position = 1`,
		`UPDATE OR REPLACE events SET position = 7`,
		`DELETE FROM events`,
		`DELETE FROM events WHERE position = 1`,
		`INSERT OR REPLACE INTO events ` + all,
		`REPLACE INTO events ` + strings.Replace(all, "position,", "position + 1,", 1),
		`REPLACE INTO events ` + strings.Replace(strings.Replace(all, "position,", "position + 1,", 1), "event_id,", "'x',", 1),
		`REPLACE INTO events ` + strings.Replace(strings.Replace(all, "position,", "position + 1,", 1), "sequence_number,", "sequence_number + 1,", 1),
		`INSERT INTO events ` + all + ` WHERE true ON CONFLICT DO UPDATE SET payload = excluded.payload`,
		`UPDATE books SET name = 'other'`,
		`DELETE FROM books`,
		`REPLACE INTO books VALUES (1, 'other', 0)`,
		`UPDATE heads SET position = 0`,
		`UPDATE heads SET recorded_at = 0`,
		`DELETE FROM heads`,
		`REPLACE INTO heads VALUES (1, 0, 0, '', 0)`,
	} {
		_, err := other.ExecContext(t.Context(), statement)
		if err == nil || !strings.Contains(err.Error(), "daybook:") {
			t.Errorf("%s: got %v, want it refused by a trigger", statement, err)
		}
	}
	again, err := book.Lookup(t.Context(), recs[0].EventID)
	if err != nil || len(again) != 1 || string(again[0].Payload) != `{"text":"first"}` {
		t.Fatalf("after all that the event is %v, %v", again, err)
	}
	if _, err := other.ExecContext(t.Context(), `DROP TRIGGER events_never_deleted`); err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), `DELETE FROM events`); err != nil {
		t.Fatalf("the control: without its trigger a DELETE must work, or this test sees nothing: %v", err)
	}
}

func TestOpenOnlyChecks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.db")
	if _, err := Open(t.Context(), missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open made the file: %v", err)
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), empty); !errors.Is(err, daybook.ErrSchema) || !strings.Contains(err.Error(), "daybank migrate") {
		t.Errorf("an empty file: %v", err)
	}
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), text); err == nil || !strings.Contains(err.Error(), "no SQLite file") {
		t.Errorf("a text file: %v", err)
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: %v", err)
	}
	for _, path := range []string{"", ":memory:", "sqlite:bank.db", "file:bank.db?mode=rwc"} {
		if err := Migrate(t.Context(), path); !errors.Is(err, daybook.ErrInvalid) {
			t.Errorf("Migrate, path %q: %v", path, err)
		}
		if _, err := Open(t.Context(), path); !errors.Is(err, daybook.ErrInvalid) {
			t.Errorf("path %q: %v", path, err)
		}
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `INSERT INTO daybook_migrations (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); !errors.Is(err, daybook.ErrSchema) {
		t.Errorf("Open: %v", err)
	}
	if err := Migrate(t.Context(), path); !errors.Is(err, daybook.ErrSchema) {
		t.Errorf("Migrate: %v", err)
	}
}

func TestManyMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "book.db")
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if err := Migrate(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	openFile(t, path)
}

func TestMigrationsAreNumberedWithoutAGap(t *testing.T) {
	t.Parallel()
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for i, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "0000"+string(rune('1'+i))+"_") {
			t.Errorf("migration %d is %s: checkSchema counts files", i+1, entry.Name())
		}
	}
}

func TestTheClockStepsBackAndRecordedTimesGoOn(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	now := time.Date(2026, 11, 24, 10, 0, 0, 123456789, time.UTC)
	db.now = func() time.Time { return now }
	book := openBook(t, db)
	var before time.Time
	for i, step := range []time.Duration{0, 0, -24 * time.Hour, time.Hour, 10 * 365 * 24 * time.Hour, -20 * 365 * 24 * time.Hour} {
		now = now.Add(step)
		recs, err := book.Append(t.Context(), note("tick", daybook.Exactly(int64(i))))
		if err != nil {
			t.Fatal(err)
		}
		at := recs[0].RecordedAt
		if !at.After(before) || at.Nanosecond()%1000 != 0 {
			t.Errorf("append %d after a step of %v: recorded at %v, before it %v", i+1, step, at, before)
		}
		before = at
	}
}

func TestAWriterWaitsForAnotherProcessAsLongAsItsContextLives(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	book := openBook(t, openFile(t, path))
	other, err := sql.Open("sqlite", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*busySlice)
	defer cancel()
	if _, err = book.Append(ctx, note("too early", daybook.Any())); !errors.Is(err, context.DeadlineExceeded) && !isBusy(err) {
		t.Errorf("while the lock is held: %v", err)
	}
	done := make(chan error)
	go func() {
		_, err := book.Append(t.Context(), note("patient", daybook.NoEvents()))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("the append did not wait: %v", err)
	case <-time.After(5 * busySlice):
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after the lock was released: %v", err)
	}
}

// A process that recovers the file, or closes it as the last one, has it for itself.
func TestWhoeverOpensWaitsForAProcessThatHasTheFileForItself(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	for _, statement := range []string{`PRAGMA locking_mode = EXCLUSIVE`, `CREATE TABLE mine (x)`} {
		if _, err := other.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*busySlice)
	defer cancel()
	if db, err := Open(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another has the file: %v, %v", db, err)
	}
	opened := make(chan error)
	go func() {
		db, err := Open(t.Context(), path)
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("Open did not wait: %v", err)
	case <-time.After(3 * busySlice):
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("after the other has closed it: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	t.Run("a full disk", func(t *testing.T) {
		t.Parallel()
		db := openFile(t, newFile(t))
		book := openBook(t, db)
		if _, err := book.Append(t.Context(), note("fits", daybook.NoEvents())); err != nil {
			t.Fatal(err)
		}
		// The file may not grow any more.
		limit(t, db, 1)
		_, err := book.Append(t.Context(), note(strings.Repeat("x", 100_000), daybook.Exactly(1)))
		if err == nil || errors.Is(err, daybook.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "free some space") {
			t.Errorf("an append that finds no room: %v", err)
		}
		limit(t, db, 1_000_000)
		if _, err := book.Append(t.Context(), note("again", daybook.Exactly(1))); err != nil {
			t.Errorf("with room again: %v", err)
		}
	})
	t.Run("a damaged file", func(t *testing.T) {
		t.Parallel()
		path := newFile(t)
		db, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		book := openBook(t, db)
		if _, err := book.Append(t.Context(), note(strings.Repeat("x", 100_000), daybook.NoEvents())); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		damage(t, path)
		db, err = Open(t.Context(), path)
		if err == nil {
			_, err = daybook.Open(t.Context(), db, "main", registry)
			err = errors.Join(err, db.Close())
		}
		if err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("a damaged file: %v", err)
		}
	})
}

// limit bounds the file's size in pages, or leaves it as large as it is.
func limit(t *testing.T, db *DB, pages int) {
	t.Helper()
	s, err := db.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.conn.ExecContext(t.Context(), "PRAGMA max_page_count = "+strconv.Itoa(pages))
	if err = errors.Join(err, db.putBack(s)); err != nil {
		t.Fatal(err)
	}
}

// damage overwrites all pages of a file but the first.
func damage(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte(strings.Repeat("damaged!", int(info.Size()-4096)/8)), 4096); err != nil {
		t.Fatal(err)
	}
}

func TestAnyFileNameWorks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"with space.db", "100%.db", "a?b#c&d=e.db", "ünïcode ✓.db", "file:x.db", "%41.db"} {
		path := filepath.Join(dir, name)
		if err := Migrate(t.Context(), path); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := openBook(t, openFile(t, path)).Append(t.Context(), note("x", daybook.NoEvents())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A context that ends at the moment at which the lock is granted: the driver says
// that BEGIN failed although it has begun. Whoever left that transaction open would
// hold the lock for ever.
func TestACancelledWriterDoesNotKeepTheLock(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	book := openBook(t, openFile(t, path))
	other, err := sql.Open("sqlite", path+"?_txlock=immediate&_busy_timeout=60000")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 400 {
		tx, err := other.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatalf("after %d cancelled appends the lock is not to be had: %v", i, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := book.Append(ctx, note("cancelled", daybook.Any()))
			done <- err
		}()
		time.Sleep(time.Duration(i%10) * 100 * time.Microsecond)
		var release sync.WaitGroup
		release.Go(func() { _ = tx.Rollback() })
		release.Go(cancel)
		release.Wait()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("append %d, cancelled: %v", i, err)
		}
	}
}

// No statement visits what it does not return: a book is long.
func TestStatementsProbeOrWalkAnIndex(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	for name, query := range map[string]string{
		"selectForward": selectForward, "selectReverse": selectReverse, "selectByID": selectByID,
		"selectAggregateForward": selectAggregateForward, "selectAggregateReverse": selectAggregateReverse,
		"selectAggregates": selectAggregates, "selectState": selectState, "updateHead": updateHead, "selectBook": selectBook,
		"selectKept": selectKept, "selectResumed": selectResumed, "selectSnapshots": selectSnapshots, "selectHeaders": selectHeaders, "deleteSnapshot": deleteSnapshot,
		"selectCheckpoints": selectCheckpoints, "updateCheckpoint": updateCheckpoint, "deleteCheckpoint": deleteCheckpoint, "selectSkips": selectSkips, "updateInline": updateInline,
	} {
		plan := plan(t, db, query)
		for _, line := range plan {
			scans := strings.HasPrefix(line, "SCAN") && !strings.Contains(line, "VIRTUAL TABLE") && !strings.Contains(line, "(subquery") // the JSON array, and a page
			wide := strings.HasSuffix(line, "(book_id=?)") && (strings.Contains(line, "events") || strings.Contains(line, "snapshots"))
			if scans || wide || strings.Contains(line, "TEMP B-TREE FOR ORDER BY") {
				t.Errorf("%s: %s\n%s", name, line, strings.Join(plan, "\n"))
			}
		}
	}
	control := plan(t, db, `SELECT * FROM events WHERE book_id = ?1 AND event_id IN (SELECT value FROM json_each(?2))`)
	if !strings.Contains(strings.Join(control, "\n"), "(book_id=?)") {
		t.Errorf("the control: this one visits the whole book, or the test sees nothing: %s", control)
	}
}

func plan(t *testing.T, db *DB, query string) (lines []string) {
	t.Helper()
	var args []any
	for n := 1; strings.Contains(query, "?"+strconv.Itoa(n)); n++ {
		args = append(args, "[]") // plans do not depend on values
	}
	if args == nil {
		args = slices.Repeat([]any{nil}, strings.Count(query, "?"))
	}
	rows, err := db.readers.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// The writer's log grows as long as it is meant to, and is as durable.
func TestTheWriterHasItsOwnCheckpoints(t *testing.T) {
	t.Parallel()
	db := openFile(t, newFile(t))
	for pragma, want := range map[string]int{"wal_autocheckpoint": checkpointPages, "synchronous": 2} {
		var got int
		if err := db.writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %d, want %d", pragma, got, want)
		}
	}
}
