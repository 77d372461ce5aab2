package torture_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/internal/pgtest"
	"github.com/daybook-go/daybook/postgres"
)

// What three writers do, each in a transaction of its own.
const (
	stepBegin = iota
	stepWrite
	stepCommit
	writerSteps
	writers = 3
)

// log is one way to keep a log in PostgreSQL, for writers who take their time.
type log struct {
	name string
	// write writes one event within a transaction; $1 is its UUID.
	write string
	// read returns the places beyond $1, in order.
	read string
	// locks says that a writer waits for those who have written and not committed.
	locks bool
	// loses says that a reader misses events, in some interleavings.
	loses bool
}

var logs = []log{
	{
		name: "a head row", locks: true,
		write: `SELECT before FROM daybook.append(1, 0, NULL, '{torture}', ARRAY[$1::uuid], '{1}', ARRAY[$1::uuid], '{Written}', '{1}',
			ARRAY['{}'::jsonb], ARRAY['{}'::jsonb], ARRAY[NULL::timestamptz], ARRAY[NULL::uuid])`,
		read: `SELECT position FROM daybook.events WHERE book_id = 1 AND position > $1 ORDER BY position`,
	},
	{
		name: "a sequence", loses: true,
		write: `INSERT INTO sequenced (id) VALUES ($1)`,
		read:  `SELECT position FROM sequenced WHERE position > $1 ORDER BY position`,
	},
	{
		name: "transaction ids", loses: true,
		write: `INSERT INTO aged VALUES (pg_current_xact_id()::text::bigint, $1)`,
		read:  `SELECT position FROM aged WHERE position > $1 ORDER BY position`,
	},
	{
		// Its writers see the same last row and write the same number.
		name: "the last row plus one", loses: true,
		write: `INSERT INTO numbered SELECT coalesce(max(position), 0) + 1, $1 FROM numbered`,
		read:  `SELECT position FROM numbered WHERE position > $1 ORDER BY position`,
	},
}

// All 1,680 orders in which three writers can begin, write and commit, with a reader
// who looks after every step and remembers the last place it saw. With a head row it
// misses nothing in any of them; the controls miss events in some, or the test sees
// nothing. Where time is short, the controls play an eighth of them.
func TestAllInterleavings(t *testing.T) {
	t.Parallel()
	needsServers(t)
	all := interleavings(make([]int, writers))
	if len(all) != 1680 {
		t.Fatalf("there are %d interleavings", len(all))
	}
	for _, l := range logs {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			// What is shown here is order; durability is for the other tests.
			table := newTable(t, l, with(migrated.DSN(t), "synchronous_commit", "off"))
			missing, orders := 0, all
			if l.loses && *flagTime == 0 {
				orders = nil
				for i := int(*flagSeed % 8); i < len(all); i += 8 {
					orders = append(orders, all[i])
				}
			}
			for _, order := range orders {
				if lost := table.play(t, order); lost > 0 {
					missing++
				}
			}
			t.Logf("a reader of %s misses events in %d of %d interleavings", l.name, missing, len(orders))
			if l.loses != (missing > 0) {
				t.Errorf("a reader of %s misses events in %d of %d interleavings", l.name, missing, len(orders))
			}
		})
	}
}

var migrated = &pgtest.Template{Prepare: func(dsn string) error { return postgres.Migrate(context.Background(), dsn) }}

// interleavings returns every order of the steps that are left, as the numbers of
// the writers; done counts the steps each has made.
func interleavings(done []int) (orders [][]int) {
	ended := true
	for w := range done {
		if done[w] == writerSteps {
			continue
		}
		ended = false
		next := slices.Clone(done)
		next[w]++
		for _, rest := range interleavings(next) {
			orders = append(orders, append([]int{w}, rest...))
		}
	}
	if ended {
		return [][]int{nil}
	}
	return orders
}

// table is three writers and a reader, each with a session.
type table struct {
	log     log
	reader  *pgx.Conn
	writers [writers]*pgx.Conn
	last    int64 // where the reader is
}

func newTable(t *testing.T, l log, dsn string) *table {
	t.Helper()
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		return conn
	}
	tb := &table{log: l, reader: connect()}
	for w := range writers {
		tb.writers[w] = connect()
	}
	for _, statement := range []string{
		`SELECT daybook.open_book('main')`,
		`CREATE TABLE sequenced (position bigserial PRIMARY KEY, id uuid)`,
		`CREATE TABLE numbered (position bigint, id uuid)`,
		`CREATE INDEX ON numbered (position)`,
		`CREATE TABLE aged (position bigint PRIMARY KEY, id uuid)`,
	} {
		if _, err := tb.reader.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return tb
}

// play makes the steps in their order and returns how many events the reader missed.
// A step of a writer that waits for another one is made when that has committed, as
// are those behind it.
func (tb *table) play(t *testing.T, order []int) (lost int) {
	t.Helper()
	var made [writers]int // steps
	var queued [writers]int
	var waiting []int
	granted := make(chan grant, writers)
	holder, seen := -1, 0
	for _, w := range order {
		queued[w]++
		for made[w] < queued[w] && !slices.Contains(waiting, w) {
			if made[w] == stepWrite && tb.log.locks && holder >= 0 {
				tb.begin(t, w, granted) // it waits in the server from now on
				waiting = append(waiting, w)
				break
			}
			if made[w] == stepWrite {
				holder = w
			}
			tb.step(t, w, made[w])
			if made[w]++; made[w] == writerSteps && holder == w {
				holder = -1
			}
			seen += tb.look(t)
			// One of those who wait, not always the first, has the lock now, and makes
			// up for what it owes.
			if holder < 0 && len(waiting) > 0 {
				got := <-granted
				if got.err != nil {
					t.Fatal(got.err)
				}
				w, holder = got.writer, got.writer
				waiting = slices.DeleteFunc(waiting, func(other int) bool { return other == w })
				made[w]++
				seen += tb.look(t)
			}
		}
	}
	return writers - seen
}

// step makes one step of a writer's.
func (tb *table) step(t *testing.T, w, step int) {
	t.Helper()
	var err error
	switch step {
	case stepBegin:
		_, err = tb.writers[w].Exec(t.Context(), `BEGIN`)
	case stepWrite:
		_, err = tb.writers[w].Exec(t.Context(), tb.log.write, newID())
	case stepCommit:
		_, err = tb.writers[w].Exec(t.Context(), `COMMIT`)
	}
	if err != nil {
		t.Fatalf("step %d of writer %d: %v", step, w, err)
	}
}

// grant is a write that has waited and gone through.
type grant struct {
	writer int
	err    error
}

// begin sends a write and returns when it waits; granted gets what becomes of it.
func (tb *table) begin(t *testing.T, w int, granted chan<- grant) {
	t.Helper()
	go func() {
		_, err := tb.writers[w].Exec(t.Context(), tb.log.write, newID())
		granted <- grant{w, err}
	}()
	for waits := false; !waits; {
		err := tb.reader.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'`, tb.writers[w].PgConn().PID()).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// look is the reader: it reads what is beyond the last place it saw.
func (tb *table) look(t *testing.T) int {
	t.Helper()
	rows, err := tb.reader.Query(t.Context(), tb.log.read, tb.last)
	if err != nil {
		t.Fatal(err)
	}
	places, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	if len(places) > 0 {
		tb.last = places[len(places)-1]
	}
	return len(places)
}

func newID() string { return fmt.Sprint(daybook.NewUUID()) }
