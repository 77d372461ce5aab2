package daybooktest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/daybook-go/daybook"
)

var mutants = []mutant{
	{
		name: "the engine drops the last event of a full page",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, read: func(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
				records, err := d.Read(ctx, book, q, into)
				if len(records) == q.Limit && q.Limit > 1 {
					records = records[:q.Limit-1]
				}
				return records, err
			}}
		},
		killedBy: []string{"every page size", "filtered and paged", "plain slice"},
	},
	{
		name: "the engine reads behind what is in the room it is given",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, read: func(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
				records, err := d.Read(ctx, book, q, nil)
				return append(into, records...), err
			}}
		},
		killedBy: []string{"every page size", "filtered and paged"},
	},
	{
		name: "the engine answers duplicates without the originals, as newly written",
		wrap: outcomes(func(o *daybook.Outcome, a daybook.Append) {
			if !o.Duplicate {
				return
			}
			o.Duplicate = false
			var records []daybook.Recorded
			for _, e := range a.Entries {
				for _, event := range e.Events {
					event.Aggregate, event.Position, event.RecordedAt = e.Aggregate, o.Records[0].Position, now()
					records = append(records, event)
				}
			}
			o.Records = records
		}),
		killedBy: []string{"a retry returns", "32 times at once is recorded once", "a batch may repeat", "plain slice"},
	},
	{
		name: "the engine looks at the expected number before the ids",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
			if refused, err := outsideLock(ctx, d, book, a); refused.Err != nil || err != nil {
				return refused, err
			}
			return only(ctx, d, book, a)
		}),
		killedBy: []string{"ids are looked at before", "a retry returns", "32 times at once is recorded once", "plain slice"},
	},
	{
		name: "the engine checks the expected number outside its lock",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
			if refused, err := outsideLock(ctx, d, book, a); refused.Err != nil || err != nil {
				return refused, err
			}
			pause(ctx, time.Millisecond) // so that it shows every time
			return only(ctx, d, book, expecting(a, func(daybook.EncodedEntry) daybook.Expected { return daybook.Any() }))
		}),
		killedBy: []string{"exactly one wins each round", "is opened once", "linearizable"},
	},
	{
		name: "the engine does not look at what an append rests on",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
			a.Entries = slices.Clone(a.Entries)
			for i := range a.Entries {
				a.Entries[i].After = daybook.UUID{}
			}
			return only(ctx, d, book, a)
		}),
		killedBy: []string{"rest on an event"},
	},
	{
		name: "the engine passes over guards",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
			a.Entries = slices.DeleteFunc(slices.Clone(a.Entries), func(e daybook.EncodedEntry) bool { return len(e.Events) == 0 })
			return only(ctx, d, book, a)
		}),
		killedBy: []string{"does not write to"},
	},
	{
		name: "the engine takes Exists for Any",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
			return only(ctx, d, book, expecting(a, func(e daybook.EncodedEntry) daybook.Expected {
				if e.Expected == daybook.Exists() {
					return daybook.Any()
				}
				return e.Expected
			}))
		}),
		killedBy: []string{"every expectation", "plain slice"},
	},
	{
		name: "the engine takes the time from an application's clock that runs backward",
		wrap: seeing(each(func(rec *daybook.Recorded) {
			rec.RecordedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(rec.Position) * time.Second)
			rec.OccurredAt = rec.RecordedAt
		})),
		killedBy: []string{"share one recorded time", "fold of a prefix", "comes after it"},
	},
	{
		name: "the engine gives every event of an append its own time",
		wrap: seeing(each(func(rec *daybook.Recorded) {
			rec.RecordedAt = rec.RecordedAt.Add(time.Duration(rec.Position) * time.Second)
		})),
		killedBy: []string{"share one recorded time", "written together or not at all"},
	},
	{
		name: "the engine leaves a hole in the positions",
		wrap: func(d daybook.Driver) daybook.Driver {
			f := seeing(each(func(rec *daybook.Recorded) {
				if rec.Position > 2 {
					rec.Position++
				}
			}))(d).(*faulty)
			f.head = func(ctx context.Context, book daybook.BookID) (daybook.Head, error) {
				head, err := d.Head(ctx, book)
				if head.Position > 2 {
					head.Position++
				}
				return head, err
			}
			return f
		},
		killedBy: []string{"numbered 1, 2, 3", "every snapshot", "plain slice"},
	},
	{
		name: "the engine writes the first entry of a refused append",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
			outcome, err := only(ctx, d, book, a)
			if errors.Is(outcome.Err, daybook.ErrConflict) && len(a.Entries) > 1 {
				_, err = d.Append(ctx, book, []daybook.Append{{Entries: a.Entries[:1]}}, daybook.InlineWork{})
			}
			return outcome, err
		}),
		killedBy: []string{"written together or not at all", "leaves its ids free", "own outcome", "plain slice"},
	},
	{
		name: "the engine writes every entry in a transaction of its own",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (all daybook.Outcome, err error) {
			for _, e := range a.Entries {
				outcome, err := only(ctx, d, book, daybook.Append{Entries: []daybook.EncodedEntry{e}})
				if err != nil || outcome.Err != nil {
					return outcome, err
				}
				all.Records, all.Duplicate = append(all.Records, outcome.Records...), outcome.Duplicate
			}
			return all, nil
		}),
		killedBy: []string{"written together or not at all", "share one recorded time", "every snapshot", "plain slice"},
	},
	{
		name:     "the engine ignores UntilPosition",
		wrap:     queries(func(q *daybook.Query) { q.UntilPosition = 0 }),
		killedBy: []string{"filtered and paged", "every page size", "fold of a prefix", "plain slice"},
	},
	{
		name:     "the engine ignores UntilSequence",
		wrap:     queries(func(q *daybook.Query) { q.UntilSequence = 0 }),
		killedBy: []string{"filtered and paged", "every page size", "fold of a prefix", "plain slice"},
	},
	{
		name:     "the engine ignores AfterSequence",
		wrap:     queries(func(q *daybook.Query) { q.AfterSequence = 0 }),
		killedBy: []string{"filtered and paged", "every page size", "plain slice"},
	},
	{
		name:     "the engine ignores the event types",
		wrap:     queries(func(q *daybook.Query) { q.EventTypes = nil }),
		killedBy: []string{"filtered and paged", "every page size", "a follower filters"},
	},
	{
		name:     "the engine ignores when events occurred",
		wrap:     queries(func(q *daybook.Query) { q.OccurredUntil = time.Time{} }),
		killedBy: []string{"filtered and paged", "every page size"},
	},
	{
		name:     "the engine ignores the type of the aggregate",
		wrap:     queries(func(q *daybook.Query) { q.AggregateType = "" }),
		killedBy: []string{"filtered and paged", "every page size"},
	},
	{
		name: "the engine ignores AfterPosition where an aggregate is asked for",
		wrap: queries(func(q *daybook.Query) {
			if !q.Aggregate.IsZero() {
				q.AfterPosition = 0
			}
		}),
		killedBy: []string{"filtered and paged", "every page size", "a follower filters"},
	},
	{
		name:     "the engine reads forward only",
		wrap:     queries(func(q *daybook.Query) { q.Reverse = false }),
		killedBy: []string{"filtered and paged", "every page size"},
	},
	{
		name: "the engine misses an id in a lookup of several",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, lookup: func(ctx context.Context, book daybook.BookID, ids []daybook.UUID) ([]daybook.Recorded, error) {
				if len(ids) > 1 {
					ids = ids[1:]
				}
				return d.Lookup(ctx, book, ids)
			}}
		},
		killedBy: []string{"found by its id", "if and only if"},
	},
	{
		name: "the engine's conflicts are wrong by one",
		wrap: outcomes(func(o *daybook.Outcome, _ daybook.Append) {
			var conflict *daybook.ConflictError
			if errors.As(o.Err, &conflict) {
				conflict.Actual--
			}
		}),
		killedBy: []string{"every expectation", "exactly one wins each round", "linearizable", "plain slice"},
	},
	{
		name: "the engine lets a key be used again for something else",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
			outcome, err := only(ctx, d, book, a)
			var reused *daybook.KeyReusedError
			if errors.As(outcome.Err, &reused) {
				records, err := d.Lookup(ctx, book, []daybook.UUID{reused.EventID})
				return daybook.Outcome{Records: records, Duplicate: true}, err
			}
			return outcome, err
		}),
		killedBy: []string{"other content under the same id", "only a part is known", "plain slice"},
	},
	{
		name: "the engine writes again what was there, under new ids",
		wrap: appending(func(ctx context.Context, d daybook.Driver, book daybook.BookID, a daybook.Append) (daybook.Outcome, error) {
			outcome, err := only(ctx, d, book, a)
			if err != nil || !outcome.Duplicate {
				return outcome, err
			}
			a = expecting(a, func(daybook.EncodedEntry) daybook.Expected { return daybook.Any() })
			for i := range a.Entries {
				a.Entries[i].Events = each(func(rec *daybook.Recorded) { rec.EventID = daybook.NewUUID() })(a.Entries[i].Events)
			}
			return only(ctx, d, book, a)
		}),
		killedBy: []string{"a retry returns", "32 times at once is recorded once", "a batch may repeat", "plain slice"},
	},
	{
		name: "the engine stops a batch at the first refusal",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) (out []daybook.Outcome, err error) {
				var refusal error
				for _, a := range batch {
					outcome := daybook.Outcome{Err: refusal}
					if refusal == nil {
						if outcome, err = only(ctx, d, book, a); err != nil {
							return nil, err
						}
						refusal = outcome.Err
					}
					out = append(out, outcome)
				}
				return out, nil
			}}
		},
		killedBy: []string{"own outcome", "plain slice"},
	},
	{
		name: "the engine's fence does nothing",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, fence: func(ctx context.Context, book daybook.BookID, _ time.Time) (daybook.Head, error) {
				return d.Head(ctx, book)
			}}
		},
		killedBy: []string{"a fence in an empty book", "at or before a fence"},
	},
	{
		name: "the engine's fence only says that it holds",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, fence: func(ctx context.Context, book daybook.BookID, t time.Time) (daybook.Head, error) {
				head, err := d.Head(ctx, book)
				if head.RecordedAt.Before(t) {
					head.RecordedAt = t
				}
				return head, err
			}}
		},
		killedBy: []string{"a fence in the future moves no clock", "in the future is the present"},
	},
	{
		name: "the engine moves its clock up to any fence",
		wrap: func(d daybook.Driver) daybook.Driver {
			var ahead time.Duration
			f := seeing(each(func(rec *daybook.Recorded) { rec.RecordedAt = rec.RecordedAt.Add(ahead) }))(d).(*faulty)
			f.fence = func(ctx context.Context, book daybook.BookID, t time.Time) (daybook.Head, error) {
				head, err := d.Fence(ctx, book, t)
				if t.After(head.RecordedAt) {
					ahead = t.Sub(head.RecordedAt)
					head.RecordedAt = t
				}
				return head, err
			}
			return f
		},
		killedBy: []string{"a fence in the future moves no clock"},
	},
	{
		name:     "the engine keeps times to the millisecond",
		wrap:     seeing(each(func(rec *daybook.Recorded) { rec.OccurredAt = rec.OccurredAt.Truncate(time.Millisecond) })),
		killedBy: []string{"kept in UTC to the microsecond", "share one recorded time"},
	},
	{
		name:     "the engine returns times in another zone",
		wrap:     seeing(each(func(rec *daybook.Recorded) { rec.RecordedAt = rec.RecordedAt.In(time.FixedZone("", 3600)) })),
		killedBy: []string{"numbered 1, 2, 3", "share one recorded time"},
		says:     "UTC",
	},
	{
		name: "the engine orders by occurred time",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, read: func(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
				records, err := d.Read(ctx, book, q, into)
				slices.SortStableFunc(records, func(a, b daybook.Recorded) int { return a.OccurredAt.Compare(b.OccurredAt) })
				return records, err
			}}
		},
		killedBy: []string{"kept in UTC to the microsecond", "plain slice"},
	},
	{
		name: "the engine passes over events of unknown types",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, read: func(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
				records, err := d.Read(ctx, book, q, into)
				return slices.DeleteFunc(records, func(rec daybook.Recorded) bool { return rec.EventType == "Unheard" }), err
			}}
		},
		killedBy: []string{"fails loudly"},
	},
	{
		name: "the engine escapes text once too often",
		wrap: seeing(each(func(rec *daybook.Recorded) {
			rec.Payload = bytes.ReplaceAll(rec.Payload, []byte("&"), []byte("&amp;"))
		})),
		killedBy: []string{"the same JSON"},
	},
	{
		name: "the engine forgets empty metadata",
		wrap: seeing(each(func(rec *daybook.Recorded) {
			rec.Metadata.Extra = maps.Clone(rec.Metadata.Extra)
			delete(rec.Metadata.Extra, "Trace.id-1_x")
		})),
		killedBy: []string{"metadata comes back"},
	},
	{
		name: "the engine has one head for all books",
		wrap: func(d daybook.Driver) daybook.Driver {
			var first daybook.BookID
			return &faulty{Driver: d, head: func(ctx context.Context, book daybook.BookID) (daybook.Head, error) {
				first = cmp.Or(first, book)
				return d.Head(ctx, first)
			}}
		},
		killedBy: []string{"books know nothing"},
	},
	{
		name: "the engine reports an error for an append that it has written",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
				out, err := d.Append(context.WithoutCancel(ctx), book, batch, inline)
				return out, errors.Join(err, ctx.Err())
			}}
		},
		killedBy: []string{"if and only if", "a cancelled context writes nothing"},
	},
	{
		name: "the engine acknowledges before it writes",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, append: func(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
				out, err := d.Append(ctx, book, batch, inline)
				if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
					return make([]daybook.Outcome, len(batch)), nil
				}
				return out, err
			}}
		},
		killedBy: []string{"if and only if"},
	},
	{
		name:     "the engine acknowledges every third append without writing it",
		wrap:     forgetful,
		killedBy: []string{"numbered 1, 2, 3", "racing commands", "plain slice", "begun after another"},
	},
	{
		name: "the engine's head runs ahead of what can be read",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, head: func(ctx context.Context, book daybook.BookID) (daybook.Head, error) {
				head, err := d.Head(ctx, book)
				head.Position++
				return head, err
			}}
		},
		killedBy: []string{"numbered 1, 2, 3", "every snapshot", "never clamped", "plain slice"},
	},
	{
		name:     "the engine shows an append before the one whose place is lower",
		wrap:     lateVisible,
		killedBy: []string{"a follower sees every event", "every snapshot"},
	},
}
