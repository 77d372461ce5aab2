package daybook

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// OpenOption is an option of [Open]: [Inline] or [InlineProgress].
type OpenOption interface{ setBook(*Book) error }

// Inline makes projections part of every append: what they write is written in the
// append's own transaction, so that in every snapshot a reader can have, the read model
// equals the fold of the events he sees. A projection that fails refuses the append that
// it fails at, and no other, with a [*ProjectionError].
//
// A book remembers its inline projections, and refuses appends from programs that do not
// declare them, or declare them otherwise, with [ErrProjectionChanged]. One that the book
// does not know, that runs behind so far, or is declared otherwise than before is made
// by Open, as in [Book.Rebuild]: that takes as long as reading the book, and others can
// append meanwhile; see [InlineProgress]. Where the declaration leaves that to a command, Open
// does nothing, and appends are refused.
//
// Rows that appends have touched stay in memory, 10,000 a view at most, as long as no other
// process appends; where an engine does not tell, they are loaded for every append.
//
// A projection is taken out by [Book.PauseProjection].
type Inline []Projector

func (i Inline) setBook(b *Book) error {
	for _, p := range i {
		d, err := b.declarationOf(p)
		if err != nil {
			return err
		}
		if d.subscription != nil {
			return invalid("inline", "%s is a subscription: what it does is no part of a transaction, so it can only be run behind", d.name)
		}
		if b.declares(d.name) != nil {
			return invalid("inline", "%s is there twice", d.name)
		}
		b.declared = append(b.declared, d)
	}
	return nil
}

// InlineProgress is told now and then, and at the end, how far a projection is that [Open] or
// [Book.ResumeProjection] makes or brings up to date, and how far it has to go. Where there is
// nothing to do, or another process does it, it is not called.
type InlineProgress func(projection string, position, head int64)

func (p InlineProgress) setBook(b *Book) error { //nolint:unparam // the error is for options that can be wrong
	b.progress = p
	return nil
}

// inlineSet is the inline projections of a book that are live.
type inlineSet struct {
	revision    int64
	projections []inlineProjection
	warm        atomic.Pointer[warmRows] // nil while a batch works on them
}

// warmRows are the rows of views that a batch has left in memory. They are those of the
// tables as long as the book ends with the last event of that batch: whatever else writes to
// the tables makes another set.
type warmRows struct {
	last     UUID      // that event
	foldings []folding // by projection
	// alone says that the batch before was of this process too. Where several append in
	// turns, what one remembers mostly does not hold, and to find that out is a round trip.
	alone bool
}

type inlineProjection struct {
	d     *declaration
	at    Checkpoint
	table Table
}

// openInline makes the inline projections that are declared, and are not there as declared.
func (b *Book) openInline(ctx context.Context) error {
	if len(b.declared) == 0 {
		return nil // and whether there ought to be any, the first append finds out
	}
	for _, d := range b.declared {
		for {
			err := b.attach(ctx, d)
			if err == nil {
				break
			}
			if !errors.Is(err, ErrProjectionBusy) {
				return err
			}
			select { // another process does it
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(touchPause / 4):
			}
		}
	}
	err := b.loadInline(ctx)
	if errors.Is(err, ErrProjectionChanged) {
		err = nil // the book can be read; appends are told
	}
	return err
}

// progressOf is the progress of one projection, nil where nobody asks.
func (b *Book) progressOf(d *declaration) func(position, head int64) {
	if b.progress == nil {
		return nil
	}
	return func(position, head int64) { b.progress(d.name, position, head) }
}

// attach makes d live and inline, unless it is or somebody has to say so first.
func (b *Book) attach(ctx context.Context, d *declaration) error {
	list, err := b.generations(ctx, d.name)
	if err != nil {
		return err
	}
	live, found := list.in(GenerationLive)
	switch {
	case found && live.Paused: // it is for whoever has paused it to resume it, or to rebuild it
		return nil
	case found && live.Declared == d.fingerprint() && live.Kind == KindInline:
		return nil
	case found && live.Declared == d.fingerprint() && live.Kind == KindBehind:
		return b.makeInline(ctx, d, live)
	case found && (d.byCommand || isOlder(d, live)): // appends are told
		return nil
	}
	return b.makeAnew(ctx, d)
}

