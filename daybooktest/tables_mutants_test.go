package daybooktest

import (
	"context"
	"slices"
	"strings"

	"github.com/daybook-go/daybook"
)

// tablesMutants are faults in what an engine does for projections.
var tablesMutants = []mutant{
	{
		name:     "the engine writes checkpoints in a transaction behind that of the rows",
		wrap:     lateCheckpoints(false),
		killedBy: []string{"one snapshot while others write", "sees its own writes", "over the revision that was read", "exactly one does"},
	},
	{
		name:     "the engine writes checkpoints whether their transaction is kept or not",
		wrap:     lateCheckpoints(true),
		killedBy: []string{"kept whole or not at all"},
	},
	{
		name: "the engine writes a checkpoint over any other",
		wrap: within(func(f *faultyTx) {
			f.put = func(ctx context.Context, c daybook.Checkpoint) (bool, error) {
				there, err := f.Checkpoints(ctx, c.Projection)
				if err != nil {
					return false, err
				}
				c.Revision = 0
				for _, other := range there {
					if other.Generation == c.Generation {
						c.Revision = other.Revision
					}
				}
				return f.DriverTx.PutCheckpoint(ctx, c)
			}
		}),
		killedBy: []string{"over the revision that was read", "exactly one does"},
	},
	{
		name:     "the engine writes what Fold returns behind the append",
		wrap:     foldedBehind,
		killedBy: []string{"fold of the events in it", "of which a projection fails", "sees the folded rows"},
	},
	{
		name:     "the engine appends whatever the inline projections are",
		wrap:     anyRevision,
		killedBy: []string{"for other inline projections"},
	},
	{
		name:     "the engine takes a name away before it stands for another table",
		wrap:     transacting(unpointed),
		killedBy: []string{"stands for one table or the other"},
	},
	{
		name: "the engine ends the work of a transaction that was called off as if it were not",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, transact: func(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
				return d.Transact(context.WithoutCancel(ctx), book, lockHead, work)
			}}
		},
		killedBy: []string{"kept whole or not at all"},
	},
	{
		name: "the engine takes a new snapshot for every question to a pin",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, pin: func(_ context.Context, book daybook.BookID) (daybook.PinnedTables, error) {
				return unpinned{d, book}, nil
			}}
		},
		killedBy: []string{"one snapshot while others write", "fold of the events in it"},
	},
	{
		name: "the engine folds what was there already, too",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
				out, err := d.Append(ctx, book, batch, inline)
				for _, o := range out {
					if err == nil && o.Duplicate && inline.Fold != nil {
						err = d.Transact(ctx, book, false, func(ctx context.Context, tx daybook.DriverTx) error { return foldIn(ctx, tx, inline, o.Records) })
					}
				}
				return out, err
			}}
		},
		killedBy: []string{"events that are new, once"},
	},
	{
		name: "the engine passes over an error of hand-written SQL",
		wrap: working(func(w *daybook.InlineWork) {
			if apply := w.Apply; apply != nil {
				w.Apply = func(ctx context.Context, tx daybook.Tx, rows []daybook.Recorded) error {
					_ = apply(ctx, tx, rows)
					return nil
				}
			}
		}),
		killedBy: []string{"of which a projection fails"},
	},
	{
		name: "the engine runs hand-written SQL before Fold",
		wrap: working(func(w *daybook.InlineWork) {
			if w.Apply != nil {
				// The rows of Fold are not there, because it is not called.
				w.Keys, w.Fold = nil, nil
			}
		}),
		killedBy: []string{"sees the folded rows"},
	},
	{
		name: "the engine loads the first row of several only",
		wrap: within(func(f *faultyTx) {
			f.load = func(ctx context.Context, keys daybook.TableKeys) ([][]any, error) {
				rows, err := f.DriverTx.LoadRows(ctx, keys)
				return rows[:min(1, len(rows))], err
			}
		}),
		killedBy: []string{"rows come back", "however many there are"},
	},
	{
		name: "the engine leaves rows as they are",
		wrap: within(func(f *faultyTx) {
			f.write = func(ctx context.Context, rows daybook.TableRows) error {
				keys := daybook.TableKeys{Table: rows.Table}
				for _, row := range rows.Rows {
					keys.Keys = append(keys.Keys, row[:rows.Table.Key])
				}
				there, err := f.DriverTx.LoadRows(ctx, keys)
				if err != nil {
					return err
				}
				rows.Rows = slices.DeleteFunc(slices.Clone(rows.Rows), func(row []any) bool {
					return slices.ContainsFunc(there, func(other []any) bool { return keyText(rows.Table, other) == keyText(rows.Table, row) })
				})
				return f.DriverTx.WriteRows(ctx, rows)
			}
		}),
		killedBy: []string{"rows come back", "one snapshot while others write"},
	},
	{
		name: "the engine makes a table over another",
		wrap: within(func(f *faultyTx) {
			f.create = func(ctx context.Context, t daybook.Table) error {
				if err := f.DropTable(ctx, t.Name); err != nil {
					return err
				}
				return f.DriverTx.CreateTable(ctx, t)
			}
		}),
		killedBy: []string{"a name that nothing else has"},
	},
	{
		name:     "the engine selects rows forward only",
		wrap:     selecting(func(q *daybook.RowQuery) { q.Reverse = false }),
		killedBy: []string{"selected rows equal", "pages of rows"},
	},
	{
		name:     "the engine ignores a condition",
		wrap:     selecting(func(q *daybook.RowQuery) { q.Where = q.Where[:min(1, len(q.Where))] }),
		killedBy: []string{"selected rows equal"},
	},
	{
		name:     "the engine ignores After",
		wrap:     selecting(func(q *daybook.RowQuery) { q.After = nil }),
		killedBy: []string{"selected rows equal", "pages of rows"},
	},
	{
		name: "the engine compares with the first column of an order only",
		wrap: selecting(func(q *daybook.RowQuery) {
			if len(q.After) > 1 {
				q.Where = append(slices.Clone(q.Where), daybook.Condition{Column: q.Order[0], Op: map[bool]daybook.Op{false: daybook.Greater, true: daybook.Less}[q.Reverse], Value: q.After[0]})
				q.After = nil
			}
		}),
		killedBy: []string{"selected rows equal", "pages of rows"},
	},
	{
		name: "the engine orders text as a dictionary does",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, rows: func(ctx context.Context, q daybook.RowQuery) ([][]any, error) {
				rows, err := d.SelectRows(ctx, q)
				if len(q.Order) == 1 && len(q.Columns) > 0 && q.Columns[0].Name == q.Order[0] && q.Columns[0].Type == daybook.TextColumn && !q.Reverse {
					slices.SortStableFunc(rows, func(a, b []any) int {
						return strings.Compare(strings.ToLower(a[0].(string)), strings.ToLower(b[0].(string)))
					})
				}
				return rows, err
			}}
		},
		killedBy: []string{"pages of rows"},
	},
	{
		name: "the engine has one list of checkpoints for all books",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d,
				transact: func(ctx context.Context, _ daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
					return d.Transact(ctx, 1, lockHead, work)
				},
				checkpoints: func(ctx context.Context, _ daybook.BookID, projection string) ([]daybook.Checkpoint, error) {
					return d.Checkpoints(ctx, 1, projection)
				},
			}
		},
		killedBy: []string{"the projections of one book"},
	},
}
