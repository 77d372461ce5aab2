package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

var errMine = errors.New("this is mine")

// changes is a transaction that changes one of everything: of a table, of a new one and of
// a name that stands for it, and of the checkpoint and the skips of "p".
type changes struct {
	old, made daybook.Table
	name      string
}

func (c changes) work(ctx context.Context, tx daybook.DriverTx) error {
	if err := tx.WriteRows(ctx, daybook.TableRows{Table: c.old, Rows: [][]any{{"new", int64(2)}}, Dropped: [][]any{{"old"}}}); err != nil {
		return err
	}
	if err := tx.CreateTable(ctx, c.made); err != nil {
		return err
	}
	if err := tx.WriteRows(ctx, daybook.TableRows{Table: c.made, Rows: [][]any{{"made", int64(3)}}}); err != nil {
		return err
	}
	if err := tx.Point(ctx, c.name, c.made); err != nil {
		return err
	}
	if ok, err := tx.PutCheckpoint(ctx, checkpoint("p", 1)); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("the checkpoint is written: %v", ok))
	}
	return tx.PutSkip(ctx, daybook.Skip{Projection: "p", Position: 1})
}

// seen returns in one text what there is of what work changes.
func (c changes) seen(ctx context.Context, r daybook.TablesReader) (string, error) {
	checkpoints, err := r.Checkpoints(ctx, "p")
	if err != nil {
		return "", err
	}
	skips, err := r.Skips(ctx, "p")
	if err != nil {
		return "", err
	}
	rows, err := r.SelectRows(ctx, daybook.RowQuery{Table: c.old.Name, Columns: c.old.Columns, Order: []string{"name"}})
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d checkpoints, %d skips, the rows %v", len(checkpoints), len(skips), rows)
	if len(checkpoints) > 0 { // else there may be no such table: a question about it ends a transaction
		pointed, err := r.SelectRows(ctx, daybook.RowQuery{Table: c.name, Columns: c.made.Columns})
		return fmt.Sprintf("%s and %v", text, pointed), err
	}
	return text, nil
}

const (
	nothingSeen    = "0 checkpoints, 0 skips, the rows [[old 1]]"
	everythingSeen = "1 checkpoints, 1 skips, the rows [[new 2]] and [[made 3]]"
)

// transactionsAreWhole ends transactions in every way.
func transactionsAreWhole(s *scene) {
	c := changes{old: counters(), made: counters(), name: newName("v")}
	s.create(c.old)
	s.put(c.old, []any{"old", int64(1)})
	look := func(after, want string) {
		s.Helper()
		pin := s.pin(1)
		defer s.unpin(pin)
		if got, err := c.seen(s.Context(), pin); err != nil || got != want {
			s.Errorf("after %s: %s, %v, want %s", after, got, err, want)
		}
	}
	for after, fail := range map[string]func(cancel func()) error{
		"an error of work": func(func()) error { return errMine },
		"a panic of work":  func(func()) error { panic(errMine) },
		"a context that was cancelled before the commit": func(cancel func()) error { cancel(); return nil },
	} {
		ctx, cancel := context.WithCancel(s.Context())
		panicked, err := s.transactPanicking(ctx, func(ctx context.Context, tx daybook.DriverTx) error {
			if err := c.work(ctx, tx); err != nil {
				return err
			}
			return fail(cancel)
		})
		cancel()
		switch {
		case after == "a panic of work" && panicked != any(errMine):
			s.Errorf("a panic of work comes out as %v, and the error %v", panicked, err)
		case after == "an error of work" && !errors.Is(err, errMine):
			s.Errorf("%s is returned as %v", after, err)
		case after != "a panic of work" && after != "an error of work" && !errors.Is(err, context.Canceled):
			s.Errorf("%s is returned as %v", after, err)
		}
		look(after, nothingSeen)
		for _, name := range []string{c.name, c.made.Name} {
			if rows, err := s.drivers[1].SelectRows(s.Context(), daybook.RowQuery{Table: name, Columns: c.made.Columns}); err == nil {
				s.Errorf("after %s there is %s with the rows %v", after, name, rows)
			}
		}
	}
	if err := s.driver.Transact(s.Context(), s.id, false, c.work); err != nil {
		s.Errorf("the same without a fault: %v", err)
	}
	look("the same without a fault", everythingSeen)
}

// transactPanicking returns with what Transact panics.
func (s *scene) transactPanicking(ctx context.Context, work func(ctx context.Context, tx daybook.DriverTx) error) (panicked any, err error) {
	defer func() { panicked = recover() }()
	return nil, s.driver.Transact(ctx, s.id, false, work)
}