// makeAnew makes a generation by d, and makes it inline.
func (b *Book) makeAnew(ctx context.Context, d *declaration) error {
	_, err := b.build(ctx, d, buildOrder{kind: KindInline, ifNeeded: true, RebuildOptions: RebuildOptions{Progress: b.progressOf(d)}})
	return err
}

// makeInline brings a live generation up to the head, and makes it inline from there on.
func (b *Book) makeInline(ctx context.Context, d *declaration, live Checkpoint) error {
	w, err := b.claim(ctx, d, live, NewUUID())
	if err != nil {
		return err
	}
	w.tell(b.progressOf(d))
	if err := w.goLive(ctx, KindInline, nil); err != nil {
		w.release(ctx)
		return err
	}
	return nil
}

// loadInline finds out which inline projections the book has, and remembers them.
func (b *Book) loadInline(ctx context.Context) (err error) {
	pinned, err := b.driver.Pin(ctx, b.id)
	if err != nil {
		return b.failed("projections", err)
	}
	defer func() { err = errors.Join(err, pinned.Close()) }()
	state, err := pinned.State(ctx)
	if err != nil {
		return b.failed("projections", err)
	}
	list, err := pinned.Checkpoints(ctx, "")
	if err != nil {
		return b.failed("projections", err)
	}
	set := &inlineSet{revision: state.Inline}
	for _, at := range list {
		d := b.declares(at.Projection)
		switch {
		case at.State != GenerationLive || at.Paused || at.Kind != KindInline && d == nil:
			continue
		case at.Kind != KindInline:
			return fmt.Errorf("%w: %s is %s in book %s, made by version %d, and this program declares it inline, otherwise, as version %d: nothing can be appended like this. Rebuild it by this program, or do not declare it inline", ErrProjectionChanged, d.name, at.Kind, b.name, at.Version, d.version)
		case d == nil:
			return b.withoutInline(at, "which this program does not declare")
		case d.fingerprint() != at.Declared:
			return b.withoutInline(at, fmt.Sprintf("of version %d, which this program declares otherwise, as version %d", at.Version, d.version))
		}
		one := inlineProjection{d: d, at: at}
		if one.d.table != nil {
			one.table = one.d.table(b.name, at.Generation)
		}
		set.projections = append(set.projections, one)
	}
	b.inline.Store(set)
	return nil
}

// declares returns what this program declares inline by a name, or nil.
func (b *Book) declares(name string) *declaration {
	for _, d := range b.declared {
		if d.name == name {
			return d
		}
	}
	return nil
}

// withoutInline is the error for appends that would leave an inline projection behind.
func (b *Book) withoutInline(at Checkpoint, why string) error {
	return fmt.Errorf("%w: book %s has the inline projection %s, generation %d, %s: nothing can be appended without it. Use the program that declares it so, rebuild it by this one, or pause it with Book.PauseProjection", ErrProjectionChanged, b.name, at.Projection, at.Generation, why)
}

// maxInlineTries bounds how often an append is tried again because the inline projections
// have changed meanwhile.
const maxInlineTries = 10

// handInline gives a batch to the engine, with what the inline projections make of it: these
// rest on the batch before, so the next one does not go ahead.
func (b *Book) handInline(ctx context.Context, batch []Append, next func()) ([]Outcome, error) {
	for try := 1; ; try++ {
		set := b.inline.Load()
		if set == nil && len(b.declared) > 0 { // they were not as declared when the book was opened
			if err := b.loadInline(ctx); err != nil {
				return nil, err
			}
			set = b.inline.Load()
		}
		if set == nil {
			set = &inlineSet{}
		}
		if len(set.projections) > 0 || try > 1 {
			next = nil
		}
		work := set.batch(b)
		outcomes, err := b.appendBatch(ctx, batch, work.work(), next)
		if err == nil {
			work.written(outcomes)
			return outcomes, nil
		}
		if !errors.Is(err, ErrInlineChanged) || try == maxInlineTries {
			return nil, work.blamed(err)
		}
		if err := b.loadInline(ctx); err != nil {
			return nil, err
		}
	}
}

