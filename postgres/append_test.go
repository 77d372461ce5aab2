package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// codeNull is the SQLSTATE of a null where none may be.
const codeNull = "23502"

// call calls daybook.append as any program could, in a transaction of its own.
func call(t *testing.T, conn *pgx.Conn, book daybook.BookID, head int64, rows ...daybook.Recorded) error {
	t.Helper()
	return callAfter(t, conn, book, head, nil, rows...)
}

// callAfter calls daybook.append with the events that rows rest on, as in [daybook.Placement].
func callAfter(t *testing.T, conn *pgx.Conn, book daybook.BookID, head int64, after map[daybook.UUID]daybook.UUID, rows ...daybook.Recorded) error {
	t.Helper()
	_, err := conn.Exec(t.Context(), appendSQL, appendParams(book, 0, &head, rows, after)...)
	return err
}

// callOne calls daybook.append_one.
func callOne(t *testing.T, conn *pgx.Conn, book daybook.BookID, after, one daybook.Recorded) error {
	t.Helper()
	plan := &daybook.Placement{Rows: []daybook.Recorded{one}}
	if !after.EventID.IsZero() {
		plan.After = map[daybook.UUID]daybook.UUID{one.EventID: after.EventID}
	}
	sql, params, err := guessParams(book, 0, plan)
	if err != nil || sql != appendOneSQL {
		t.Fatalf("%s, error %v", sql, err)
	}
	_, err = conn.Exec(t.Context(), sql, params...)
	return err
}

func row(aggregate daybook.AggregateID, sequenceNumber int64) daybook.Recorded {
	return daybook.Recorded{
		Aggregate: aggregate, SequenceNumber: sequenceNumber, EventID: daybook.NewUUID(),
		EventType: "MoneyDeposited", SchemaVersion: 1, Payload: []byte(`{}`),
	}
}

// What the server itself guards, whatever the client does.
func TestAppendFunction(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	there := account()
	first := appendOne(t, db, book, deposits(there, 2))[0]
	fresh, other := account(), account()
	otherType := daybook.AggregateID{Type: "customer", ID: there.ID}
	again := row(there, 3)
	again.EventID = first.EventID
	late, unnamed, versionless := row(fresh, 1), row(fresh, 1), row(fresh, 1)
	late.OccurredAt = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)
	unnamed.EventType = ""
	versionless.SchemaVersion = 0

	for _, test := range []struct {
		name, code string
		head       int64
		rows       []daybook.Recorded
	}{
		{"a head that has moved on is refused", "ZD002", 1, []daybook.Recorded{row(fresh, 1)}},
		{"a head that is not reached yet is refused", "ZD002", 3, []daybook.Recorded{row(fresh, 1)}},
		{"a new aggregate that does not begin at 1 is refused", "ZD003", 2, []daybook.Recorded{row(fresh, 2)}},
		{"a hole behind what is recorded is refused", "ZD003", 2, []daybook.Recorded{row(there, 4)}},
		{"a hole within the call is refused", "ZD003", 2, []daybook.Recorded{row(fresh, 1), row(other, 1), row(fresh, 3)}},
		{"a hole behind the element before is refused", "ZD003", 2, []daybook.Recorded{row(there, 3), row(there, 5)}},
		{"what would follow the element before, which is another aggregate's, is refused", "ZD003", 2, []daybook.Recorded{row(there, 3), row(fresh, 4)}},
		{"the wrong order within the call is refused", "ZD003", 2, []daybook.Recorded{row(fresh, 2), row(fresh, 1)}},
		{"another type of the aggregate is refused", "ZD003", 2, []daybook.Recorded{row(otherType, 3)}},
		{"two types of one aggregate in the call are refused", "ZD003", 2, []daybook.Recorded{row(there, 3), row(otherType, 4)}},
		{"a place that is taken is refused", codeUnique, 2, []daybook.Recorded{row(there, 1)}},
		{"an event id that is there is refused", codeUnique, 2, []daybook.Recorded{again}},
		{"sequence number 0 is refused", "23514", 2, []daybook.Recorded{row(fresh, 0)}},
		{"a time out of range is refused", "23514", 2, []daybook.Recorded{late}},
		{"an empty event type is refused", "23514", 2, []daybook.Recorded{unnamed}},
		{"schema version 0 is refused", "23514", 2, []daybook.Recorded{versionless}},
		{"no events are refused", "ZD004", 2, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := call(t, conn, book, test.head, test.rows...); sqlState(err) != test.code {
				t.Errorf("error is %v, want %s", err, test.code)
			}
			if len(test.rows) != 1 || test.head != 2 {
				return
			}
			if err := callOne(t, conn, book, daybook.Recorded{}, test.rows[0]); sqlState(err) != test.code {
				t.Errorf("append_one: error is %v, want %s", err, test.code)
			}
		})
	}
	t.Run("another book does not have the event before", func(t *testing.T) {
		second, err := db.OpenBook(t.Context(), "second")
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t, conn, second, 0, row(there, 3)); sqlState(err) != "ZD003" {
			t.Errorf("error is %v", err)
		}
		if err := callOne(t, conn, second, daybook.Recorded{}, row(there, 3)); sqlState(err) != "ZD003" {
			t.Errorf("append_one: error is %v", err)
		}
	})
	wantHead(t, conn, book, 2)

	t.Run("what is right is written", func(t *testing.T) {
		if err := call(t, conn, book, 2, row(fresh, 1), row(there, 3), row(fresh, 2)); err != nil {
			t.Fatal(err)
		}
		wantHead(t, conn, book, 5)
	})
}

