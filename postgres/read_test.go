package postgres

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	a := deposits(account(), 5)
	events := a.Entries[0].Events
	events[0].OccurredAt = time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)
	events[1].OccurredAt = time.Date(8999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	events[2].OccurredAt = time.Date(1969, 12, 31, 23, 59, 59, 1000, time.UTC)
	events[2].Metadata = daybook.Metadata{CorrelationID: "c", Actor: "Zoë 👩‍🚀", Extra: map[string]string{"ip": "::1"}}
	events[3].Payload = []byte(`{"a": [1, 2.50, null, true, "ü\"\\\n "], "b": {}}`)
	events[4].SchemaVersion, events[4].EventType = 2147483647, strings.Repeat("E", 100)

	recorded := appendOne(t, db, book, a)
	var ids []daybook.UUID
	for _, rec := range recorded {
		ids = append(ids, rec.EventID)
	}
	read, err := db.Read(t.Context(), book, daybook.Query{Limit: 10}, nil)
	if diff := cmp.Diff(recorded, read); diff != "" || err != nil {
		t.Errorf("read is not as recorded: %s, error %v", diff, err)
	}
	found, err := db.Lookup(t.Context(), book, append(ids, daybook.NewUUID(), ids[0]))
	byPosition := cmpopts.SortSlices(func(a, b daybook.Recorded) bool { return a.Position < b.Position })
	if diff := cmp.Diff(recorded, found, byPosition); diff != "" || err != nil {
		t.Errorf("lookup is not as recorded: %s, error %v", diff, err)
	}
	outcomes, err := db.Append(t.Context(), book, []daybook.Append{a}, daybook.InlineWork{})
	if err != nil || !outcomes[0].Duplicate {
		t.Fatalf("outcomes are %+v, error %v", outcomes, err)
	}
	if diff := cmp.Diff(recorded, outcomes[0].Records); diff != "" {
		t.Errorf("the retry's records are not as recorded: %s", diff)
	}
	if found, err = db.Lookup(t.Context(), book, nil); err != nil || len(found) != 0 {
		t.Errorf("looking up nothing gives %v, error %v", found, err)
	}
}

// Every combination of bounds and filters against the same on a slice.
func TestReadSelects(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	aggregates := []daybook.AggregateID{account(), account(), {Type: "customer", ID: daybook.NewUUID()}}
	var all []daybook.Recorded
	for i := range 24 {
		a := deposits(aggregates[i*i%3], 1+i%2)
		if i%4 == 0 {
			a.Entries[0].Events[0].EventType = "MoneyWithdrawn"
		}
		all = append(all, appendOne(t, db, book, a)...)
	}
	n := 0
	for q := range queries(aggregates) {
		n++
		got, err := db.Read(t.Context(), book, q, nil)
		if diff := cmp.Diff(selected(all, q), got); diff != "" || err != nil {
			t.Fatalf("%+v: %s, error %v", q, diff, err)
		}
	}
	t.Logf("%d queries on %d events", n, len(all))
}

// queries yields the combinations that daybook.Query allows.
func queries(aggregates []daybook.AggregateID) func(func(daybook.Query) bool) {
	bounds := [][2]int64{{0, 0}, {0, 5}, {3, 0}, {2, 9}, {7, 7}, {9, 2}}
	return func(yield func(daybook.Query) bool) {
		for i := range len(bounds) * len(bounds) * 4 * 2 * 2 * 2 {
			pick := func(n int) (k int) { k, i = i%n, i/n; return k }
			position, sequence := bounds[pick(len(bounds))], bounds[pick(len(bounds))]
			q := daybook.Query{AfterPosition: 2 * position[0], UntilPosition: 2 * position[1], Limit: 100}
			if k := pick(4); k > 0 {
				q.Aggregate = aggregates[k-1]
				q.AfterSequence, q.UntilSequence = sequence[0], sequence[1]
			} else if sequence[0] > 0 {
				q.AggregateType = "account"
			}
			q.Reverse = pick(2) == 1
			if pick(2) == 1 {
				q.EventTypes = []string{"MoneyWithdrawn", "NeverHappened"}
			}
			if pick(2) == 1 {
				q.Limit = 3
			}
			if !yield(q) {
				return
			}
		}
	}
}

// selected is what Read promises, on a slice.
func selected(all []daybook.Recorded, q daybook.Query) (out []daybook.Recorded) {
	all = slices.Clone(all)
	if q.Reverse {
		slices.Reverse(all)
	}
	for _, rec := range all {
		if (q.Aggregate.IsZero() || q.Aggregate == rec.Aggregate) && (q.AggregateType == "" || q.AggregateType == rec.Aggregate.Type) &&
			rec.SequenceNumber > q.AfterSequence && (q.UntilSequence == 0 || rec.SequenceNumber <= q.UntilSequence) &&
			rec.Position > q.AfterPosition && (q.UntilPosition == 0 || rec.Position <= q.UntilPosition) &&
			(len(q.EventTypes) == 0 || slices.Contains(q.EventTypes, rec.EventType)) && len(out) < q.Limit {
			out = append(out, rec)
		}
	}
	return out
}