// transactionsSeeThemselves looks at a transaction's own writes before it ends.
func transactionsSeeThemselves(s *scene) {
	c := changes{old: counters(), made: counters(), name: newName("v")}
	s.create(c.old)
	s.put(c.old, []any{"old", int64(1)})
	records := s.append(entry(newAggregate(), daybook.NoEvents(), "1", "2"))
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		if err := c.work(ctx, tx); err != nil {
			return err
		}
		if got, err := c.seen(ctx, tx); err != nil || got != everythingSeen {
			s.Errorf("in the transaction: %s, %v, want %s", got, err, everythingSeen)
		}
		loaded, err := tx.LoadRows(ctx, daybook.TableKeys{Table: c.old, Keys: [][]any{{"new"}, {"old"}}})
		if err != nil {
			return err
		}
		s.sameRows("rows loaded in the transaction", c.old.Columns, loaded, [][]any{{"new", int64(2)}})
		var n int64
		if err := tx.SQL().QueryRowContext(ctx, `SELECT n FROM `+c.name+` WHERE name = $1 AND n > $2`, "made", 1).Scan(&n); err != nil || n != 3 {
			s.Errorf("hand-written SQL in the transaction: %d, %v, want 3", n, err)
		}
		read, err := tx.Read(ctx, daybook.Query{Limit: 10})
		if err != nil {
			return err
		}
		s.same("the events in the transaction", read, records)
		state, err := tx.State(ctx)
		if err != nil {
			return err
		}
		if state.Position != 2 || !state.RecordedAt.Equal(records[1].RecordedAt) || state.Inline != 0 || state.Incarnation.IsZero() {
			s.Errorf("the state in the transaction is %+v", state)
		}
		pin := s.pin(1) //nolint:contextcheck // a check has its test's context
		defer s.unpin(pin)
		if got, err := c.seen(s.Context(), pin); err != nil || got != nothingSeen { //nolint:contextcheck // a check has its test's context
			s.Errorf("beside the transaction: %s, %v, want %s", got, err, nothingSeen)
		}
		return nil
	})
}

// handwrittenRows writes and reads by hand what is in the tables.
func handwrittenRows(s *scene) {
	table := counters()
	s.create(table)
	s.put(table, []any{"a", int64(1)}, []any{"b", int64(2)}, []any{"c", int64(3)})
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		result, err := tx.SQL().ExecContext(ctx, `UPDATE `+table.Name+` SET n = n + $1 WHERE name >= $2`, 10, "b")
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 2 {
			s.Errorf("an UPDATE of two rows has changed %d, %v", n, err)
		}
		if _, err := tx.SQL().ExecContext(ctx, `INSERT INTO `+table.Name+` (name, n) VALUES ($1, $2)`, "d", int64(4)); err != nil {
			return err
		}
		rows, err := tx.SQL().QueryContext(ctx, `SELECT name, n FROM `+table.Name+` WHERE n < $1 OR name = $2 ORDER BY name`, 13, "c")
		if err != nil {
			return err
		}
		defer rows.Close()
		var got [][]any
		for rows.Next() {
			var name string
			var n int64
			if err := rows.Scan(&name, &n); err != nil {
				return err
			}
			got = append(got, []any{name, n})
		}
		s.sameRows("rows read by hand", table.Columns, got, [][]any{{"a", int64(1)}, {"b", int64(12)}, {"c", int64(13)}, {"d", int64(4)}})
		return rows.Err()
	})
	s.sameRows("rows written by hand", table.Columns, s.whole(table), [][]any{{"a", int64(1)}, {"b", int64(12)}, {"c", int64(13)}, {"d", int64(4)}})
	err := s.driver.Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error {
		_, err := tx.SQL().ExecContext(ctx, `DELETE FROM `+table.Name)
		return errors.Join(err, errMine)
	})
	s.refused("a transaction that fails", err, errMine)
	if n := len(s.whole(table)); n != 4 {
		s.Errorf("after a DELETE by hand in a transaction that has failed there are %d rows, want 4", n)
	}
}

// lockedHead appends while the head is locked, through both handles.
func lockedHead(s *scene) {
	s.append(entry(newAggregate(), daybook.NoEvents(), "before"))
	type appended struct {
		records []daybook.Recorded
		err     error
	}
	done := make(chan appended, 2)
	var seen daybook.BookState
	started := false
	err := s.driver.Transact(s.Context(), s.id, true, func(ctx context.Context, tx daybook.DriverTx) (err error) {
		if seen, err = tx.State(ctx); err != nil {
			return err
		}
		if !started { // work may be called again
			started = true
			for _, book := range s.books {
				go func() { //nolint:contextcheck // a check has its test's context
					records, err := book.Append(s.Context(), entry(newAggregate(), daybook.NoEvents(), "meanwhile"))
					done <- appended{records, err}
				}()
			}
		}
		select {
		case a := <-done:
			return fmt.Errorf("an append while the head is locked has ended: %+v", a)
		case <-time.After(100 * time.Millisecond):
		}
		again, err := tx.State(ctx)
		if err != nil {
			return err
		}
		if diff := gocmp.Diff(seen, again); diff != "" {
			s.Errorf("the state has changed while the head is locked (-first +then):\n%s", diff)
		}
		c := checkpoint("p", 1)
		c.Position = seen.Position
		_, err = tx.PutCheckpoint(ctx, c)
		return err
	})
	if err != nil {
		s.Fatalf("Transact: %v", err)
	}
	for range s.books {
		a := <-done
		if a.err != nil {
			s.Errorf("an append that has waited: %v", a.err)
			continue
		}
		if a.records[0].Position <= seen.Position || !a.records[0].RecordedAt.After(seen.RecordedAt) {
			s.Errorf("an append that has waited is recorded as %v at %v, want it behind position %d and %v", a.records[0], a.records[0].RecordedAt, seen.Position, seen.RecordedAt)
		}
	}
	if c := s.checkpoints("p"); len(c) != 1 || c[0].Position != 1 || seen.Position != 1 {
		s.Errorf("the checkpoint is %+v, the head was at %d, want both at 1", c, seen.Position)
	}
}
