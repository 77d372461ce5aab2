package daybooktest

import (
	"context"
	"errors"

	"github.com/daybook-go/daybook"
)

// projectionMutants are faults in what an engine does for projections, seen from where
// programs see them. Those of tablesMutants are seen from the library's side.
var projectionMutants = []mutant{
	{
		name:     "the engine writes checkpoints in a transaction behind that of the rows",
		wrap:     lateCheckpoints(false),
		killedBy: []string{"take turns give the tables", "a runner that wakes up too late"},
	},
	{
		name:     "the engine writes checkpoints whether their transaction is kept or not",
		wrap:     lateCheckpoints(true),
		killedBy: []string{"take turns give the tables"},
	},
	{
		name:     "the engine writes a checkpoint over any other",
		wrap:     within(overAnyOther),
		killedBy: []string{"a rebuild that wakes up too late", "a runner that wakes up too late"},
	},
	{
		name: "the engine loses the last row of an inline view",
		wrap: folding(func(rows []daybook.TableRows) []daybook.TableRows {
			if n := len(rows); n > 0 && len(rows[n-1].Rows) > 1 {
				rows[n-1].Rows = rows[n-1].Rows[1:]
			}
			return rows
		}),
		killedBy: []string{"at every moment inline read models"},
	},
	{
		name: "the engine leaves rows that an inline view drops",
		wrap: folding(func(rows []daybook.TableRows) []daybook.TableRows {
			for i := range rows {
				rows[i].Dropped = nil
			}
			return rows
		}),
		killedBy: []string{"at every moment inline read models", "every kind of column"},
	},
	{
		name: "the engine folds an append twice where it has to try again",
		wrap: working(func(w *daybook.InlineWork) {
			if fold := w.Fold; fold != nil {
				w.Fold = func(rows []daybook.Recorded, loaded [][][]any) ([]daybook.TableRows, error) {
					if _, err := fold(rows, loaded); err != nil {
						return nil, err
					}
					return fold(rows, loaded)
				}
			}
		}),
		killedBy: []string{"at every moment inline read models"},
	},
	{
		name: "the engine says that the book ends with what this handle has written last",
		wrap: func(d daybook.Driver) daybook.Driver {
			var last daybook.UUID
			return working(func(w *daybook.InlineWork) {
				if fold := w.Fold; fold != nil {
					w.Fold = func(rows []daybook.Recorded, loaded [][][]any) ([]daybook.TableRows, error) {
						w.Before(last)
						last = rows[len(rows)-1].EventID
						return fold(rows, loaded)
					}
				}
			})(d)
		},
		killedBy: []string{"whoever has appended before", "at every moment the read model"},
	},
	{
		name:     "the engine writes what Fold returns behind the append",
		wrap:     foldedBehind,
		killedBy: []string{"at every moment inline read models", "refuses one append"},
	},
	{
		name: "the engine records an append that a projection refuses",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
				out, err := d.Append(ctx, book, batch, inline)
				if errors.Is(err, daybook.ErrProjection) {
					_, again := d.Append(ctx, book, batch, daybook.InlineWork{Revision: inline.Revision})
					err = errors.Join(err, again)
				}
				return out, err
			}}
		},
		killedBy: []string{"refuses one append"},
	},
	{
		name:     "the engine appends whatever the inline projections are",
		wrap:     anyRevision,
		killedBy: []string{"only with the inline projections", "made anew"},
	},
	{
		name:     "the engine takes a name away before it stands for another table",
		wrap:     transacting(unpointed),
		killedBy: []string{"during a rebuild readers"},
	},
	{
		name: "the engine forgets what a projection passes over",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, transact: func(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
				return d.Transact(ctx, book, lockHead, func(ctx context.Context, tx daybook.DriverTx) error { return work(ctx, unskipping{tx}) })
			}}
		},
		killedBy: []string{"gives up an event"},
	},
	{
		name: "the engine shows checkpoints at the head",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, checkpoints: func(ctx context.Context, book daybook.BookID, projection string) ([]daybook.Checkpoint, error) {
				list, err := d.Checkpoints(ctx, book, projection)
				head, headErr := d.Head(ctx, book)
				for i := range list {
					list[i].Position = head.Position
				}
				return list, errors.Join(err, headErr)
			}}
		},
		killedBy: []string{"reads his own writes"},
	},
}

// overAnyOther writes checkpoints without a look at the revision.
func overAnyOther(f *faultyTx) {
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
}

// folding makes a mutant that changes what Fold returns.
func folding(change func([]daybook.TableRows) []daybook.TableRows) func(daybook.Driver) daybook.Driver {
	return working(func(w *daybook.InlineWork) {
		if fold := w.Fold; fold != nil {
			w.Fold = func(rows []daybook.Recorded, loaded [][][]any) ([]daybook.TableRows, error) {
				written, err := fold(rows, loaded)
				return change(written), err
			}
		}
	})
}

// unskipping keeps no skip.
type unskipping struct{ daybook.DriverTx }

func (unskipping) PutSkip(context.Context, daybook.Skip) error { return nil }
