package daybook

import (
	"context"
	"fmt"
	"time"
)

// ProjectionStatus is how a generation of a projection is.
type ProjectionStatus struct {
	Checkpoint
	// Lag is how many events of the book are missing in it, LagTime how much later the
	// book's last event was recorded than the last one in it.
	Lag     int64
	LagTime time.Duration
	// Restored says that it is ahead of the book or from another incarnation of it, so that
	// nobody goes on with it: see [ErrRestored].
	Restored bool
}

// Projections returns the projections that the book knows, by name, with all their
// generations.
func (b *Book) Projections(ctx context.Context) (list []ProjectionStatus, err error) {
	pinned, err := b.driver.Pin(ctx, b.id)
	if err != nil {
		return nil, b.failed("projections", err)
	}
	defer func() { _ = pinned.Close() }() // it was only read
	state, err := pinned.State(ctx)
	if err != nil {
		return nil, b.failed("projections", err)
	}
	checkpoints, err := pinned.Checkpoints(ctx, "")
	if err != nil {
		return nil, b.failed("projections", err)
	}
	for _, c := range checkpoints {
		list = append(list, statusOf(c, state))
	}
	return list, nil
}

func statusOf(c Checkpoint, state BookState) ProjectionStatus {
	if c.State == GenerationLive && c.Kind == KindInline && !c.Paused {
		c.Position, c.RecordedAt, c.Incarnation = state.Position, state.RecordedAt, state.Incarnation
	}
	s := ProjectionStatus{Checkpoint: c, Lag: max(state.Position-c.Position, 0), Restored: belongs(c, state) != nil}
	if s.Lag > 0 && c.Position > 0 {
		s.LagTime = max(state.RecordedAt.Sub(c.RecordedAt), 0)
	}
	return s
}

// WaitFor waits until the live generation of a projection has all events up to a position:
// who has appended something reads it there. A projection that has stopped before is its
// [*ProjectionError]'s text. One that the book does not know is an error, unless this Book is
// running it, by [Book.Run] or [Book.CatchUp], and so about to make it.
func (b *Book) WaitFor(ctx context.Context, projection string, position int64) error {
	pause := waitForPause
	for {
		rung := b.bell.rung()
		running := b.running.has(projection) // before looking, or it is made and done in between
		list, err := b.generations(ctx, projection)
		if err != nil {
			return err
		}
		live, found := list.in(GenerationLive)
		switch {
		case len(list) == 0 && !running:
			return unknownProjection(projection)
		case !found: // it is being made
		case live.Kind == KindInline && !live.Paused || live.Position >= position:
			return nil
		case live.Failed != 0 && live.Failed <= position:
			return stopped(live)
		}
		select {
		case <-ctx.Done():
			return b.failed(fmt.Sprintf("wait for projection %s to reach position %d, it is at %d%s", projection, position, live.Position, map[bool]string{true: " and paused"}[live.Paused]), ctx.Err())
		case <-rung:
		case <-time.After(pause):
		}
		pause = min(2*pause, maxWaitForPause)
	}
}

const (
	// waitForPause and maxWaitForPause bound how long WaitFor waits until it looks again.
	waitForPause    = 2 * time.Millisecond
	maxWaitForPause = 100 * time.Millisecond
)

// stopped is the error of a projection that could not take an event.
func stopped(c Checkpoint) error {
	return fmt.Errorf("%w: %s has stopped at position %d: %s", ErrProjection, c.Projection, c.Failed, c.Failure)
}

func unknownProjection(name string) error {
	return invalid("projection", "the book has no projection %s", quote(name))
}

