package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// numbered makes a table of which every row has its number, and points to it.
func numbered(ctx context.Context, tx daybook.DriverTx, name string, size int, number int64) (daybook.Table, error) {
	table := counters()
	rows := make([][]any, 0, size)
	for i := range size {
		rows = append(rows, []any{fmt.Sprintf("%02d", i), number})
	}
	err := tx.CreateTable(ctx, table)
	if err == nil {
		err = tx.WriteRows(ctx, daybook.TableRows{Table: table, Rows: rows})
	}
	if err == nil {
		err = tx.Point(ctx, name, table)
	}
	return table, err
}

// namesSwitch makes a name stand for one table after the other, while others read
// through it.
func namesSwitch(s *scene) {
	const size = 20
	name := newName("v")
	var at daybook.Table
	build := func(ctx context.Context, tx daybook.DriverTx, number int64) (daybook.Table, error) {
		return numbered(ctx, tx, name, size, number)
	}
	s.transact(func(ctx context.Context, tx daybook.DriverTx) (err error) {
		at, err = build(ctx, tx, 0)
		return err
	})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() { s.readsOneTable(done, s.drivers[i%2], name, size) })
	}
	for number := range times(50) {
		var next daybook.Table
		err := s.driver.Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) (err error) {
			if next, err = build(ctx, tx, int64(number)+1); err != nil {
				return err
			}
			return tx.DropTable(ctx, at.Name)
		})
		if err != nil {
			s.Errorf("switch %d: %v", number+1, err)
			break
		}
		at = next
	}
	close(done)
	readers.Wait()
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		if err := tx.Point(ctx, name, at); err != nil { // what it stands for already
			return err
		}
		return tx.Unpoint(ctx, name)
	})
	if rows, err := s.driver.SelectRows(s.Context(), daybook.RowQuery{Table: name, Columns: at.Columns}); err == nil {
		s.Errorf("a name that stands for nothing any more has the rows %v", rows)
	}
	if n := len(s.whole(at)); n != size {
		s.Errorf("the table that it stood for has %d rows, want %d", n, size)
	}
}

// readsOneTable reads through a name until done is closed, and then once more: all rows of
// one table, and never of one before.
func (s *scene) readsOneTable(done <-chan struct{}, driver daybook.Driver, name string, size int) {
	for last, ended := int64(0), false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		rows, err := driver.SelectRows(s.Context(), daybook.RowQuery{Table: name, Columns: counters().Columns, Order: []string{"name"}})
		if err != nil || len(rows) != size {
			s.Errorf("reading while a name is switched: %d rows, want %d: %v", len(rows), size, err)
			return
		}
		for _, row := range rows {
			if row[1] != rows[0][1] || row[1].(int64) < last {
				s.Errorf("the rows are of two tables, or of one before: after %d, %v", last, rows)
				return
			}
		}
		last = rows[0][1].(int64)
		if ended && last != int64(times(50)) {
			s.Errorf("the last table read is %d, want %d", last, times(50))
		}
	}
}

// view is what can be read in a pin, in one value.
type view struct {
	State       daybook.BookState
	Checkpoints []daybook.Checkpoint
	Skips       []daybook.Skip
	Rows        [][]any
	Positions   []int64
}

// viewed reads a view, beginning with any part of it.
func viewed(ctx context.Context, r daybook.TablesReader, table daybook.Table, first int) (v view, err error) {
	parts := []func() error{
		func() (err error) { v.State, err = r.State(ctx); return err },
		func() (err error) { v.Checkpoints, err = r.Checkpoints(ctx, ""); return err },
		func() (err error) { v.Skips, err = r.Skips(ctx, "p"); return err },
		func() (err error) {
			v.Rows, err = r.SelectRows(ctx, daybook.RowQuery{Table: table.Name, Columns: table.Columns, Order: []string{"name"}})
			return err
		},
		func() error {
			records, err := r.Read(ctx, daybook.Query{Limit: 10_000})
			for _, rec := range records {
				v.Positions = append(v.Positions, rec.Position)
			}
			return err
		},
	}
	for i := range parts {
		if err := parts[(first+i)%len(parts)](); err != nil {
			return v, err
		}
	}
	return v, nil
}

// pinsAreSnapshots reads in pins what belongs together while others write it.
func pinsAreSnapshots(s *scene) {
	table := counters()
	s.create(table)
	c := checkpoint("p", 1)
	c.Position = 0
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		_, err := tx.PutCheckpoint(ctx, c)
		return errors.Join(err, tx.WriteRows(ctx, daybook.TableRows{Table: table, Rows: [][]any{{"n", int64(0)}}}))
	})
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	var writers sync.WaitGroup
	writers.Go(func() {
		for i := int64(1); ctx.Err() == nil; i++ {
			err := s.drivers[1].Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error { //nolint:contextcheck // a check has its test's context
				c := c
				c.Position, c.Revision = i, i
				ok, err := tx.PutCheckpoint(ctx, c)
				if err == nil && !ok {
					err = errMine
				}
				return errors.Join(err, tx.PutSkip(ctx, daybook.Skip{Projection: "p", Position: i}),
					tx.WriteRows(ctx, daybook.TableRows{Table: table, Rows: [][]any{{"n", i}}}))
			})
			if err != nil {
				s.Errorf("write %d: %v", i, err)
				return
			}
		}
	})
	writers.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.books[1].Append(s.Context(), entry(newAggregate(), daybook.NoEvents(), "1", "2")); err != nil { //nolint:contextcheck // a check has its test's context
				s.Errorf("Append: %v", err)
				return
			}
		}
	})
	var before view
	for i := range times(40) {
		before = s.pinned(table, i, before)
	}
	cancel()
	writers.Wait()
	if before.State.Position == 0 || before.Checkpoints[0].Position == 0 {
		s.Errorf("nothing was written meanwhile, or no pin has seen it: %+v", before)
	}
}

// pinned holds one pin to what it must show, and returns that.
func (s *scene) pinned(table daybook.Table, round int, before view) view {
	s.Helper()
	pin := s.pin(round % 2)
	defer s.unpin(pin)
	pause(s.Context(), 2*time.Millisecond) // others write meanwhile
	v, err := viewed(s.Context(), pin, table, round)
	if err != nil {
		s.Fatalf("reading in a pin: %v", err)
	}
	n, at := v.Rows[0][1].(int64), v.Checkpoints[0]
	if n != at.Position || at.Revision != n+1 || int64(len(v.Skips)) != n || v.State.Position != int64(len(v.Positions)) || n < before.count() || v.State.Position < before.State.Position {
		s.Errorf("a pin shows the row %d, the checkpoint %d at revision %d, %d skips; the head %d, %d events", n, at.Position, at.Revision, len(v.Skips), v.State.Position, len(v.Positions))
	}
	again, err := viewed(s.Context(), pin, table, round+1)
	if err != nil {
		s.Fatalf("reading in a pin again: %v", err)
	}
	if diff := gocmp.Diff(v, again); diff != "" {
		s.Errorf("a pin shows something else after a while (-first +then):\n%s", diff)
	}
	return v
}

func (v view) count() int64 {
	if len(v.Rows) == 0 {
		return 0
	}
	return v.Rows[0][1].(int64)
}
