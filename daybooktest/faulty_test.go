package daybooktest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daybook-go/daybook"
)

// mutant is an engine with one fault.
type mutant struct {
	name     string                              // the fault, in words
	wrap     func(daybook.Driver) daybook.Driver // puts it into a sound engine
	killedBy []string                            // a part of the name of each check that must see it
	says     string                              // a part of what one of them says, where it could fail for other reasons
}

// faulty is a sound engine of which some calls are replaced.
type faulty struct {
	daybook.Driver
	append func(context.Context, daybook.BookID, []daybook.Append, daybook.InlineWork) ([]daybook.Outcome, error)
	read   func(context.Context, daybook.BookID, daybook.Query, []daybook.Recorded) ([]daybook.Recorded, error)
	lookup func(context.Context, daybook.BookID, []daybook.UUID) ([]daybook.Recorded, error)
	head   func(context.Context, daybook.BookID) (daybook.Head, error)
	fence  func(context.Context, daybook.BookID, time.Time) (daybook.Head, error)
	resume func(context.Context, daybook.BookID, daybook.ResumeQuery) (daybook.Snapshot, []daybook.Recorded, error)
	keep   func(context.Context, daybook.BookID, []daybook.Snapshot) error
	list   func(context.Context, daybook.BookID, daybook.SnapshotQuery) ([]daybook.Snapshot, error)
	drop   func(context.Context, daybook.BookID, []daybook.Snapshot) error

	transact    func(context.Context, daybook.BookID, bool, func(context.Context, daybook.DriverTx) error) error
	pin         func(context.Context, daybook.BookID) (daybook.PinnedTables, error)
	checkpoints func(context.Context, daybook.BookID, string) ([]daybook.Checkpoint, error)
	rows        func(context.Context, daybook.RowQuery) ([][]any, error)
}

func (f *faulty) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
	if f.append != nil {
		return f.append(ctx, book, batch, inline)
	}
	return f.Driver.Append(ctx, book, batch, inline)
}

func (f *faulty) Read(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
	if f.read != nil {
		return f.read(ctx, book, q, into)
	}
	return f.Driver.Read(ctx, book, q, into)
}

func (f *faulty) Lookup(ctx context.Context, book daybook.BookID, ids []daybook.UUID) ([]daybook.Recorded, error) {
	if f.lookup != nil {
		return f.lookup(ctx, book, ids)
	}
	return f.Driver.Lookup(ctx, book, ids)
}

func (f *faulty) Head(ctx context.Context, book daybook.BookID) (daybook.Head, error) {
	if f.head != nil {
		return f.head(ctx, book)
	}
	return f.Driver.Head(ctx, book)
}

func (f *faulty) Fence(ctx context.Context, book daybook.BookID, t time.Time) (daybook.Head, error) {
	if f.fence != nil {
		return f.fence(ctx, book, t)
	}
	return f.Driver.Fence(ctx, book, t)
}

func (f *faulty) Resume(ctx context.Context, book daybook.BookID, q daybook.ResumeQuery) (daybook.Snapshot, []daybook.Recorded, error) {
	if f.resume != nil {
		return f.resume(ctx, book, q)
	}
	return f.Driver.Resume(ctx, book, q)
}

func (f *faulty) KeepSnapshots(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
	if f.keep != nil {
		return f.keep(ctx, book, snapshots)
	}
	return f.Driver.KeepSnapshots(ctx, book, snapshots)
}

func (f *faulty) Snapshots(ctx context.Context, book daybook.BookID, q daybook.SnapshotQuery) ([]daybook.Snapshot, error) {
	if f.list != nil {
		return f.list(ctx, book, q)
	}
	return f.Driver.Snapshots(ctx, book, q)
}

func (f *faulty) DropSnapshots(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
	if f.drop != nil {
		return f.drop(ctx, book, snapshots)
	}
	return f.Driver.DropSnapshots(ctx, book, snapshots)
}

func (f *faulty) Transact(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
	if f.transact != nil {
		return f.transact(ctx, book, lockHead, work)
	}
	return f.Driver.Transact(ctx, book, lockHead, work)
}

func (f *faulty) Pin(ctx context.Context, book daybook.BookID) (daybook.PinnedTables, error) {
	if f.pin != nil {
		return f.pin(ctx, book)
	}
	return f.Driver.Pin(ctx, book)
}

func (f *faulty) Checkpoints(ctx context.Context, book daybook.BookID, projection string) ([]daybook.Checkpoint, error) {
	if f.checkpoints != nil {
		return f.checkpoints(ctx, book, projection)
	}
	return f.Driver.Checkpoints(ctx, book, projection)
}

func (f *faulty) SelectRows(ctx context.Context, q daybook.RowQuery) ([][]any, error) {
	if f.rows != nil {
		return f.rows(ctx, q)
	}
	return f.Driver.SelectRows(ctx, q)
}

// resuming makes a mutant that changes what is asked of a sound engine, and what it
// answers.
func resuming(ask func(*daybook.ResumeQuery), answer func(*daybook.Snapshot, *[]daybook.Recorded)) func(daybook.Driver) daybook.Driver {
	return func(d daybook.Driver) daybook.Driver {
		return &faulty{Driver: d, resume: func(ctx context.Context, book daybook.BookID, q daybook.ResumeQuery) (daybook.Snapshot, []daybook.Recorded, error) {
			ask(&q)
			kept, records, err := d.Resume(ctx, book, q)
			answer(&kept, &records)
			return kept, records, err
		}}
	}
}