// PauseProjection stops a projection where it is, in all processes, until it is resumed.
// One that is inline is no longer written by appends, and readers see it as it was. A
// [Subscription] may deliver for a second or two more.
func (b *Book) PauseProjection(ctx context.Context, name string) error {
	return b.change(ctx, name, true, func(ctx context.Context, tx DriverTx) error {
		live, state, err := liveIn(ctx, tx, name)
		if err != nil || live.Paused {
			return err
		}
		inline := live.Kind == KindInline
		if inline {
			live.Position, live.RecordedAt, live.Incarnation = state.Position, state.RecordedAt, state.Incarnation
		}
		live.Paused, live.Runner = true, UUID{}
		if err := put(ctx, tx, live); err != nil || !inline {
			return err
		}
		return tx.SetInline(ctx, state.Inline+1)
	})
}

// ResumeProjection lets a projection that was paused go on. One that runs behind is taken
// up by whoever runs it; one that is inline is brought up to date first, or made anew where it
// was declared otherwise before, unless the declaration leaves that to a command.
func (b *Book) ResumeProjection(ctx context.Context, p Projector) error {
	d, err := b.declarationOf(p)
	if err != nil {
		return err
	}
	list, err := b.generations(ctx, d.name)
	if err != nil {
		return err
	}
	live, found := list.in(GenerationLive)
	switch {
	case !found:
		return unknownProjection(d.name)
	case !live.Paused:
		return nil
	case live.Kind != KindInline:
		return b.change(ctx, d.name, false, func(ctx context.Context, tx DriverTx) error {
			paused, _, err := liveIn(ctx, tx, d.name)
			if err != nil || !paused.Paused {
				return err
			}
			paused.Paused = false
			return put(ctx, tx, paused)
		})
	case live.Declared == d.fingerprint():
		err = b.makeInline(ctx, d, live)
	case d.byCommand:
		return changed(d)
	default:
		if err = older(d, live); err == nil {
			err = b.makeAnew(ctx, d)
		}
	}
	if err != nil {
		return err
	}
	return b.loadInline(ctx)
}

func liveIn(ctx context.Context, tx DriverTx, name string) (live Checkpoint, state BookState, err error) {
	list, err := tx.Checkpoints(ctx, name)
	if err != nil {
		return live, state, err
	}
	live, found := generations(list).in(GenerationLive)
	switch {
	case !found && len(list) > 0:
		return live, state, invalid("projection "+name, "has no generation yet that is live: its first one is being made")
	case !found:
		return live, state, unknownProjection(name)
	}
	state, err = tx.State(ctx)
	return live, state, err
}

// SkipEvent makes a projection pass over the event at a position, now and in every rebuild,
// and records that with a reason. It is for an event at which a projection has stopped, and
// cannot be taken back: another generation, by code that can take the event, has another
// name.
//
// Neither the live generation nor one that is being built must have taken the event: it would
// differ from its own rebuild for ever. A rebuild that is under way ends with
// [ErrProjectionBusy], and the next one takes it up where it was written last. Where a
// rebuild stops at such an event, by a new declaration, that one is to take it, or to ignore
// it: a [View] by returning no keys.
func (b *Book) SkipEvent(ctx context.Context, projection string, position int64, reason string) error {
	switch err := checkText("reason", reason); {
	case err != nil:
		return err
	case reason == "" || len(reason) > maxFailureBytes:
		return invalid("reason", "has %d bytes: say in 1 to %d why the event is passed over", len(reason), maxFailureBytes)
	case position < 1:
		return invalid("position", "%d is no position: they are 1, 2, 3 …", position)
	}
	return b.change(ctx, projection, false, func(ctx context.Context, tx DriverTx) error {
		live, state, err := liveIn(ctx, tx, projection)
		switch {
		case err != nil:
			return err
		case live.Kind == KindInline:
			return invalid("projection "+projection, "is inline: an event that it cannot take is not recorded, so there is none to pass over. "+newIgnores)
		case position > state.Position:
			return &NotThereError{What: "position", Asked: position, Last: state.Position, Subject: "book " + b.name}
		}
		list, err := tx.Checkpoints(ctx, projection)
		if err != nil {
			return err
		}
		for _, c := range list {
			switch {
			case c.State != GenerationLive && c.State != GenerationBuilding:
				continue
			case position <= c.Position:
				return alreadyTaken(c, position)
			}
			c.Runner = UUID{} // who works on it must not take the event meanwhile, and has to look again
			if err := put(ctx, tx, c); err != nil {
				return err
			}
		}
		return tx.PutSkip(ctx, Skip{Projection: projection, Position: position, Reason: reason})
	})
}

