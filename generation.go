package daybook

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// takeOverAfter is how long who works on a projection may be silent before another takes
// it over. He says something every touchPause.
const takeOverAfter = 3 * touchPause

// generations are the checkpoints of one projection.
type generations []Checkpoint

func (g generations) in(state GenerationState) (Checkpoint, bool) {
	for _, c := range g {
		if c.State == state {
			return c, true
		}
	}
	return Checkpoint{}, false
}

// fits is the error for a declaration that is of another sort than the generations of its name:
// it could not remove their tables, nor what readers see of them.
func (d *declaration) fits(g generations) error {
	for _, c := range g {
		if was, is := c.sort(), d.sort(); was != is {
			return fmt.Errorf("%w: %s is %s in the book, and this program declares %s of that name: take another name, or drop the one in the book first, by a Projection of its name", ErrProjectionChanged, d.name, was, is)
		}
	}
	return nil
}

func (d *declaration) sort() string { return sortOf(d.subscription != nil, d.table != nil) }

func (c Checkpoint) sort() string { return sortOf(c.Kind == KindSubscription, c.Table != "") }

func sortOf(subscription, table bool) string {
	switch {
	case subscription:
		return "a subscription"
	case table:
		return "a view"
	}
	return "a projection in hand-written SQL"
}

// next is the number of the next one.
func (g generations) next() int64 {
	if len(g) == 0 {
		return 1
	}
	return g[len(g)-1].Generation + 1
}

// keptBy is the newest that was live, made by this declaration.
func (g generations) keptBy(declared Fold) (kept Checkpoint, found bool) {
	for _, c := range g {
		if c.State == GenerationKept && c.Declared == declared {
			kept, found = c, true
		}
	}
	return kept, found
}

// generations reads the checkpoints of a projection.
func (b *Book) generations(ctx context.Context, name string) (generations, error) {
	list, err := b.driver.Checkpoints(ctx, b.id, name)
	if err != nil {
		return nil, b.failed("projection "+name, err)
	}
	return list, nil
}

// transact is the engine's, with errors that say what it was for.
func (b *Book) transact(ctx context.Context, name string, lockHead bool, work func(ctx context.Context, tx DriverTx) error) error {
	if err := b.driver.Transact(ctx, b.id, lockHead, work); err != nil {
		return b.failed("projection "+name, err)
	}
	return nil
}

// change is transact for who changes a projection while somebody may work on it: where that one
// has written a checkpoint meanwhile, all is read and done again.
func (b *Book) change(ctx context.Context, name string, lockHead bool, work func(ctx context.Context, tx DriverTx) error) error {
	for try := 1; ; try++ {
		err := b.transact(ctx, name, lockHead, work)
		if !errors.Is(err, errTaken) || try == maxChanges {
			return err
		}
	}
}

// maxChanges bounds how often a change is tried that others are in the way of.
const maxChanges = 20

// createIn makes a further generation, in a transaction. The checkpoint comes first: of
// several who make the same one, the others are told by it that they are not the first, and
// not by a table that is there already.
func (d *declaration) createIn(ctx context.Context, tx DriverTx, b *Book, number int64, c Checkpoint) (Checkpoint, error) {
	state, err := tx.State(ctx)
	if err != nil {
		return c, err
	}
	c.Projection, c.Generation, c.Declared, c.Version, c.Incarnation = d.name, number, d.fingerprint(), int64(d.version), state.Incarnation
	if c.Table, c.Shape, err = d.kept(b.name, number); err != nil {
		return c, err
	}
	if err := put(ctx, tx, c); err != nil {
		return c, err
	}
	c.Revision++
	if err := d.create(ctx, tx, b.name, c); err != nil {
		return c, fmt.Errorf("making generation %d: %w", number, err)
	}
	return c, nil
}

// belongs reports an error where c does not belong to the book as it is now.
func belongs(c Checkpoint, state BookState) error {
	switch {
	case c.Position > state.Position:
		return fmt.Errorf("%w: projection %s is at position %d and the book ends at %d: %s", ErrRestored, c.Projection, c.Position, state.Position, remedy(c.Kind))
	case c.Position > 0 && c.Incarnation != state.Incarnation:
		return fmt.Errorf("%w: projection %s was made from another incarnation of it: %s", ErrRestored, c.Projection, remedy(c.Kind))
	}
	return nil
}

// remedy is what to do with a projection that does not belong to the book. A subscription
// cannot be rebuilt.
func remedy(kind ProjectionKind) string {
	if kind == KindSubscription {
		return "what it has delivered of the other one is out: drop it, and let it begin again with Since"
	}
	return "rebuild it"
}

// claim makes runner the one who works on c, and returns a worker that does.
func (b *Book) claim(ctx context.Context, d *declaration, c Checkpoint, runner UUID) (*worker, error) {
	c.Runner = runner
	var skips []Skip
	err := b.transact(ctx, c.Projection, false, func(ctx context.Context, tx DriverTx) error {
		state, err := tx.State(ctx)
		if err == nil {
			err = belongs(c, state)
		}
		if err == nil {
			skips, err = tx.Skips(ctx, c.Projection)
		}
		if err != nil {
			return err
		}
		c.Incarnation = state.Incarnation
		return put(ctx, tx, c)
	})
	if err != nil {
		return nil, err
	}
	c.Revision++
	w := newWorker(b, d, c)
	w.skips = positionsOf(skips)
	return w, nil
}

// positionsOf are the events that are passed over.
func positionsOf(skips []Skip) map[int64]bool {
	positions := make(map[int64]bool, len(skips))
	for _, s := range skips {
		positions[s.Position] = true
	}
	return positions
}

// release says that nobody works on it any more, so that another need not wait until it
// looks like that. It is no loss where it fails, or takes as long as others would have waited;
// and who has been called off does not wait for it.
func (w *worker) release(ctx context.Context) {
	patience := takeOverAfter
	if ctx.Err() != nil {
		ctx, patience = context.WithoutCancel(ctx), partingTime
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	free := w.at
	free.Runner = UUID{}
	_ = w.write(ctx, free)
}

// watchman finds out whether somebody works on a checkpoint.
type watchman struct {
	seen  Checkpoint
	since time.Time
	busy  bool // it has seen somebody work
}

// silent reports whether c has been as it is for so long that nobody works on it.
func (m *watchman) silent(c Checkpoint) bool {
	if c.Runner.IsZero() {
		return true
	}
	if m.since.IsZero() || m.seen.Generation != c.Generation || m.seen.Revision != c.Revision {
		m.busy = !m.since.IsZero()
		m.seen, m.since = c, now()
		return false
	}
	return now().Sub(m.since) >= takeOverAfter
}