// batch is what the set makes of one batch of appends.
func (s *inlineSet) batch(b *Book) *inlineBatch {
	return &inlineBatch{book: b, set: s, warm: s.warm.Swap(nil)}
}

// work is what is done in the transaction of the appends. When that has ended well, written
// is to be called.
func (ib *inlineBatch) work() InlineWork {
	work := InlineWork{Revision: ib.set.revision}
	if len(ib.set.projections) == 0 {
		return work
	}
	work.Keys, work.Before, work.Fold = ib.keys, ib.isBehind, ib.fold
	for _, p := range ib.set.projections {
		if p.d.fold == nil {
			work.Apply = ib.apply
		}
	}
	return work
}

// blamed says of which projection a row is that the database has refused.
func (ib *inlineBatch) blamed(err error) error {
	var refused *RefusedRowError
	if errors.Is(err, ErrUnclear) || !errors.As(err, &refused) {
		return err
	}
	for _, p := range ib.set.projections {
		if p.table.Name == refused.Table {
			return &ProjectionError{Projection: p.d.name, Record: ib.last, Err: refused.Err}
		}
	}
	return err
}

// inlineBatch is what the inline projections make of one batch of appends.
type inlineBatch struct {
	book   *Book
	set    *inlineSet
	events []ProjectedEvent
	parts  []inlinePart // by projection

	warm   *warmRows // what the batch before has left, or nil
	used   bool      // parts have the rows of warm
	before UUID      // the event behind which the batch is; zero where that is not known
	last   Recorded  // the last event that was folded
}

// inlinePart is one projection's part in it.
type inlinePart struct {
	inlineProjection
	folding folding
	events  []ProjectedEvent // those it wants
	places  []int            // of these in the batch
}

// keys uses the rows that the batch before has left, but not twice: an engine that calls it
// again has failed meanwhile.
func (ib *inlineBatch) keys(rows []Recorded) ([]TableKeys, error) {
	ib.used = ib.warm != nil && ib.warm.alone && ib.parts == nil
	ib.before, ib.last = UUID{}, Recorded{}
	ib.events, ib.parts = make([]ProjectedEvent, len(rows)), make([]inlinePart, len(ib.set.projections))
	for i, rec := range rows {
		data, err := ib.book.Decode(rec)
		if err != nil {
			return nil, &ProjectionError{Projection: ib.set.projections[0].d.name, Record: rec, Err: err}
		}
		ib.events[i] = ProjectedEvent{Recorded: rec, Data: data}
	}
	var keys []TableKeys
	for i, p := range ib.set.projections {
		part := &ib.parts[i]
		part.inlineProjection = p
		part.choose(ib.events)
		if p.d.fold == nil {
			continue
		}
		if ib.used {
			part.folding = ib.warm.foldings[i]
		} else {
			part.folding = p.d.fold(p.table)
		}
		missing, err := part.folding.take(part.events)
		if err != nil {
			return nil, err
		}
		keys = append(keys, missing)
	}
	return keys, nil
}

// choose takes those of the events that the projection wants.
func (p *inlinePart) choose(events []ProjectedEvent) {
	for i, e := range events {
		if p.d.wants(e.EventType) {
			p.events, p.places = append(p.events, e), append(p.places, i)
		}
	}
}

