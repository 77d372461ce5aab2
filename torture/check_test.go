package torture_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
	"github.com/daybook-go/daybook/torture"
)

// liar is a sound engine that does something else than it says.
type liar struct {
	daybook.Driver
	appends atomic.Int64
	lie     func(l *liar, ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error)
	read    func([]daybook.Recorded) []daybook.Recorded
	fence   bool
}

// Fence, where the liar lies about it, says what is to be true and does nothing for it.
func (l *liar) Fence(ctx context.Context, book daybook.BookID, t time.Time) (daybook.Head, error) {
	if !l.fence {
		return l.Driver.Fence(ctx, book, t)
	}
	head, err := l.Head(ctx, book)
	head.RecordedAt = t
	return head, err
}

func (l *liar) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
	if l.lie == nil || l.appends.Add(1)%7 != 0 {
		return l.Driver.Append(ctx, book, batch, inline)
	}
	return l.lie(l, ctx, book, batch, inline)
}

func (l *liar) Read(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
	records, err := l.Driver.Read(ctx, book, q, into)
	if l.read != nil {
		records = l.read(slices.Clone(records))
	}
	return records, err
}

// liars are what the checker must see. Each breaks one promise, perhaps others too.
var liars = []struct {
	name    string
	promise string
	lie     func(l *liar, ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error)
	read    func([]daybook.Recorded) []daybook.Recorded
	fence   bool
}{
	{
		name: "says that it failed, and has written", promise: "I3",
		lie: func(l *liar, ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
			_, err := l.Driver.Append(ctx, book, batch, inline)
			return nil, errors.Join(err, errors.New("the connection was lost"))
		},
	},
	{
		name: "acknowledges with other places", promise: "I1",
		lie: func(l *liar, ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
			outcomes, err := l.Driver.Append(ctx, book, batch, inline)
			for _, o := range outcomes {
				for i := range o.Records {
					o.Records[i].Position++
				}
			}
			return outcomes, err
		},
	},
	{
		// INSERT … ON CONFLICT DO NOTHING, without a look at how much was inserted.
		name: "answers a conflict as done", promise: "I1",
		lie: func(l *liar, ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
			for i := range batch {
				for j := range batch[i].Entries {
					batch[i].Entries[j].Expected = daybook.Exactly(1)
				}
			}
			head, err := l.Head(ctx, book)
			if err != nil {
				return nil, err
			}
			outcomes, err := l.Driver.Append(ctx, book, batch, inline)
			for i := range outcomes {
				if outcomes[i].Err == nil {
					continue
				}
				outcomes[i].Err = nil
				for _, entry := range batch[i].Entries {
					for j, rec := range entry.Events {
						rec.Aggregate, rec.SequenceNumber, rec.Position, rec.RecordedAt = entry.Aggregate, int64(2+j), head.Position+1, head.RecordedAt
						outcomes[i].Records = append(outcomes[i].Records, rec)
					}
				}
			}
			return outcomes, err
		},
	},
	{
		name: "refuses without reason", promise: "I8",
		lie: func(_ *liar, _ context.Context, _ daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
			outcomes := make([]daybook.Outcome, len(batch))
			for i, a := range batch {
				outcomes[i].Err = &daybook.ConflictError{Aggregate: a.Entries[0].Aggregate, Expected: a.Entries[0].Expected, Actual: 0}
			}
			return outcomes, nil
		},
	},
	{
		name: "writes what nobody expected", promise: "I8",
		lie: func(l *liar, ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
			for i := range batch {
				for j := range batch[i].Entries {
					batch[i].Entries[j].Expected = daybook.Any()
				}
			}
			return l.Driver.Append(ctx, book, batch, inline)
		},
	},
	{
		name: "writes each part of an append in a transaction of its own, while others write", promise: "I9",
		lie: func(l *liar, ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) (outcomes []daybook.Outcome, err error) {
			var parts [2][]daybook.Append
			for _, a := range batch {
				half := len(a.Entries) / 2
				parts[0] = append(parts[0], daybook.Append{Entries: a.Entries[:half]})
				parts[1] = append(parts[1], daybook.Append{Entries: a.Entries[half:]})
			}
			var halves [2][]daybook.Outcome
			for i := range parts {
				if halves[i], err = l.Driver.Append(ctx, book, parts[i], inline); err != nil {
					return nil, err
				}
			}
			for i := range batch {
				outcomes = append(outcomes, daybook.Outcome{Records: append(halves[0][i].Records, halves[1][i].Records...), Err: halves[1][i].Err})
			}
			return outcomes, nil
		},
	},
	{
		name: "shows times that run backward", promise: "I15",
		read: func(records []daybook.Recorded) []daybook.Recorded {
			for i := range records {
				if records[i].Position%9 == 0 {
					records[i].RecordedAt = records[i].RecordedAt.Add(-time.Minute)
				}
			}
			return records
		},
	},
	{name: "answers about a time to which it still records", promise: "I15", fence: true},
	{
		name: "hides an event", promise: "I5",
		read: func(records []daybook.Recorded) []daybook.Recorded {
			return slices.DeleteFunc(records, func(rec daybook.Recorded) bool { return rec.Position == 5 })
		},
	},
}

func newFile(t *testing.T) daybook.Driver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "book.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	driver, err := open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return driver
}

// A checker that believes an engine that lies is a bug of the suite.
func TestTheCheckerSeesLies(t *testing.T) {
	t.Parallel()
	for _, l := range liars {
		t.Run("an engine that "+l.name, func(t *testing.T) {
			t.Parallel()
			mustBreak(t, []string{l.promise}, func(int) *torture.Report {
				driver := &liar{Driver: newFile(t), lie: l.lie, read: l.read, fence: l.fence}
				return fight(t, driver, "main", []torture.Kind{torture.Believing, torture.Spreading, torture.Opening}, 300*time.Millisecond)
			})
		})
	}
}

// And one that finds fault with a sound engine, too.
func TestTheCheckerBelievesTheTruth(t *testing.T) {
	t.Parallel()
	report := fight(t, &liar{Driver: newFile(t)}, "main", torture.Everything(), time.Second)
	if !report.Held() || report.Done == 0 || report.Refused == 0 || report.Questions == 0 {
		t.Errorf("seed %d: %v, %d questions", *flagSeed, report, report.Questions)
	}
	t.Log(report)
}
