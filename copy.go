package daybook

import (
	"context"
	"fmt"
	"math"
)

// maxCopies bounds the copies of a view. Where there would be more, the one goes that lies
// nearest between its neighbours.
const maxCopies = 32

// CopyView keeps a copy of the live generation of a view, for [View.At] to start from. One
// that is inline keeps appends waiting while it is copied.
func (b *Book) CopyView(ctx context.Context, p Projector) (position int64, err error) {
	d, err := b.declarationOf(p)
	if err != nil {
		return 0, err
	}
	if d.table == nil {
		return 0, invalid("projection "+d.name, "is no view: only these can be copied")
	}
	err = b.change(ctx, d.name, true, func(ctx context.Context, tx DriverTx) error {
		live, state, err := liveIn(ctx, tx, d.name)
		if err != nil {
			return err
		}
		if live.Declared != d.fingerprint() {
			return changed(d)
		}
		live.Runner = UUID{} // who works on it, if anybody does, has to look again
		if err := put(ctx, tx, live); err != nil {
			return err
		}
		live = statusOf(live, state).Checkpoint
		if err := belongs(live, state); err != nil {
			return err
		}
		position = live.Position
		return d.copyIn(ctx, tx, b, live)
	})
	return position, err
}

// copyIn copies a generation, in a transaction that has made sure that it is as from says.
func (d *declaration) copyIn(ctx context.Context, tx DriverTx, b *Book, from Checkpoint) error {
	list, err := tx.Checkpoints(ctx, d.name)
	if err != nil {
		return err
	}
	all := generations(list)
	copies := all.copies(d.fingerprint())
	for _, c := range copies {
		if c.Position == from.Position && c.Incarnation == from.Incarnation {
			return nil
		}
	}
	c, err := d.createIn(ctx, tx, b, all.next(), Checkpoint{Kind: from.Kind, State: GenerationCopied, Position: from.Position, RecordedAt: from.RecordedAt})
	if err != nil {
		return err
	}
	source, target := d.table(b.name, from.Generation), d.table(b.name, c.Generation)
	err = eachRow(ctx, tx, source, func(rows [][]any) error {
		if len(rows) == 0 {
			return nil
		}
		return tx.WriteRows(ctx, TableRows{Table: target, Rows: rows})
	})
	if err != nil {
		return fmt.Errorf("copying generation %d: %w", from.Generation, err)
	}
	if len(copies) < maxCopies {
		return nil
	}
	return removeGeneration(ctx, tx, b, d, copies.densest())
}

// copies are those made by a declaration, by position.
func (g generations) copies(declared Fold) (copies generations) {
	for _, c := range g {
		if c.State == GenerationCopied && c.Declared == declared {
			copies = append(copies, c)
		}
	}
	return copies
}

// densest is the copy that lies nearest between its neighbours.
func (g generations) densest() (densest Checkpoint) {
	least, before := int64(math.MaxInt64), int64(0)
	for i := range len(g) - 1 {
		if gap := g[i+1].Position - before; gap < least {
			least, densest = gap, g[i]
		}
		before = g[i].Position
	}
	return densest
}

// copyDue reports whether the way to a position passes by where a copy is to be made.
func (d *declaration) copyDue(from, to int64) bool {
	return d.copyEvery > 0 && from/d.copyEvery < to/d.copyEvery
}

// keepCopy makes a copy of what the worker has just written.
func (w *worker) keepCopy(ctx context.Context) error {
	next := w.at
	err := w.book.driver.Transact(ctx, w.book.id, false, func(ctx context.Context, tx DriverTx) error {
		if err := put(ctx, tx, next); err != nil {
			return err
		}
		return w.d.copyIn(ctx, tx, w.book, next)
	})
	if err != nil {
		return err
	}
	next.Revision++
	w.at, w.wrote = next, now()
	return nil
}
