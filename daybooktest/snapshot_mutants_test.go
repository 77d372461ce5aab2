package daybooktest

import (
	"context"
	"slices"
	"time"

	"github.com/daybook-go/daybook"
)

func asIs(*daybook.Snapshot, *[]daybook.Recorded) {}

const ofEveryAge = "snapshots of every age"

// snapshotMutants are faults in what an engine does with snapshots. Some change no
// answer, because the library looks; the suite sees them all the same.
var snapshotMutants = []mutant{
	{
		name: "the engine accepts a snapshot of another fold",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, resume: func(ctx context.Context, book daybook.BookID, q daybook.ResumeQuery) (daybook.Snapshot, []daybook.Recorded, error) {
				list, err := d.Snapshots(ctx, book, daybook.SnapshotQuery{Aggregate: q.Aggregate, Limit: 100})
				if err != nil {
					return daybook.Snapshot{}, nil, err
				}
				for _, other := range slices.Backward(list) {
					q.Fold = other.Fold
				}
				return d.Resume(ctx, book, q)
			}}
		},
		killedBy: []string{"an aggregate is resumed"},
	},
	{
		name:     "the engine resumes from snapshots beyond a position",
		wrap:     resuming(func(q *daybook.ResumeQuery) { q.UntilPosition = 0 }, asIs),
		killedBy: []string{"an aggregate is resumed", ofEveryAge},
	},
	{
		name:     "the engine resumes from snapshots beyond a time",
		wrap:     resuming(func(q *daybook.ResumeQuery) { q.UntilRecorded = time.Time{} }, asIs),
		killedBy: []string{"an aggregate is resumed"},
	},
	{
		name:     "the engine resumes from snapshots beyond a number",
		wrap:     resuming(func(q *daybook.ResumeQuery) { q.UntilSequence = 0 }, asIs),
		killedBy: []string{"an aggregate is resumed", ofEveryAge},
	},
	{
		name:     "the engine resumes from snapshots with what occurred later",
		wrap:     resuming(func(q *daybook.ResumeQuery) { q.OccurredUntil = time.Time{} }, asIs),
		killedBy: []string{"an aggregate is resumed", ofEveryAge},
	},
	{
		name: "the engine leaves a hole behind the snapshot",
		wrap: resuming(func(*daybook.ResumeQuery) {}, func(kept *daybook.Snapshot, records *[]daybook.Recorded) {
			if kept.SequenceNumber > 0 && len(*records) > 2 {
				*records = slices.Delete(slices.Clone(*records), 1, 2)
			}
		}),
		killedBy: []string{"an aggregate is resumed", ofEveryAge},
	},
	{
		name: "the engine finds no snapshots",
		wrap: resuming(func(q *daybook.ResumeQuery) { q.Fold = foldNamed("nothing") }, asIs),
		// No answer changes by it.
		killedBy: []string{"an aggregate is resumed"},
	},
	{
		name: "the engine keeps only the first snapshot of a key",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, keep: func(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
				there, err := d.Snapshots(ctx, book, daybook.SnapshotQuery{Limit: 10_000})
				if err != nil {
					return err
				}
				return d.KeepSnapshots(ctx, book, slices.DeleteFunc(slices.Clone(snapshots), func(s daybook.Snapshot) bool {
					return slices.ContainsFunc(there, func(other daybook.Snapshot) bool { return other.Compare(s) == 0 })
				}))
			}}
		},
		killedBy: []string{"writers of the same snapshots"},
	},
	{
		name: "the engine drops all snapshots of an aggregate",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, drop: func(ctx context.Context, book daybook.BookID, snapshots []daybook.Snapshot) error {
				for _, s := range snapshots {
					all, err := d.Snapshots(ctx, book, daybook.SnapshotQuery{Aggregate: s.Aggregate, Limit: 10_000})
					if err != nil {
						return err
					}
					if err := d.DropSnapshots(ctx, book, all); err != nil {
						return err
					}
				}
				return nil
			}}
		},
		killedBy: []string{"listed and dropped"},
	},
	{
		name: "the engine lists a page too short",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d, list: func(ctx context.Context, book daybook.BookID, q daybook.SnapshotQuery) ([]daybook.Snapshot, error) {
				list, err := d.Snapshots(ctx, book, q)
				if len(list) > 3 {
					list = list[:len(list)-1]
				}
				return list, err
			}}
		},
		killedBy: []string{"listed and dropped"},
	},
	{
		name: "the engine keeps snapshots of all books in one",
		wrap: func(d daybook.Driver) daybook.Driver {
			return &faulty{Driver: d,
				keep: func(ctx context.Context, _ daybook.BookID, snapshots []daybook.Snapshot) error {
					return d.KeepSnapshots(ctx, 1, snapshots)
				},
				list: func(ctx context.Context, _ daybook.BookID, q daybook.SnapshotQuery) ([]daybook.Snapshot, error) {
					return d.Snapshots(ctx, 1, q)
				},
			}
		},
		killedBy: []string{"the snapshots of one book"},
	},
}
