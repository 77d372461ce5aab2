package daybook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// VerifyOptions say what [Verify] looks at. The zero VerifyOptions are the whole book
// up to its head, for what the library itself promises.
type VerifyOptions struct {
	// Checks are held against the book besides what the library promises.
	Checks []Check
	// Until, where set, is the point up to which to verify: [AtPosition] or [AsOf].
	Until Point
	// Aggregate, where set, restricts to the events of one aggregate, which are then
	// all that is read.
	Aggregate AggregateID
	// Sample, where more than 1, restricts what is said about aggregates, and about
	// the rows of read models, to one in so many, always the same ones. What is said
	// about the book and each event is about all.
	Sample int
	// MaxHeld bounds what is kept in memory at once: aggregates, rows, snapshots. A
	// book with more is read several times. 0 means [DefaultMaxHeld].
	MaxHeld int
	// MaxFindings bounds how many findings of each check are kept; all are counted. 0
	// means 1,000.
	MaxFindings int
	// Progress, where set, is told now and then how many events have been read, of how
	// many in all passes that are known to be needed.
	Progress func(done, total int64)
}

const (
	// DefaultMaxHeld is how many aggregates, rows and snapshots Verify keeps in memory
	// at once where nothing else is said: with the bank's checks some 130 MB.
	DefaultMaxHeld = 100_000

	defaultMaxFindings = 1_000
	// progressEvents is how often Progress is called.
	progressEvents = 1_000
)

// Verification is what [Verify] has found.
type Verification struct {
	// Book is the book's name.
	Book string
	// Position is up to where the book was verified, RecordedAt when the event there
	// was recorded, Head the book's last position at the time.
	Position   int64
	RecordedAt time.Time
	Head       int64
	// Events were read, and so many Aggregates looked at: all of them, or the sample.
	Events, Aggregates int64
	// Passes is how often the book was read.
	Passes int
	// Checks has a result for each check, the library's first.
	Checks []CheckResult
	// Findings are the first of each check, in the order of the checks and of places.
	Findings []Finding
}

// CheckResult is what became of one check.
type CheckResult struct {
	Check string
	// Looked is at how much it has looked, What one of that is: "event", "aggregate" …
	Looked int64
	What   string
	// Ignored is how much of it was there and was not held against anything, such as
	// snapshots of another fold.
	Ignored int64
	// Findings is how many there are, of which the first are in Verification.Findings.
	Findings int64
	// Skipped says why it has not looked, and is empty where it has.
	Skipped string
}

// Proved reports whether there are no findings.
func (v *Verification) Proved() bool {
	return !slices.ContainsFunc(v.Checks, func(c CheckResult) bool { return c.Findings > 0 })
}

// Verify proves that a book is what it must be, or finds where it is not: positions
// are dense and end at the head, recorded times never decrease, every event decodes
// through its upcasters, the sequence numbers of every aggregate are dense, snapshots
// are as they were written; and whatever the options' checks say.
//
// It reads the book up to one position, in order, while writers go on, in memory that
// does not grow with the number of aggregates, and goes on after a finding. An error
// means that it could not look; what differs is no error. See [Verification.Proved].
//
// A change that leaves all of this true (a digit of an amount) can be seen only in
// what was derived from the events before: snapshots, read models, a check's rules.
func Verify(ctx context.Context, book *Book, o VerifyOptions) (*Verification, error) {
	run, err := newVerifying(book, o)
	if err != nil {
		return nil, err
	}
	defer run.unpin()
	if err := run.pin(ctx); err != nil {
		return nil, err
	}
	if err := run.passes(ctx); err != nil {
		return nil, err
	}
	return run.verification(), nil
}

// verifying is a verification under way.
type verifying struct {
	book    *Book
	options VerifyOptions
	checks  []Check
	head    Head // up to where
	cut     bool
	atHead  bool
	out     Verification
	found   [][]Finding  // by check
	pinned  []PinnedRows // by check; nil where it has none
	tables  PinnedTables // of views; nil where there are none
	left    int          // shares that are not done

	done, total int64 // events, for Progress
}

func newVerifying(book *Book, o VerifyOptions) (*verifying, error) {
	if o.Sample < 0 || o.MaxHeld < 0 || o.MaxFindings < 0 {
		return nil, invalid("verify options", "sample %d, max held %d, max findings %d: none may be negative, 0 is the usual", o.Sample, o.MaxHeld, o.MaxFindings)
	}
	if !o.Aggregate.IsZero() {
		if err := o.Aggregate.check(); err != nil {
			return nil, err
		}
	}
	o.Sample, o.MaxHeld, o.MaxFindings = max(o.Sample, 1), cmp.Or(o.MaxHeld, DefaultMaxHeld), cmp.Or(o.MaxFindings, defaultMaxFindings)
	v := &verifying{book: book, options: o}
	v.checks = append([]Check{positionsCheck{}, timesCheck{}, eventsCheck{}, aggregatesCheck{}, snapshotsCheck{}}, o.Checks...)
	v.out.Book = book.name
	for _, check := range v.checks {
		v.out.Checks = append(v.out.Checks, CheckResult{Check: check.Name()})
	}
	v.found = make([][]Finding, len(v.checks))
	v.pinned = make([]PinnedRows, len(v.checks))
	return v, nil
}