func (ib *inlineBatch) fold(rows []Recorded, loaded [][][]any) (out []TableRows, err error) {
	for i := range ib.parts {
		if part := &ib.parts[i]; part.folding != nil {
			if err := part.folding.put(loaded[0]); err != nil {
				return nil, err
			}
			loaded = loaded[1:]
		}
	}
	moved, cold := ib.place(rows), ib.used && ib.before != ib.warm.last
	if cold {
		ib.used = false
		for _, part := range ib.parts {
			if part.folding != nil {
				part.folding.forget()
			}
		}
	}
	if moved || cold {
		if err := ib.takeAgain(); err != nil {
			return nil, err
		}
	}
	for i := range ib.parts {
		part := &ib.parts[i]
		if part.folding == nil {
			continue
		}
		if err := part.folding.fold(); err != nil {
			return nil, err
		}
		writes, err := part.folding.writes()
		if err != nil {
			return nil, &ProjectionError{Projection: part.d.name, Record: rows[len(rows)-1], Err: err}
		}
		out = append(out, writes)
	}
	ib.last = rows[len(rows)-1]
	return out, nil
}

// isBehind notes the event behind which the batch is.
func (ib *inlineBatch) isBehind(event UUID) { ib.before = event }

// written leaves the rows to the batch behind, where what was folded is what was recorded.
func (ib *inlineBatch) written(outcomes []Outcome) {
	if ib.before.IsZero() || !ib.recorded(outcomes) {
		return
	}
	warm := &warmRows{last: ib.last.EventID, alone: ib.warm != nil && ib.before == ib.warm.last, foldings: make([]folding, len(ib.parts))}
	for i, part := range ib.parts {
		if part.folding == nil {
			continue
		}
		part.folding.written()
		if part.folding.held() > maxWarmRows {
			part.folding.forget()
		}
		warm.foldings[i] = part.folding
	}
	ib.set.warm.Store(warm)
}

// recorded reports whether the last event that was folded is recorded where it was then. If it
// is recorded before, or elsewhere, the engine has folded in a transaction that it gave up.
func (ib *inlineBatch) recorded(outcomes []Outcome) bool {
	for _, outcome := range outcomes {
		if outcome.Duplicate || outcome.Err != nil {
			continue
		}
		for _, rec := range outcome.Records {
			if rec.EventID == ib.last.EventID {
				return rec.Position == ib.last.Position && rec.RecordedAt.Equal(ib.last.RecordedAt)
			}
		}
	}
	return false
}

// maxWarmRows bounds the rows of a view that are kept from one batch to the next.
const maxWarmRows = 10_000

// place gives the events the places they are recorded at, and reports whether these are
// others than before.
func (ib *inlineBatch) place(rows []Recorded) (moved bool) {
	for i := range ib.parts {
		part := &ib.parts[i]
		for k, at := range part.places {
			before := &part.events[k].Recorded
			moved = moved || before.Position != rows[at].Position || !before.RecordedAt.Equal(rows[at].RecordedAt)
			*before = rows[at]
		}
	}
	return moved
}

// takeAgain takes the events as they are recorded: a view may have a row for each day, say,
// and which day it is was not known before.
func (ib *inlineBatch) takeAgain() error {
	var keys []TableKeys
	more := false
	for i := range ib.parts {
		part := &ib.parts[i]
		if part.folding == nil {
			continue
		}
		missing, err := part.folding.take(part.events)
		if err != nil {
			return err
		}
		keys = append(keys, missing)
		more = more || len(missing.Keys) > 0
	}
	if !more {
		return nil
	}
	return &MissingRowsError{keys}
}

func (ib *inlineBatch) apply(ctx context.Context, tx Tx, rows []Recorded) error {
	for _, part := range ib.parts {
		if part.folding != nil || len(part.events) == 0 {
			continue
		}
		err := part.d.applyPage(ctx, tx, Page{Generation: part.at.generation(ib.book.name), Events: part.events})
		if err != nil && !errors.Is(err, ErrProjection) {
			err = &ProjectionError{Projection: part.d.name, Record: rows[len(rows)-1], Err: err}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