// An event may rest on one that another writer has put before it, or on one of its own call.
func TestAppendFunctionAfterAnEvent(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	there := account()
	recorded := appendOne(t, db, book, deposits(there, 2))
	third, fourth := row(there, 3), row(there, 4)
	for name, after := range map[string]map[daybook.UUID]daybook.UUID{
		"another one than that before the call is refused": {third.EventID: recorded[0].EventID},
		"another one than the element before is refused":   {fourth.EventID: recorded[1].EventID},
	} {
		t.Run(name, func(t *testing.T) {
			if err := callAfter(t, conn, book, 2, after, third, fourth); sqlState(err) != codeHole {
				t.Errorf("error is %v", err)
			}
		})
	}
	wantHead(t, conn, book, 2)
	t.Run("the right ones are written", func(t *testing.T) {
		after := map[daybook.UUID]daybook.UUID{third.EventID: recorded[1].EventID, fourth.EventID: third.EventID}
		if err := callAfter(t, conn, book, 2, after, third, fourth); err != nil {
			t.Fatal(err)
		}
		wantHead(t, conn, book, 4)
	})
}

// What append_one guards besides: it has no head to be given, and one event to rest on.
func TestAppendOneFunction(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	there, fresh := account(), account()
	recorded := appendOne(t, db, book, deposits(there, 2))
	t.Run("a book that is not there is refused", func(t *testing.T) {
		if err := callOne(t, conn, 99, daybook.Recorded{}, row(fresh, 1)); sqlState(err) != codeWrongHead {
			t.Errorf("append_one: error is %v", err)
		}
	})
	t.Run("another event before it than the one it rests on is refused", func(t *testing.T) {
		for _, one := range []daybook.Recorded{row(there, 3), row(fresh, 1)} {
			if err := callOne(t, conn, book, recorded[0], one); sqlState(err) != codeHole {
				t.Errorf("append_one at %d: error is %v", one.SequenceNumber, err)
			}
		}
	})
	wantHead(t, conn, book, 2)

	t.Run("what is right is written", func(t *testing.T) {
		third := row(there, 3)
		if err := callOne(t, conn, book, recorded[1], third); err != nil {
			t.Fatal(err)
		}
		if err := callOne(t, conn, book, third, row(there, 4)); err != nil {
			t.Fatal(err)
		}
		if err := callOne(t, conn, book, daybook.Recorded{}, row(fresh, 1)); err != nil {
			t.Fatal(err)
		}
		wantHead(t, conn, book, 5)
	})
}

