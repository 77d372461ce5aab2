package daybooktest

import (
	"context"
	"errors"

	"github.com/daybook-go/daybook"
)

// faultyTx is a sound transaction of which some calls are replaced.
type faultyTx struct {
	daybook.DriverTx
	put    func(context.Context, daybook.Checkpoint) (bool, error)
	point  func(context.Context, string, daybook.Table) error
	load   func(context.Context, daybook.TableKeys) ([][]any, error)
	write  func(context.Context, daybook.TableRows) error
	create func(context.Context, daybook.Table) error
}

func (f *faultyTx) PutCheckpoint(ctx context.Context, c daybook.Checkpoint) (bool, error) {
	if f.put != nil {
		return f.put(ctx, c)
	}
	return f.DriverTx.PutCheckpoint(ctx, c)
}

func (f *faultyTx) Point(ctx context.Context, name string, t daybook.Table) error {
	if f.point != nil {
		return f.point(ctx, name, t)
	}
	return f.DriverTx.Point(ctx, name, t)
}

func (f *faultyTx) LoadRows(ctx context.Context, keys daybook.TableKeys) ([][]any, error) {
	if f.load != nil {
		return f.load(ctx, keys)
	}
	return f.DriverTx.LoadRows(ctx, keys)
}

func (f *faultyTx) WriteRows(ctx context.Context, rows daybook.TableRows) error {
	if f.write != nil {
		return f.write(ctx, rows)
	}
	return f.DriverTx.WriteRows(ctx, rows)
}

func (f *faultyTx) CreateTable(ctx context.Context, t daybook.Table) error {
	if f.create != nil {
		return f.create(ctx, t)
	}
	return f.DriverTx.CreateTable(ctx, t)
}

// transacting makes a mutant whose transactions are changed, and which does something
// behind each of them: it gets the error of the transaction, and returns that of the call.
func transacting(change func(*faultyTx) (behind func(ctx context.Context, d daybook.Driver, book daybook.BookID, err error) error)) func(daybook.Driver) daybook.Driver {
	return func(d daybook.Driver) daybook.Driver {
		return &faulty{Driver: d, transact: func(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
			var behind func(context.Context, daybook.Driver, daybook.BookID, error) error
			err := d.Transact(ctx, book, lockHead, func(ctx context.Context, tx daybook.DriverTx) error {
				f := &faultyTx{DriverTx: tx}
				behind = change(f)
				return work(ctx, f)
			})
			if behind == nil {
				return err
			}
			return behind(context.WithoutCancel(ctx), d, book, err)
		}}
	}
}

// lateCheckpoints holds checkpoints back from a transaction, and writes them in another
// one behind it; or, where it failed, only when always says so.
func lateCheckpoints(always bool) func(daybook.Driver) daybook.Driver {
	return transacting(func(f *faultyTx) func(context.Context, daybook.Driver, daybook.BookID, error) error {
		var late []daybook.Checkpoint
		f.put = func(_ context.Context, c daybook.Checkpoint) (bool, error) {
			late = append(late, c)
			return true, nil
		}
		return func(ctx context.Context, d daybook.Driver, book daybook.BookID, err error) error {
			if err != nil && !always {
				return err
			}
			return errors.Join(err, d.Transact(ctx, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
				for _, c := range late {
					if _, err := tx.PutCheckpoint(ctx, c); err != nil {
						return err
					}
				}
				return nil
			}))
		}
	})
}

