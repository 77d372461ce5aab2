package postgres

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
)

// countingConn counts what is sent to the server at a time: each is a round trip.
type countingConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.sent.Add(1)
	return c.Conn.Write(p)
}

// counted makes all connections of db count, from now on.
func counted(t *testing.T, db *DB) *atomic.Int64 {
	t.Helper()
	var sent atomic.Int64
	config := db.pool.Config()
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return countingConn{conn, &sent}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	db.pool.Close()
	db.pool = pool
	return &sent
}

// With a snapshot a load is one round trip, now and at every number of the past that a
// snapshot is near to, however long the history.
func TestALoadWithASnapshotIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	db := openDB(t, with(t, migrated.DSN(t), "pool_max_conns", "1"))
	sent := counted(t, db)
	book, err := daybook.Open(t.Context(), db, "main", payments)
	if err != nil {
		t.Fatal(err)
	}
	const events = 1_030
	id := newTill()
	entry := daybook.Entry{Aggregate: id}
	for n := range events {
		entry.Events = append(entry.Events, daybook.Event{Data: payment(n)})
	}
	if _, err := book.Append(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	repo := daybook.NewRepository(book, tills, daybook.Snapshots{CheckOneIn: -1})
	load := func(n int64) int64 {
		t.Helper()
		at := daybook.Point{}
		if n < events {
			at = daybook.AtSequence(n)
		}
		before := sent.Load()
		loaded, err := repo.LoadAt(t.Context(), id, at)
		if err != nil {
			t.Fatal(err)
		}
		if loaded.SequenceNumber != n || loaded.State.Count != n {
			t.Errorf("the till at %d is %+v", n, loaded)
		}
		return sent.Load() - before
	}
	if load(events); load(events) < 2 {
		t.Error("a full replay is counted as one round trip: nothing is counted")
	}
	if err := repo.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	load(events) // prepares the statement
	for _, n := range []int64{events, 1_000, 999, 51, 50} {
		if got := load(n); got != 1 {
			t.Errorf("a load at %d takes %d round trips, want 1", n, got)
		}
	}
}