// newIgnores is what to do where a rebuild stops.
const newIgnores = "Where a new declaration cannot take the event, let that one ignore it, and raise its Version"

// alreadyTaken is the error for an event that would be in the live generation, and in no rebuild.
func alreadyTaken(live Checkpoint, position int64) error {
	if live.Kind == KindSubscription {
		return invalid("position", "subscription %s has delivered the event at %d already: it is at %d", live.Projection, position, live.Position)
	}
	return invalid("position", "projection %s has taken the event at %d already: it is at %d, and what is skipped is left out of every rebuild, so that the live rows would differ from history. "+newIgnores, live.Projection, position, live.Position)
}

// Skips returns what projections pass over, by name and position.
func (b *Book) Skips(ctx context.Context) ([]Skip, error) { return b.skips(ctx, "") }

func (b *Book) skips(ctx context.Context, projection string) ([]Skip, error) {
	pinned, err := b.driver.Pin(ctx, b.id)
	if err != nil {
		return nil, b.failed("projections", err)
	}
	defer func() { _ = pinned.Close() }() // it was only read
	list, err := pinned.Skips(ctx, projection)
	if err != nil {
		return nil, b.failed("projections", err)
	}
	return list, nil
}

// DropKept removes the generations of a projection that were live once, with their tables,
// and the copies that were made by other declarations than this one. It returns how many
// there were. There is no going back to them then.
func (b *Book) DropKept(ctx context.Context, p Projector) (dropped int, err error) {
	d, err := b.declarationOf(p)
	if err != nil {
		return 0, err
	}
	err = b.change(ctx, d.name, false, func(ctx context.Context, tx DriverTx) error {
		dropped = 0
		list, err := tx.Checkpoints(ctx, d.name)
		if err == nil {
			err = d.fits(list)
		}
		if err != nil {
			return err
		}
		for _, c := range list {
			if c.State != GenerationKept && (c.State != GenerationCopied || c.Declared == d.fingerprint()) {
				continue
			}
			if err := removeGeneration(ctx, tx, b, d, c); err != nil {
				return err
			}
			dropped++
		}
		return nil
	})
	return dropped, err
}

// DropProjection makes the book forget a projection, with all its generations, their
// tables and the name in SQL; tables of hand-written SQL by the Drop of p, for each. One that
// is inline is to be paused before. A program that still declares it makes it anew.
//
// For one that no program declares any more, p is a [*Projection] with its name, and with a
// Drop where it was hand-written: no more is needed here.
func (b *Book) DropProjection(ctx context.Context, p Projector) error {
	d, err := b.toForget(p)
	if err != nil {
		return err
	}
	name := d.name
	return b.change(ctx, name, false, func(ctx context.Context, tx DriverTx) error {
		list, err := tx.Checkpoints(ctx, name)
		if _, byHand := p.(*Projection); err == nil && !byHand { // which may be but a name
			err = d.fits(list)
		}
		if err != nil {
			return err
		}
		live, found := generations(list).in(GenerationLive)
		switch {
		case len(list) == 0:
			return unknownProjection(name)
		case found && live.Kind == KindInline && !live.Paused:
			return invalid("projection "+name, "is inline, and every append writes to it: pause it first")
		case found && live.Table != "":
			if err := tx.Unpoint(ctx, tableName(b.name, name)); err != nil {
				return err
			}
		}
		for _, c := range list {
			if err := removeGeneration(ctx, tx, b, d, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// toForget is declarationOf for what is to be dropped.
func (b *Book) toForget(p Projector) (*declaration, error) {
	if hand, ok := p.(*Projection); ok && hand != nil {
		d := &declaration{name: hand.Name, drop: hand.Drop}
		return d, d.check()
	}
	return b.declarationOf(p)
}
