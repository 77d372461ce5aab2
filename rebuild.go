package daybook

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// readBackRows is how many rows are read back at a time.
const readBackRows = 10_000

// RebuildOptions say how to rebuild. The zero RebuildOptions make a new generation.
type RebuildOptions struct {
	// Kept goes back to the newest generation that was live before and was made by this
	// declaration, after bringing it up to date: a rollback.
	Kept bool
	// Progress, where set, is told now and then how far the new generation is, of how far
	// it has to go.
	Progress func(position, head int64)
}

// Rebuilt is what a rebuild has made.
type Rebuilt struct {
	// Generation is live now, up to Position, with so many Rows where it is a view's.
	Generation, Position, Rows int64
	// Resumed is from where a rebuild was taken up that had not come to its end; 0 where
	// it began at the beginning.
	Resumed int64
	Took    time.Duration
}

// Rebuild makes a further generation of a read model from the first event on, beside the
// live one, which serves meanwhile; proves that its table holds what was worked out; and
// switches to it in one transaction: readers see the old one, and then the new one. The
// old one is kept as it is until [Book.DropKept].
//
// A rebuild that was killed is taken up where it was, if the declaration is still the same,
// and else removed. One that another process is at is [ErrProjectionBusy]. An event that the
// projection cannot take is a [*ProjectionError]; Rebuild can then be called again.
func (b *Book) Rebuild(ctx context.Context, p Projector, o RebuildOptions) (*Rebuilt, error) {
	d, err := b.declarationOf(p)
	if err != nil {
		return nil, err
	}
	if d.subscription != nil {
		return nil, invalid("projection "+d.name, "is a subscription, which has delivered what it has: there is nothing to rebuild")
	}
	list, err := b.generations(ctx, d.name)
	if err != nil {
		return nil, err
	}
	kind := KindBehind
	if live, found := list.in(GenerationLive); found {
		kind = live.Kind
	}
	if b.declares(d.name) != nil {
		kind = KindInline
	}
	return b.build(ctx, d, buildOrder{RebuildOptions: o, kind: kind})
}

// buildOrder is what is to be built.
type buildOrder struct {
	RebuildOptions
	kind ProjectionKind
	// ifNeeded says that there is nothing to build where another process has meanwhile.
	ifNeeded bool
}

// build makes a generation and switches to it.
func (b *Book) build(ctx context.Context, d *declaration, o buildOrder) (*Rebuilt, error) {
	began := now()
	w, err := b.beginBuilding(ctx, d, o)
	if err != nil {
		return nil, err
	}
	out := &Rebuilt{Generation: w.at.Generation, Resumed: w.at.Position}
	if err := b.buildUp(ctx, w, o); err != nil {
		if !errors.Is(err, ErrProjectionBusy) {
			if w.at.Failed == 0 {
				w.at.Failure = storable(err.Error(), maxFailureBytes)
			}
			w.release(ctx)
		}
		return nil, err
	}
	out.Position, out.Took = w.at.Position, now().Sub(began)
	if w.fold != nil {
		out.Rows = w.fold.sum().rows
	}
	return out, nil
}

// buildUp catches up, reads back, and switches. An event that the projection cannot take is
// noted, and the generation stays as it is up to there.
func (b *Book) buildUp(ctx context.Context, w *worker, o buildOrder) error {
	w.bulk = true
	w.tell(o.Progress)
	err := w.goLive(ctx, o.kind, func(ctx context.Context) error { return b.readBack(ctx, w) })
	var page *pageError // then which event it is, is to be found out
	if failedAt(err) == 0 && !errors.As(err, &page) {
		return err
	}
	head, headErr := b.Head(ctx)
	if headErr != nil {
		return errors.Join(err, headErr)
	}
	return w.stumbleAndStay(ctx, head, err)
}

// stumbleAndStay is stumble for a rebuild, which ends at an event that it cannot take.
func (w *worker) stumbleAndStay(ctx context.Context, head Head, err error) error {
	if again := w.stumble(ctx, head, err); again != nil {
		return again
	}
	return fmt.Errorf("it went well at the second attempt, so that it does not depend on the events alone: %w", err)
}

// errLooksBusy says that a generation is being built.
var errLooksBusy = errors.New("a generation is being built")

// beginBuilding makes a generation to be built, or takes up one that nobody works on.
func (b *Book) beginBuilding(ctx context.Context, d *declaration, o buildOrder) (*worker, error) {
	var other watchman
	runner := NewUUID()
	for {
		c, err := b.tryBuilding(ctx, d, o, runner, &other)
		switch {
		case err == nil:
			return b.startBuilding(ctx, d, c, runner)
		case !errors.Is(err, errLooksBusy):
			return nil, err
		case other.busy:
			return nil, fmt.Errorf("%w: another process makes generation %d of %s, and is at position %d", ErrProjectionBusy, other.seen.Generation, d.name, other.seen.Position)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(touchPause / 4):
		}
	}
}