// TestPlans compares how the server reaches the rows of every statement with the
// golden file: for a table without statistics and for a large one, for the plan
// that knows the parameters and for the one that a session keeps.
func TestPlans(t *testing.T) {
	t.Parallel()
	db, book, owner := openBook(t)
	aggregate := daybook.AggregateID{Type: "account", ID: daybook.UUID{15: 1}}
	appendOne(t, db, book, deposits(aggregate, 3))
	var got strings.Builder
	explainAll(t, db, book, aggregate, "young", &got)

	fill(t, owner, book)
	fillSnapshots(t, owner, book)
	exec(t, owner, `VACUUM ANALYZE daybook.events`)
	exec(t, owner, `VACUUM ANALYZE daybook.snapshots`)
	explainAll(t, db, book, aggregate, "large", &got)

	wantPlans(t, "plans.txt", got.String())
}

// wantPlans compares plans with a golden file.
func wantPlans(t *testing.T, file, got string) {
	t.Helper()
	golden := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the plans are not those of %s (-want +got), see -update: %s", golden, diff)
	}
}

// fill adds 50,000 events of 500 aggregates, in the way of an owner who knows what
// he does.
func fill(t testing.TB, owner *pgx.Conn, book daybook.BookID) {
	t.Helper()
	exec(t, owner, `WITH grown AS (
			UPDATE daybook.heads SET position = position + 50000 WHERE book_id = $1 RETURNING position - 50000 AS position
		)
		INSERT INTO daybook.events
		SELECT $1::bigint, position + n, 'account', md5((n % 500)::text)::uuid, 1 + n / 500, md5('event ' || n)::uuid, 'MoneyDeposited', 1, '{}', '{}', now(), now()
		FROM grown, generate_series(1, 50000) AS n`, int64(book))
}

// fillSnapshots adds one for every tenth of those events, each under two folds.
func fillSnapshots(t testing.TB, owner *pgx.Conn, book daybook.BookID) {
	t.Helper()
	exec(t, owner, `INSERT INTO daybook.snapshots
		SELECT book_id, aggregate_type, aggregate_id, sha256(fold::text::bytea), sequence_number, position, recorded_at, occurred_at, sequence_number - 1, occurred_at, '{}', sha256(''), sha256('')
		FROM daybook.events, generate_series(1, 2) AS fold WHERE book_id = $1 AND sequence_number % 10 = 0`, int64(book))
}

// TestAppendDoesNotSlowDown holds the plans that a session keeps, those inside the
// functions as well: made while the book was young, with or without statistics, they
// must do when it is long.
func TestAppendDoesNotSlowDown(t *testing.T) {
	t.Parallel()
	for name, analyze := range map[string]struct{ empty, young bool }{
		"without statistics":           {},
		"with those of an empty table": {empty: true},
		"with those of a young table":  {young: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, book, owner := openBook(t)
			conn, err := db.pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
			other, many := account(), make([]daybook.AggregateID, 64)
			for i := range many {
				many[i] = account()
			}
			if analyze.empty {
				exec(t, owner, `ANALYZE daybook.events`)
			}
			written := int64(0)
			read := func() int64 {
				for range 10 {
					appendEach(t, conn.Conn(), book, many, written)
					if _, err := appendingTo(conn.Conn(), book).locked(t.Context(), []daybook.Append{deposits(other, 1), deposits(account(), 1)}); err != nil {
						t.Fatal(err)
					}
					written++
				}
				exec(t, conn.Conn(), `SELECT pg_stat_force_next_flush()`)
				return value[int64](t, owner, `SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint`)
			}
			read()
			if analyze.young {
				exec(t, owner, `ANALYZE daybook.events`)
			}
			before := read()
			fill(t, owner, book)
			// Each looks at the head and at the event before, and is looked for by its id.
			if rows := read() - before; rows < 640 || rows > 5_000 {
				t.Errorf("10 batches of 66 appends to a book of 50,000 events, have looked at %d rows", rows)
			}
		})
	}
}

