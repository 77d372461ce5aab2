package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// batchOf is n appends that can be guessed, each to an aggregate of its own.
func batchOf(n int) (batch []daybook.Append) {
	for range n {
		batch = append(batch, way{expected: daybook.NoEvents()}.one())
	}
	return batch
}

// sendAhead hands a batch in, and returns when the next one may come.
func sendAhead(ctx context.Context, t *testing.T, db *DB, book daybook.BookID, batch ...daybook.Append) <-chan result {
	t.Helper()
	sent := make(chan struct{})
	w := way{append: func(ctx context.Context, db *DB, book daybook.BookID, batch ...daybook.Append) ([]daybook.Outcome, error) {
		return db.AppendAhead(ctx, book, batch, 0, func() { close(sent) })
	}}
	done := w.aside(ctx, db, book, batch...)
	select {
	case <-sent:
	case got := <-done:
		t.Fatalf("the batch was answered before the next one could come: %+v", got)
	case <-time.After(patience):
		t.Fatal("the next batch may never come")
	}
	return done
}

// wantPlaces fails unless the batch was recorded from position on.
func wantPlaces(t *testing.T, name string, done <-chan result, position int64) {
	t.Helper()
	got := <-done
	if got.err != nil {
		t.Fatalf("%s: %v", name, got.err)
	}
	for i, o := range got.outcomes {
		if o.Err != nil || o.Duplicate || o.Records[0].Position != position+int64(i) || o.Records[0].RecordedAt.IsZero() {
			t.Errorf("%s: append %d: %+v, want it at %d", name, i, o, position+int64(i))
		}
	}
}

func TestABatchGoesAheadOnTheSameConnection(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	lockHead(t, conn, book)
	first := sendAhead(t.Context(), t, db, book, batchOf(3)...)
	second := sendAhead(t.Context(), t, db, book, batchOf(2)...)
	pid := waitFor(t, conn, waitsForTheHead)
	if n := db.pool.Stat().AcquiredConns(); n != 1 {
		t.Errorf("two batches are under way on %d connections", n)
	}
	third := way{append: appendAhead}.aside(t.Context(), db, book, batchOf(2)...) // there is no more room
	waitFor(t, conn, fmt.Sprintf("%s AND pid <> %d", waitsForTheHead, pid))       // on a connection of its own, behind the first
	exec(t, conn, `COMMIT`)
	wantPlaces(t, "the first batch", first, 1)
	for _, done := range []<-chan result{second, third} { // which wait for the head on two connections
		if got := <-done; got.err != nil || got.outcomes[0].Err != nil {
			t.Errorf("%+v, error %v", got.outcomes, got.err)
		}
	}
	wantHead(t, conn, book, 7)
	for deadline := time.Now().Add(patience); db.pool.Stat().AcquiredConns() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection was not given back")
		}
	}
}