// unpointed takes a name away in a transaction, and has it stand for its new table in
// another one behind it.
func unpointed(f *faultyTx) func(context.Context, daybook.Driver, daybook.BookID, error) error {
	late := map[string]daybook.Table{}
	f.point = func(ctx context.Context, name string, t daybook.Table) error {
		late[name] = t
		return f.Unpoint(ctx, name)
	}
	return func(ctx context.Context, d daybook.Driver, book daybook.BookID, err error) error {
		if err != nil || len(late) == 0 {
			return err
		}
		return d.Transact(ctx, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
			for name, t := range late {
				if err := tx.Point(ctx, name, t); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// within makes a mutant whose transactions are changed, and nothing else.
func within(change func(*faultyTx)) func(daybook.Driver) daybook.Driver {
	return transacting(func(f *faultyTx) func(context.Context, daybook.Driver, daybook.BookID, error) error {
		change(f)
		return nil
	})
}

// working makes a mutant that changes what is to be done with an append.
func working(change func(*daybook.InlineWork)) func(daybook.Driver) daybook.Driver {
	return func(d daybook.Driver) daybook.Driver {
		return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
			change(&inline)
			return d.Append(ctx, book, batch, inline)
		}}
	}
}

// selecting makes a mutant that changes questions about rows, wherever they are asked.
func selecting(change func(*daybook.RowQuery)) func(daybook.Driver) daybook.Driver {
	return func(d daybook.Driver) daybook.Driver {
		return &faulty{Driver: d, rows: func(ctx context.Context, q daybook.RowQuery) ([][]any, error) {
			change(&q)
			return d.SelectRows(ctx, q)
		}}
	}
}

// foldedBehind writes what Fold makes of an append in a transaction of its own behind it.
func foldedBehind(d daybook.Driver) daybook.Driver {
	return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
		later := inline
		inline.Keys, inline.Fold = nil, nil
		out, err := d.Append(ctx, book, batch, inline)
		if err != nil || later.Fold == nil {
			return out, err
		}
		var rows []daybook.Recorded
		for _, o := range out {
			if !o.Duplicate {
				rows = append(rows, o.Records...)
			}
		}
		if len(rows) == 0 {
			return out, nil
		}
		return out, d.Transact(ctx, book, false, func(ctx context.Context, tx daybook.DriverTx) error { return foldIn(ctx, tx, later, rows) })
	}}
}

// foldIn does in a transaction what an engine does in an append.
func foldIn(ctx context.Context, tx daybook.DriverTx, work daybook.InlineWork, rows []daybook.Recorded) error {
	keys, err := work.Keys(rows)
	if err != nil {
		return err
	}
	loaded := make([][][]any, len(keys))
	for i, k := range keys {
		if loaded[i], err = tx.LoadRows(ctx, k); err != nil {
			return err
		}
	}
	written, err := work.Fold(rows, loaded)
	if err != nil {
		return err
	}
	for _, w := range written {
		if err := tx.WriteRows(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// anyRevision appends whatever the inline projections are.
func anyRevision(d daybook.Driver) daybook.Driver {
	return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
		pin, err := d.Pin(ctx, book)
		if err != nil {
			return nil, err
		}
		state, err := pin.State(ctx)
		if err := errors.Join(err, pin.Close()); err != nil {
			return nil, err
		}
		inline.Revision = state.Inline
		return d.Append(ctx, book, batch, inline)
	}}
}

// unpinned takes a new snapshot for every question.
type unpinned struct {
	d    daybook.Driver
	book daybook.BookID
}

// look asks a question.
func look[T any](ctx context.Context, u unpinned, ask func(daybook.TablesReader) (T, error)) (T, error) {
	pin, err := u.d.Pin(ctx, u.book)
	if err != nil {
		return *new(T), err
	}
	answer, err := ask(pin)
	return answer, errors.Join(err, pin.Close())
}

func (u unpinned) State(ctx context.Context) (daybook.BookState, error) {
	return look(ctx, u, func(r daybook.TablesReader) (daybook.BookState, error) { return r.State(ctx) })
}

func (u unpinned) Checkpoints(ctx context.Context, projection string) ([]daybook.Checkpoint, error) {
	return look(ctx, u, func(r daybook.TablesReader) ([]daybook.Checkpoint, error) { return r.Checkpoints(ctx, projection) })
}

func (u unpinned) Skips(ctx context.Context, projection string) ([]daybook.Skip, error) {
	return look(ctx, u, func(r daybook.TablesReader) ([]daybook.Skip, error) { return r.Skips(ctx, projection) })
}

func (u unpinned) SelectRows(ctx context.Context, q daybook.RowQuery) ([][]any, error) {
	return look(ctx, u, func(r daybook.TablesReader) ([][]any, error) { return r.SelectRows(ctx, q) })
}

func (u unpinned) Read(ctx context.Context, q daybook.Query) ([]daybook.Recorded, error) {
	return look(ctx, u, func(r daybook.TablesReader) ([]daybook.Recorded, error) { return r.Read(ctx, q) })
}

func (u unpinned) Close() error { return nil }