// appendEach appends to every aggregate, at n events, by a guess.
func appendEach(t *testing.T, conn *pgx.Conn, book daybook.BookID, aggregates []daybook.AggregateID, n int64) {
	t.Helper()
	var batch []daybook.Append
	for _, aggregate := range aggregates {
		a := deposits(aggregate, 1)
		a.Entries[0].Expected = daybook.Exactly(n)
		batch = append(batch, a)
	}
	plan, ok := daybook.Guess(batch)
	if !ok {
		t.Fatal("no guess")
	}
	if _, err := appendingTo(conn, book).guess(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
}

// access are the lines of a plan that say how rows are reached and ordered.
var access = regexp.MustCompile(`(?m)(?:Seq|Index|Index Only|Bitmap \w+) Scan.*|Index Cond.*|\bSort$`)

func explainAll(t *testing.T, db *DB, book daybook.BookID, aggregate daybook.AggregateID, table string, out *strings.Builder) {
	t.Helper()
	conn, err := db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	id, fold := aggregate.ID.String(), `\x`+strings.Repeat("01", 32)
	for _, statement := range []prepared{
		{"readAllSQL", readAllSQL, `bigint, bigint, bigint, bigint`, `%d, 1000, 9223372036854775807, 200`},
		{"readBookForwardSQL", readBookForwardSQL, `bigint, bigint, bigint, text, text[], bigint, timestamptz`, `%d, 1000, 9223372036854775807, '', '{}', 200, 'infinity'`},
		{"readBookReverseSQL", readBookReverseSQL, `bigint, bigint, bigint, text, text[], bigint, timestamptz`, `%d, 0, 9223372036854775807, 'account', '{A,B}', 200, '2026-01-01'`},
		{"readAggregateForwardSQL", readAggregateForwardSQL, `bigint, text, uuid, bigint, bigint, bigint, bigint, bigint, text[], timestamptz`, `%d, 'account', '` + id + `', 0, 9223372036854775807, 0, 40000, 200, '{}', 'infinity'`},
		{"readAggregateReverseSQL", readAggregateReverseSQL, `bigint, text, uuid, bigint, bigint, bigint, bigint, bigint, text[], timestamptz`, `%d, 'account', '` + id + `', 0, 9223372036854775807, 0, 40000, 200, '{A,B}', '2026-01-01'`},
		{"readHistorySQL", readHistorySQL, `bigint, text, uuid, bigint, bigint, bigint, bigint`, `%d, 'account', '` + id + `', 0, 9223372036854775807, 40000, 200`},
		{"beforeSQL", beforeSQL, `bigint, bigint`, `%d, 3`},
		{"lookupSQL", lookupSQL, `bigint, uuid[]`, `%d, '{` + id + `}'`},
		{"lastSQL", lastSQL, `bigint, uuid[]`, `%d, '{` + id + `}'`},
		{"resumeSQL", resumeSQL, `bigint, text, uuid, bytea, bigint, bigint, bigint`, `%d, 'account', '` + id + `', '` + fold + `', 9223372036854775807, 9223372036854775807, 200`},
		{"resumeWithinSQL", resumeWithinSQL, `bigint, text, uuid, bytea, bigint, bigint, bigint, bigint, timestamptz, timestamptz`, `%d, 'account', '` + id + `', '` + fold + `', 9223372036854775807, 9223372036854775807, 200, 40000, 'infinity', 'infinity'`},
		{"snapshotsSQL", snapshotsSQL, `bigint, uuid, bytea, bigint, uuid, bytea, bigint`, `%d, '` + id + `', '` + fold + `', 3, '` + id + `', '` + fold + `', 1000`},
		{"headersSQL", headersSQL, `bigint, uuid, bytea, bigint, uuid, bytea, bigint`, `%d, '` + id + `', '` + fold + `', 3, '` + id + `', '` + fold + `', 1000`},
		{"dropSnapshotsSQL", dropSnapshotsSQL, `bigint, uuid[], bytea[], bigint[]`, `%d, '{` + id + `}', ARRAY['` + fold + `'::bytea], '{3}'`},
	} {
		statement.args = fmt.Sprintf(statement.args, book)
		explainPlans(t, conn.Conn(), statement, table, out)
	}
	// The connection has settings now that the pool does not expect.
	if err := conn.Conn().Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// prepared is a statement with the types of its parameters, and some values for them.
type prepared struct{ name, query, types, args string }

func explainPlans(t *testing.T, conn *pgx.Conn, statement prepared, table string, out *strings.Builder) {
	t.Helper()
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		fmt.Fprintf(out, "%s, %s, %s\n", statement.name, table, mode)
		exec(t, conn, `SET plan_cache_mode = `+mode)
		exec(t, conn, `PREPARE plan (`+statement.types+`) AS `+statement.query)
		rows, err := conn.Query(t.Context(), `EXPLAIN (COSTS OFF) EXECUTE plan (`+statement.args+`)`, pgx.QueryExecModeExec)
		if err != nil {
			t.Fatal(err)
		}
		var plan strings.Builder
		for rows.Next() {
			plan.Write(append(rows.RawValues()[0], '\n'))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		exec(t, conn, `DEALLOCATE plan`)
		for _, line := range access.FindAllString(plan.String(), -1) {
			fmt.Fprintf(out, "\t%s\n", line)
		}
	}
}