// pin settles what is verified, and up to where. Read models come first: the book is
// then at least as far as they are.
func (v *verifying) pin(ctx context.Context) error {
	for i, check := range v.checks {
		if p, ok := check.(pinnable); ok {
			pinned, err := p.pin(ctx, v.pinTables)
			if err != nil {
				return v.failed(i, err)
			}
			v.pinned[i] = pinned
		}
	}
	return v.pinBook(ctx)
}

// pinTables takes the snapshot that all views share, once.
func (v *verifying) pinTables(ctx context.Context) (PinnedTables, error) {
	if v.tables == nil {
		var err error
		if v.tables, err = v.book.driver.Pin(ctx, v.book.id); err != nil {
			return nil, v.book.failed("verify", err)
		}
	}
	return v.tables, nil
}

// failed says which check could not look.
func (v *verifying) failed(check int, err error) error {
	return fmt.Errorf("daybook: verify, book %s, check %s: %w", v.book.name, v.checks[check].Name(), err)
}

// unpin lets go of the read models. They were only read, so an error changes nothing.
func (v *verifying) unpin() {
	for _, pinned := range v.pinned {
		if pinned != nil {
			_ = pinned.Close()
		}
	}
	if v.tables != nil {
		_ = v.tables.Close()
	}
}

func (v *verifying) pinBook(ctx context.Context) error {
	until, err := v.options.Until.check()
	if err != nil {
		return err
	}
	if v.head, err = v.book.Head(ctx); err != nil {
		return err
	}
	v.out.Head, v.atHead = v.head.Position, true
	switch {
	case until.occurred || until.kind == atSequence:
		return invalid("until", "%s is no moment of a book: give a position or a recorded time", until)
	case until.kind == atPosition:
		if until.number > v.head.Position {
			return &NotThereError{What: "position", Asked: until.number, Last: v.head.Position, Subject: "book " + v.book.name}
		}
		v.end(until.number)
	case until.kind == asOf:
		position, _, err := v.book.PositionAt(ctx, until.time)
		if err != nil {
			return err
		}
		v.out.Head = max(v.out.Head, position) // somebody may have written since
		v.end(position)
	}
	return v.look(ctx)
}

func (v *verifying) end(position int64) {
	v.atHead = v.atHead && position == v.head.Position
	v.head.Position = position
}

// look finds the event at the end and the one behind it.
func (v *verifying) look(ctx context.Context) error {
	v.out.Position = v.head.Position
	var at time.Time
	for rec, err := range v.book.Read(ctx, Query{AfterPosition: max(v.head.Position, 1) - 1, Limit: 2}) {
		switch {
		case err != nil:
			return err
		case rec.Position == v.head.Position:
			v.out.RecordedAt, at = rec.RecordedAt, rec.RecordedAt
		case rec.Position == v.head.Position+1:
			v.cut = v.head.Position > 0 && rec.RecordedAt.Equal(at)
		}
	}
	return nil
}

// verification puts the findings together.
func (v *verifying) verification() *Verification {
	for _, found := range v.found {
		v.out.Findings = append(v.out.Findings, found...)
	}
	return &v.out
}

// firstFindings returns the first n of findings, by their places.
func firstFindings(n int, findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), slices.Compare(a.Aggregate.ID[:], b.Aggregate.ID[:]),
			cmp.Compare(a.SequenceNumber, b.SequenceNumber), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Problem, b.Problem))
	})
	return findings[:min(n, len(findings))]
}

// passes reads the book as often as it takes.
func (v *verifying) passes(ctx context.Context) error {
	todo := []share{{}}
	for len(todo) > 0 {
		v.left, v.total = len(todo), v.done+int64(len(todo))*v.head.Position
		next := todo[0]
		fits, err := v.pass(ctx, next)
		switch {
		case err != nil:
			return err
		case fits:
			todo = todo[1:]
		case v.out.Passes == 0:
			todo = next.wider() // the others would not fit either
		default:
			todo = append(next.halves(), todo[1:]...)
		}
	}
	v.progress()
	return nil
}

func (v *verifying) progress() {
	if v.options.Progress != nil {
		v.options.Progress(min(v.done, v.total), v.total)
	}
}

// pass reads the book for one share of the aggregates. It reports false where there
// is too much in it to be kept: then it has not taken place.
func (v *verifying) pass(ctx context.Context, s share) (fits bool, err error) {
	r := &reading{run: v, number: v.out.Passes + 1, share: s, index: map[UUID]int32{}}
	at := &CheckedEvent{book: v.book}
	defer func() {
		if p := recover(); p != nil { // in a check, or in what it folds with
			fits, err = false, fmt.Errorf("daybook: verify, book %s: a check panicked (the last event it was given: %s): %v", v.book.name, at.Recorded, p)
		}
	}()
	if err := r.begin(ctx); err != nil {
		return false, err
	}
	if err := r.events(ctx, at); err != nil || r.full() {
		return false, err
	}
	for i, look := range r.looks {
		if look == nil {
			continue
		}
		if err := look.End(ctx); err != nil {
			return false, v.failed(i, err)
		}
	}
	r.accept()
	return true, nil
}