func TestAppendFunctionChecksItsArrays(t *testing.T) {
	t.Parallel()
	_, book, conn := openBook(t)
	params := appendParams(book, 0, new(int64(0)), []daybook.Recorded{row(account(), 1), row(account(), 1)}, nil)
	for i, array := range []string{"text[]", "uuid[]", "bigint[]", "uuid[]", "text[]", "integer[]", "jsonb[]", "jsonb[]", "timestamptz[]", "uuid[]"} {
		given := fmt.Sprintf("$%d", i+4)
		typed := given + "::" + array
		for broken, code := range map[string]string{
			"(" + typed + ")[:1]":                           "ZD004",
			"nullif(" + typed + ", " + given + ")":          "ZD004",
			"array_append((" + typed + ")[:1], null)":       codeNull,
			"ARRAY[" + typed + ", " + typed + "]":           "ZD004", // four elements
			"(array_cat(" + typed + ", " + given + "))[:2]": "",
		} {
			if code == codeNull && (array == "timestamptz[]" || given == "$13") {
				continue // a time of occurrence may be missing, and what an event rests on
			}
			t.Run("given "+broken, func(t *testing.T) {
				tx, err := conn.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, err = tx.Exec(t.Context(), strings.Replace(appendSQL, given, broken, 1), params...)
				if sqlState(err) != code || (code == "" && err != nil) {
					t.Errorf("error is %v, want %q", err, code)
				}
				if err := tx.Rollback(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestOtherFunctions(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	for _, name := range []string{"", "1st", "two words", "ümlaut", "a;b", "a\nb", strings.Repeat("a", 101), strings.Repeat("long", 1<<18)} {
		t.Run(fmt.Sprintf("%.20q is not the name of a book", name), func(t *testing.T) {
			_, err := db.OpenBook(t.Context(), name)
			if sqlState(err) != "ZD004" || len(err.Error()) > 400 {
				t.Errorf("error is %v", err)
			}
		})
	}
	for _, query := range []string{
		`SELECT daybook.open_book(NULL)`,
		`SELECT daybook.fence(1, NULL)`,
		`SELECT daybook.lock_head(NULL)`,
		`SELECT daybook.lock_head(77)`,
		`SELECT daybook.fence(77, now())`,
	} {
		t.Run(query+" is refused", func(t *testing.T) {
			if _, err := conn.Exec(t.Context(), query); sqlState(err) != "ZD004" && sqlState(err) != "ZD005" {
				t.Errorf("error is %v", err)
			}
		})
	}
	t.Run("a time without end stops at the clock", func(t *testing.T) {
		exec(t, conn, `SELECT daybook.fence($1, '-infinity'), daybook.fence($1, 'infinity')`, int64(book))
		if !value[bool](t, conn, `SELECT recorded_at BETWEEN now() - interval '1 minute' AND clock_timestamp() FROM daybook.heads`) {
			t.Error("the head is not at the clock")
		}
	})
	t.Run("a book that is not there is an error, and empty to readers", func(t *testing.T) {
		_, appendErr := db.Append(t.Context(), 77, []daybook.Append{deposits(account(), 1)}, daybook.InlineWork{})
		_, headErr := db.Head(t.Context(), 77)
		for _, err := range []error{appendErr, headErr} {
			if err == nil || !strings.Contains(err.Error(), "there is no book with the id 77") {
				t.Errorf("error is %v", err)
			}
		}
		records, err := db.Read(t.Context(), 77, daybook.Query{Limit: 1}, nil)
		if err != nil || len(records) > 0 {
			t.Errorf("read %v, error %v", records, err)
		}
	})
	t.Run("opened by many at once, every book has one id", func(t *testing.T) {
		var all sync.WaitGroup
		ids := make([][3]daybook.BookID, 16)
		for i := range ids {
			all.Go(func() {
				for n := range ids[i] {
					var err error
					if ids[i][n], err = db.OpenBook(t.Context(), fmt.Sprintf("book-%d", n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for _, got := range ids {
			if got != ids[0] {
				t.Errorf("ids %v and %v", got, ids[0])
			}
		}
	})
}

// I15: the clock goes back by a day, or to be exact: the head is a day ahead of it.
func TestRecordedAtNeverDecreases(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	exec(t, conn, `UPDATE daybook.heads SET recorded_at = date_trunc('second', now() + interval '1 day')`)
	last := value[time.Time](t, conn, `SELECT recorded_at FROM daybook.heads`).UTC()
	aggregate := account()
	for range 3 {
		rec := appendOne(t, db, book, deposits(aggregate, 1))[0]
		if want := last.Add(time.Microsecond); rec.RecordedAt != want || rec.OccurredAt != want {
			t.Errorf("recorded at %s, occurred at %s, want %s", rec.RecordedAt, rec.OccurredAt, want)
		}
		last = rec.RecordedAt
	}
	head, err := db.Fence(t.Context(), book, time.Now())
	if diff := cmp.Diff(daybook.Head{Position: 3, RecordedAt: last}, head); diff != "" || err != nil {
		t.Errorf("a fence in the past moved the head: %s, error %v", diff, err)
	}
}

func TestFence(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	if head, err := db.Head(t.Context(), book); err != nil || head != (daybook.Head{}) {
		t.Errorf("the head of a new book is %+v, error %v", head, err)
	}
	past := time.Now().UTC().Truncate(time.Microsecond)
	head, err := db.Fence(t.Context(), book, past)
	if diff := cmp.Diff(daybook.Head{RecordedAt: past}, head); diff != "" || err != nil {
		t.Errorf("the fence of an empty book differs: %s, error %v", diff, err)
	}
	if again, err := db.Head(t.Context(), book); err != nil || again != head {
		t.Errorf("the head after a fence is %+v, error %v, want what the fence returned", again, err)
	}
	future := time.Now().Add(time.Hour)
	if head, err = db.Fence(t.Context(), book, future); err != nil || !head.RecordedAt.Before(future) || head.RecordedAt.Before(past) {
		t.Errorf("a fence in the future gives %+v, error %v", head, err)
	}
	if rec := appendOne(t, db, book, deposits(account(), 1))[0]; !rec.RecordedAt.After(head.RecordedAt) {
		t.Errorf("recorded at %s, not after the fence at %s", rec.RecordedAt, head.RecordedAt)
	}
}

// The head row's free space and the absence of an index on what changes in it keep
// its versions on few pages. Not in parallel: a transaction that stays open
// anywhere on the server keeps versions from being reclaimed.
func TestHeadStaysSmall(t *testing.T) {
	_, _, conn := openBook(t)
	exec(t, conn, `SET synchronous_commit = off`)
	for range 2000 {
		exec(t, conn, `UPDATE daybook.heads SET position = position + 1`)
	}
	// A snapshot that somebody holds for a moment may cost another page or two;
	// never reclaimed, the versions would fill more than ten.
	if pages := value[int64](t, conn, `SELECT pg_relation_size('daybook.heads') / current_setting('block_size')::bigint`); pages > 4 {
		t.Errorf("the table of heads has %d pages", pages)
	}
}

func TestRefusedAppendsWriteNothing(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	aggregate := account()
	refused := deposits(aggregate, 1)
	refused.Entries[0].Expected = daybook.Exactly(7)
	outcomes, err := db.Append(t.Context(), book, []daybook.Append{refused}, daybook.InlineWork{})
	if err != nil || !errors.Is(outcomes[0].Err, daybook.ErrConflict) {
		t.Errorf("outcome is %+v, error %v", outcomes, err)
	}
	outcomes, err = db.Append(t.Context(), book, []daybook.Append{refused, deposits(aggregate, 2)}, daybook.InlineWork{})
	if err != nil || !errors.Is(outcomes[0].Err, daybook.ErrConflict) || len(outcomes[1].Records) != 2 {
		t.Errorf("outcomes are %+v, error %v", outcomes, err)
	}
	wantHead(t, conn, book, 2)
	if idle := value[int64](t, conn, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`); idle != 0 {
		t.Errorf("%d connections are left in a transaction", idle)
	}
}

// A payload that only this server refuses, and that nothing before it has.
func TestAPayloadThatTheServerCannotKeep(t *testing.T) {
	t.Parallel()
	unkept := func() daybook.Append {
		a := deposits(account(), 1)
		a.Entries[0].Events[0].Payload = []byte(`{"a": 1e-20000}`)
		return a
	}
	t.Run("refuses its own append", func(t *testing.T) {
		t.Parallel()
		db, book, conn := openBook(t)
		outcomes, err := db.Append(t.Context(), book, []daybook.Append{deposits(account(), 1), unkept(), deposits(account(), 2)}, daybook.InlineWork{})
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(outcomes[1].Err, daybook.ErrInvalid) || !strings.Contains(outcomes[1].Err.Error(), "payload") {
			t.Errorf("the one at fault: %+v", outcomes[1])
		}
		if outcomes[0].Err != nil || outcomes[2].Err != nil || outcomes[2].Records[1].Position != 3 {
			t.Errorf("the others: %+v, %+v", outcomes[0], outcomes[2])
		}
		wantHead(t, conn, book, 3)
	})
	t.Run("alone writes nothing", func(t *testing.T) {
		t.Parallel()
		db, book, conn := openBook(t)
		outcomes, err := db.Append(t.Context(), book, []daybook.Append{unkept()}, daybook.InlineWork{})
		if err != nil || !errors.Is(outcomes[0].Err, daybook.ErrInvalid) {
			t.Errorf("%+v, %v", outcomes, err)
		}
		wantHead(t, conn, book, 0)
	})
	t.Run("leaves the others in one transaction", func(t *testing.T) {
		t.Parallel()
		db, book, conn := openBook(t)
		atInsert(t, conn, `IF (SELECT count(*) FROM daybook.events) > 1 THEN RAISE 'the disk is full' USING ERRCODE = '53100'; END IF`)
		_, err := db.Append(t.Context(), book, []daybook.Append{deposits(account(), 1), unkept(), deposits(account(), 1)}, daybook.InlineWork{})
		if sqlState(err) != "53100" {
			t.Errorf("error is %v", err)
		}
		wantHead(t, conn, book, 0)
	})
}