// outcomes makes a mutant that changes every outcome of a sound engine.
func outcomes(change func(*daybook.Outcome, daybook.Append)) func(daybook.Driver) daybook.Driver {
	return func(d daybook.Driver) daybook.Driver {
		return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
			out, err := d.Append(ctx, book, batch, inline)
			for i := range out {
				change(&out[i], batch[i])
			}
			return out, err
		}}
	}
}

// queries makes a mutant that changes every query before a sound engine gets it.
func queries(change func(*daybook.Query)) func(daybook.Driver) daybook.Driver {
	return func(d daybook.Driver) daybook.Driver {
		return &faulty{Driver: d, read: func(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
			change(&q)
			return d.Read(ctx, book, q, into)
		}}
	}
}

// seeing makes a mutant that changes all records that come out of a sound engine.
func seeing(change func([]daybook.Recorded) []daybook.Recorded) func(daybook.Driver) daybook.Driver {
	return func(d daybook.Driver) daybook.Driver {
		return &faulty{
			Driver: d,
			append: outcomes(func(o *daybook.Outcome, _ daybook.Append) { o.Records = change(o.Records) })(d).Append,
			read: func(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
				records, err := d.Read(ctx, book, q, into)
				return change(records), err
			},
			lookup: func(ctx context.Context, book daybook.BookID, ids []daybook.UUID) ([]daybook.Recorded, error) {
				records, err := d.Lookup(ctx, book, ids)
				return change(records), err
			},
		}
	}
}

// each makes such a change of a change to one record.
func each(change func(*daybook.Recorded)) func([]daybook.Recorded) []daybook.Recorded {
	return func(records []daybook.Recorded) []daybook.Recorded {
		records = slices.Clone(records)
		for i := range records {
			change(&records[i])
		}
		return records
	}
}

// appending makes a mutant with its own way of appending one by one.
func appending(one func(context.Context, daybook.Driver, daybook.BookID, daybook.Append) (daybook.Outcome, error)) func(daybook.Driver) daybook.Driver {
	return func(d daybook.Driver) daybook.Driver {
		return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) (out []daybook.Outcome, err error) {
			for _, a := range batch {
				outcome, err := one(ctx, d, book, a)
				if err != nil {
					return nil, err
				}
				out = append(out, outcome)
			}
			return out, nil
		}}
	}
}

// only hands one append to a sound engine.
func only(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
	out, err := d.Append(ctx, book, []daybook.Append{a}, daybook.InlineWork{})
	if err != nil {
		return daybook.Outcome{}, err
	}
	return out[0], nil
}

// expecting is a with other expectations.
func expecting(a daybook.Append, expected func(daybook.EncodedEntry) daybook.Expected) daybook.Append {
	a.Entries = slices.Clone(a.Entries)
	for i, e := range a.Entries {
		a.Entries[i].Expected = expected(e)
	}
	return a
}

// number reads the present number of an aggregate, outside any lock.
func number(ctx context.Context, d daybook.Driver, book daybook.BookID, id daybook.AggregateID) (int64, error) {
	records, err := d.Read(ctx, book, daybook.Query{Aggregate: id, Reverse: true, Limit: 1}, nil)
	if err != nil || len(records) == 0 {
		return 0, err
	}
	return records[0].SequenceNumber, nil
}

// outsideLock is the outcome of an append that is not as expected, judged by what is
// there at the moment.
func outsideLock(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (refused daybook.Outcome, err error) {
	for _, e := range a.Entries {
		at, err := number(ctx, d, book, e.Aggregate)
		if err != nil {
			return refused, err
		}
		if !e.Expected.Holds(at) {
			return daybook.Outcome{Err: &daybook.ConflictError{Aggregate: e.Aggregate, Expected: e.Expected, Actual: at}}, nil
		}
	}
	return refused, nil
}

// lateVisible hides every seventh event for a while, as an order from a sequence
// does with the events of slow transactions; what is beyond is visible at once.
func lateVisible(d daybook.Driver) daybook.Driver {
	var mu sync.Mutex
	seen := map[string]int{}
	return &faulty{Driver: d, read: func(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
		records, err := d.Read(ctx, book, q, into)
		mu.Lock()
		defer mu.Unlock()
		return slices.DeleteFunc(records, func(rec daybook.Recorded) bool {
			key := fmt.Sprint(book, rec.Position)
			seen[key]++
			return rec.Position%7 == 3 && seen[key] < 3
		}), err
	}}
}

// forgetful makes up the answer to every third append.
func forgetful(d daybook.Driver) daybook.Driver {
	var appends atomic.Int64
	return appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (made daybook.Outcome, err error) {
		if appends.Add(1)%3 != 0 {
			return only(ctx, d, book, a)
		}
		head, err := d.Head(ctx, book)
		for _, e := range a.Entries {
			at, err := number(ctx, d, book, e.Aggregate)
			if err != nil {
				return made, err
			}
			for _, event := range e.Events {
				at++
				head.Position++
				event.Aggregate, event.SequenceNumber, event.Position, event.RecordedAt = e.Aggregate, at, head.Position, now()
				made.Records = append(made.Records, event)
			}
		}
		return made, err
	})(d)
}
