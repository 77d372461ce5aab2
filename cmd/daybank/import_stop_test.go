package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// stopLines is enough for one line of progress in the middle of a file.
const stopLines = progressLines + 2_500

// An import that is stopped has recorded whole chunks, says so, and is finished by
// running it again.
func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	args := []string{"import", "csv", "--mapping", importMapping, accountsFile(t, 10), transactionsFile(t, 10, stopLines)}
	ctx, cancel := context.WithCancel(t.Context())
	got := hooked(ctx, db, "importing: ", func(int) { cancel() }, args...)
	if got.code != exitInterrupted || got.stdout != "" {
		t.Errorf("exit code %d, want %d and no report: %s", got.code, exitInterrupted, got.stdout)
	}
	recorded := recordedEvents(t, db)
	if recorded == 0 || recorded >= stopLines {
		t.Errorf("%d events are recorded: it did not stop in the middle", recorded)
	}
	want := fmt.Sprintf("import: stopped after %d lines; import the same files again, and it goes on where it stopped", recorded)
	if !strings.Contains(got.stderr, want) {
		t.Errorf("want %q in:\n%s", want, got.stderr)
	}

	report := decode[importReport](t, must(t, db, append(args, "-o", "json")...))
	if want := (lineCounts{Accepted: stopLines + 10 - recorded, Duplicate: recorded}); report.lineCounts != want {
		t.Errorf("the second import: %+v, want %+v", report.lineCounts, want)
	}
	checkEachOnce(t, db, stopLines+10)
}

// checkEachOnce checks that the book has so many events, all of different lines.
func checkEachOnce(t *testing.T, db string, want int) {
	t.Helper()
	lines := map[string]bool{}
	events := 0
	for rec, err := range openBook(t, db).Read(t.Context(), daybook.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		events++
		lines[rec.EventType[:5]+rec.Metadata.Extra["source_id"]] = true
	}
	if events != want || len(lines) != want {
		t.Errorf("%d events of %d lines, want %d of each", events, len(lines), want)
	}
}

func TestImportOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	grow := func(t *testing.T, path string) func(int) {
		t.Helper()
		return func(n int) {
			if n > 1 {
				return
			}
			file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = file.WriteString("late,a0,2024-02-01,1.00,\n")
			}
			if err != nil {
				t.Error(err)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Run("while it is imported it stops, and goes on when run again", func(t *testing.T) {
		t.Parallel()
		db := inFile(t, t.TempDir())
		path := transactionsFile(t, 10, stopLines)
		args := []string{"import", "csv", "--mapping", importMapping, accountsFile(t, 10), path}
		got := hooked(t.Context(), db, "importing: ", grow(t, path), args...)
		if got.code != exitError || !strings.Contains(got.stderr, "the file was changed while it was being imported") {
			t.Errorf("exit code %d, want %d:\n%s", got.code, exitError, got.stderr)
		}
		must(t, db, args...)
		checkEachOnce(t, db, stopLines+10+1)
	})
	t.Run("after a strict check nothing is recorded", func(t *testing.T) {
		t.Parallel()
		db := inFile(t, t.TempDir())
		path := transactionsFile(t, 10, stopLines)
		must(t, db, "migrate")
		got := hooked(t.Context(), db, "checking: ", grow(t, path), "import", "csv", "--mapping", importMapping, "--strict", accountsFile(t, 10), path)
		if got.code != exitError || !strings.Contains(got.stderr, "nothing was recorded") {
			t.Errorf("exit code %d, want %d:\n%s", got.code, exitError, got.stderr)
		}
		if recorded := recordedEvents(t, db); recorded != 0 {
			t.Errorf("%d events were recorded", recorded)
		}
	})
}

// A database that fails in the middle leaves whole chunks behind.
func TestImportWithAFailingDatabase(t *testing.T) {
	t.Parallel()
	db := onServer(t, "")
	execute := func(statement string) {
		conn, err := pgx.Connect(t.Context(), db)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(t.Context()) }()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Error(err)
		}
	}
	args := []string{"import", "csv", "--mapping", importMapping, accountsFile(t, 10), transactionsFile(t, 10, stopLines)}
	got := hooked(t.Context(), db, "importing: ", func(n int) {
		if n == 1 {
			execute(`ALTER FUNCTION daybook.append RENAME TO append_gone`)
		}
	}, args...)
	execute(`ALTER FUNCTION daybook.append_gone RENAME TO append`)
	recorded := recordedEvents(t, db)
	if want := fmt.Sprintf("import: stopped after %d lines; import the same files again", recorded); got.code != exitError || !strings.Contains(got.stderr, want) {
		t.Errorf("exit code %d, want %d and %q:\n%s", got.code, exitError, want, got.stderr)
	}
	must(t, db, args...)
	checkEachOnce(t, db, stopLines+10)
}

// Imports of the same files at the same time, by several processes, record every
// line once, and count as accepted what they recorded themselves.
func TestImportsAtOnce(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := open(t, t.TempDir())
			must(t, db, "migrate")
			const accounts, lines, imports = 700, 3_000, 3
			args := []string{"import", "csv", "--mapping", importMapping, accountsFile(t, accounts), transactionsFile(t, accounts, lines), "-o", "json"}
			var wait sync.WaitGroup
			outcomes := make([]outcome, imports)
			for i := range imports {
				cmd := command(t, db, args...)
				wait.Go(func() { outcomes[i] = finish(t, cmd) })
			}
			wait.Wait()
			accepted := int64(0)
			for _, o := range outcomes {
				if o.code != exitOK {
					t.Fatalf("exit code %d:\n%s", o.code, o.stderr)
				}
				report := decode[importReport](t, o.stdout)
				accepted += report.Recorded
				if report.lines() != accounts+lines || report.Rejected != 0 {
					t.Errorf("an import reports %+v", report.lineCounts)
				}
			}
			if accepted != accounts+lines {
				t.Errorf("%d lines were accepted by all imports together, want %d", accepted, accounts+lines)
			}
			checkEachOnce(t, db, accounts+lines)
		})
	}
}

// Memory does not grow with the file: not for what is recorded, nor for what is
// rejected. It runs alone, because the heap is everybody's.
func TestImportMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("imports 30,000 lines: skipped by -short")
	}
	const lines, slack = 30_000, 8 << 20
	path := transactionsFile(t, 10, lines)
	accounts := accountsFile(t, 5) // every other line is rejected
	var before, after runtime.MemStats
	measure := func(n int) {
		stats := map[int]*runtime.MemStats{1: &before, 5: &after}[n]
		if stats != nil {
			runtime.GC()
			runtime.ReadMemStats(stats)
		}
	}
	got := hooked(t.Context(), inFile(t, t.TempDir()), "importing: ", measure, "import", "csv", "--mapping", importMapping, accounts, path)
	if got.code != exitRefused || after.HeapAlloc == 0 {
		t.Fatalf("exit code %d:\n%s", got.code, got.stderr)
	}
	if after.HeapAlloc > before.HeapAlloc+slack {
		t.Errorf("the heap has %d bytes after %d lines and %d after %d", before.HeapAlloc, progressLines, after.HeapAlloc, 5*progressLines)
	}
}