// What cannot be guessed may rest on the batch under way: it does not overtake it.
func TestWhatIsNotGuessedWaitsForTheBatchUnderWay(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	lockHead(t, conn, book)
	first := sendAhead(t.Context(), t, db, book, batchOf(3)...)
	second := way{append: appendAhead}.aside(t.Context(), db, book, way{expected: daybook.Any()}.one())
	for deadline := time.Now().Add(20 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if n := db.pool.Stat().AcquiredConns(); n != 1 {
			t.Fatalf("it has taken one of %d connections", n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := appendAhead(ctx, db, book, way{expected: daybook.Any()}.one()); !errors.Is(err, context.Canceled) || errors.Is(err, daybook.ErrUnclear) {
		t.Errorf("one that is called off meanwhile: %v", err)
	}
	exec(t, conn, `COMMIT`)
	wantPlaces(t, "the batch under way", first, 1)
	wantPlaces(t, "what is not guessed", second, 4)
}

// What is behind a batch that is refused is settled for itself: where it does not rest on it, as if that had not been there.
func TestAWrongGuessDoesNotTouchTheBatchBehind(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	there := deposits(account(), 1)
	appendOne(t, db, book, there)
	lockHead(t, conn, book)
	wrong := batchOf(2)
	wrong[1].Entries[0].Aggregate = there.Entries[0].Aggregate // which has an event
	first := sendAhead(t.Context(), t, db, book, wrong...)
	resting := deposits(wrong[0].Entries[0].Aggregate, 1)
	resting.Entries[0].Expected = daybook.Exactly(1)
	resting.Entries[0].After = wrong[0].Entries[0].Events[0].EventID
	second := sendAhead(t.Context(), t, db, book, batchOf(1)[0], resting)
	waitFor(t, conn, waitsForTheHead)
	exec(t, conn, `COMMIT`)
	got := <-first
	var conflict *daybook.ConflictError
	if got.err != nil || got.outcomes[0].Err != nil || !errors.As(got.outcomes[1].Err, &conflict) || conflict.Actual != 1 {
		t.Errorf("the wrong guess: %+v, error %v", got.outcomes, got.err)
	}
	got = <-second
	if got.err != nil || got.outcomes[0].Err != nil {
		t.Errorf("the batch behind: %+v, error %v", got.outcomes, got.err)
	}
	// What rests on an event of the first is there if that was sooner, and else a conflict.
	rested := got.outcomes[1].Err == nil
	if !rested && !errors.Is(got.outcomes[1].Err, daybook.ErrConflict) {
		t.Errorf("what rests on the first: %v", got.outcomes[1].Err)
	}
	want := int64(3)
	if rested {
		want = 4
	}
	wantHead(t, conn, book, want)
}

func TestBatchesUnderWayOnALostConnectionAreUnclear(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	lockHead(t, conn, book)
	batches := [][]daybook.Append{batchOf(2), batchOf(2)}
	first := sendAhead(t.Context(), t, db, book, batches[0]...)
	second := sendAhead(t.Context(), t, db, book, batches[1]...)
	exec(t, conn, `SELECT pg_terminate_backend($1)`, waitFor(t, conn, waitsForTheHead))
	exec(t, conn, `COMMIT`)
	for i, done := range []<-chan result{first, second} {
		if got := <-done; !errors.Is(got.err, daybook.ErrUnclear) {
			t.Errorf("batch %d: %+v, error %v", i, got.outcomes, got.err)
		}
	}
	wantHead(t, conn, book, 0)
	for i, batch := range batches {
		wantPlaces(t, fmt.Sprint("once more, batch ", i), way{append: appendAhead}.aside(t.Context(), db, book, batch...), int64(2*i+1))
	}
}

// A batch that is called off takes the one behind with it, which is then unclear, and settled: not lost, and not recorded twice.
func TestABatchBehindOneThatIsCalledOff(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	lockHead(t, conn, book)
	ctx, cancel := context.WithCancel(t.Context())
	first := sendAhead(ctx, t, db, book, batchOf(2)...)
	behind := batchOf(2)
	second := sendAhead(t.Context(), t, db, book, behind...)
	waitFor(t, conn, waitsForTheHead)
	cancel()
	if got := <-first; !errors.Is(got.err, context.Canceled) || errors.Is(got.err, daybook.ErrUnclear) {
		t.Errorf("what was called off: %+v, error %v", got.outcomes, got.err)
	}
	if got := <-second; !errors.Is(got.err, daybook.ErrUnclear) {
		t.Errorf("what was behind: %+v, error %v", got.outcomes, got.err)
	}
	exec(t, conn, `COMMIT`)
	again := way{append: appendNow}.aside(t.Context(), db, book, behind...)
	if got := <-again; got.err != nil || got.outcomes[1].Err != nil {
		t.Errorf("once more: %+v, error %v", got.outcomes, got.err)
	}
	wantHead(t, conn, book, 2)
}

// Who waits for the head would wait for two batches each time.
func TestNoBatchGoesAheadWhileAnotherProcessWrites(t *testing.T) {
	t.Parallel()
	db, book, conn := openBook(t)
	ahead := func() bool {
		may := false
		if _, err := db.AppendAhead(t.Context(), book, batchOf(1), 0, func() { may = true }); err != nil {
			t.Fatal(err)
		}
		return may
	}
	for range 2 {
		if !ahead() {
			t.Error("nobody else writes, and no batch may go ahead")
		}
	}
	if err := callOne(t, conn, book, daybook.Recorded{}, row(account(), 1)); err != nil {
		t.Fatal(err)
	}
	ahead() // which finds it
	for i := range politeFor {
		if ahead() {
			t.Fatalf("somebody else writes, and batch %d may be followed by another one at once", i)
		}
	}
	if !ahead() {
		t.Error("nobody else writes any more, and no batch may go ahead")
	}
}

// Batches that come one after the other without a gap do not keep a connection for ever.
func TestOthersGetTheConnectionInTheirTurn(t *testing.T) {
	t.Parallel()
	db := openDB(t, with(t, migrated.DSN(t), "pool_max_conns", "1"))
	book, err := db.OpenBook(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	ln := db.ahead.of(book)
	p, err := db.newPipeline(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ln.begin(p)
	for i := 1; i < maxRun; i++ { // beside the first one, which is under way all the time
		if !ln.leads(p) {
			t.Fatalf("batch %d may not come, and there is room for it", i)
		}
		if ln.join() != p {
			t.Fatalf("batch %d does not get the connection", i)
		}
		ln.leave(p, nil)
	}
	if ln.leads(p) {
		t.Error("another batch may come while the last one is under way: it might overtake that one")
	}
	if another := ln.join(); another != nil {
		t.Errorf("after %d batches there is still another one", maxRun)
		ln.leave(another, nil)
	}
	ln.leave(p, nil)
	if _, err := db.Head(t.Context(), book); err != nil {
		t.Error(err)
	}
}

// Hand-written SQL may have thrown away what a connection had prepared.
func TestAConnectionThatHasForgottenItsStatements(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, w way) {
		t.Helper()
		db := openDB(t, with(t, migrated.DSN(t), "pool_max_conns", "1"))
		book, err := db.OpenBook(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		append2 := func() error {
			_, err := w.append(t.Context(), db, book, w.one(), w.one())
			return err
		}
		if err := append2(); err != nil {
			t.Fatal(err)
		}
		err = db.do(t.Context(), func(conn *pgx.Conn) error {
			_, err := conn.Exec(t.Context(), `DEALLOCATE ALL`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := append2(); err != nil {
			t.Errorf("the append after that: %v", err)
		}
	})
}