// tryBuilding is beginBuilding where nobody else builds, and errLooksBusy where somebody
// may.
func (b *Book) tryBuilding(ctx context.Context, d *declaration, o buildOrder, runner UUID, other *watchman) (c Checkpoint, err error) {
	err = b.transact(ctx, d.name, false, func(ctx context.Context, tx DriverTx) error {
		list, err := tx.Checkpoints(ctx, d.name)
		if err != nil {
			return err
		}
		all := generations(list)
		if err := d.fits(all); err != nil {
			return err
		}
		live, hasLive := all.in(GenerationLive)
		building, found := all.in(GenerationBuilding)
		switch {
		case found && !other.silent(building):
			return errLooksBusy
		case !found && !other.since.IsZero(), o.ifNeeded && hasLive && live.Declared == d.fingerprint() && live.Kind == o.kind:
			return fmt.Errorf("%w: another process has just made a generation of %s", ErrProjectionBusy, d.name)
		}
		state, err := tx.State(ctx)
		if err != nil {
			return err
		}
		if found && building.Declared == d.fingerprint() && building.Kind == o.kind && !o.Kept && belongs(building, state) == nil {
			c = building
		} else if c, err = d.toBuild(ctx, tx, b, all, o, state); err != nil {
			return err
		}
		c.Kind, c.State, c.Runner, c.Failed, c.Failure = o.kind, GenerationBuilding, runner, 0, ""
		err = put(ctx, tx, c)
		c.Revision++
		return err
	})
	return c, err
}

// toBuild is a new generation, or one that was kept, after removing one that was begun.
func (d *declaration) toBuild(ctx context.Context, tx DriverTx, b *Book, all generations, o buildOrder, state BookState) (Checkpoint, error) {
	if begun, found := all.in(GenerationBuilding); found {
		if err := removeGeneration(ctx, tx, b, d, begun); err != nil {
			return Checkpoint{}, err
		}
	}
	if !o.Kept {
		return d.createIn(ctx, tx, b, all.next(), Checkpoint{Kind: o.kind, State: GenerationBuilding})
	}
	kept, found := all.keptBy(d.fingerprint())
	if !found {
		return kept, invalid("projection "+d.name, "has no kept generation that was made by this declaration")
	}
	return kept, belongs(kept, state)
}

func removeGeneration(ctx context.Context, tx DriverTx, b *Book, d *declaration, c Checkpoint) error {
	if err := d.remove(ctx, tx, b.name, c); err != nil {
		return err
	}
	done, err := tx.DropCheckpoint(ctx, c)
	if err == nil && !done {
		err = errTaken
	}
	return err
}

// startBuilding returns a worker for a generation. What is in its table already is added
// up, and believed.
func (b *Book) startBuilding(ctx context.Context, d *declaration, c Checkpoint, runner UUID) (*worker, error) {
	w, err := b.claim(ctx, d, c, runner)
	if err != nil || w.fold == nil {
		return w, err
	}
	sum, err := b.sumOfTable(ctx, d.table(b.name, c.Generation), nil)
	if err != nil {
		w.release(ctx)
		return nil, err
	}
	w.fold.begin(sum, sum.rows == 0)
	return w, nil
}

// readBack proves that the table holds the rows that were worked out.
func (b *Book) readBack(ctx context.Context, w *worker) error {
	if w.fold == nil {
		return nil
	}
	sum, err := b.sumOfTable(ctx, w.d.table(b.name, w.at.Generation), w.touch)
	if err != nil {
		return err
	}
	if want := w.fold.sum(); sum != want {
		err := b.transact(ctx, w.d.name, false, func(ctx context.Context, tx DriverTx) error { return removeGeneration(ctx, tx, b, w.d, w.at) })
		return errors.Join(fmt.Errorf("daybook: projection %s: its new table has %d rows where %d were written, or others: somebody else writes to it, or a column does not keep what it is given. The generation is removed, and the live one stays", w.d.name, sum.rows, want.rows), err)
	}
	return nil
}

// sumOfTable adds up the rows of a table.
func (b *Book) sumOfTable(ctx context.Context, t Table, meanwhile func(context.Context) error) (sum rowSum, err error) {
	err = eachRow(ctx, b.driver, t, func(rows [][]any) error {
		for _, row := range rows {
			sum.add(sumOf(row))
		}
		if meanwhile == nil {
			return nil
		}
		return meanwhile(ctx)
	})
	return sum, err
}
