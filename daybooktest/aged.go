package daybooktest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// agedSnapshots keeps snapshots while a history grows, and then loses some, spoils
// some and adds some of another fold: what is loaded at any point is the fold of a
// prefix all the same.
func agedSnapshots(s *scene) {
	rapid.Check(s, func(t *rapid.T) {
		r := s.again(t)
		policy := daybook.Snapshots{
			Every: rapid.IntRange(1, 4).Draw(t, "every"), Thin: rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "thin"),
			CheckOneIn: rapid.SampledFrom([]int{-1, -1, 1}).Draw(t, "check"),
		}
		// Through both handles, as two programs with one policy.
		repos := [2]*daybook.Repository[[]string, note, any]{}
		for i := range repos {
			repos[i] = daybook.NewRepository(r.books[i], notebooks, policy)
		}
		var records []daybook.Recorded
		ids := []daybook.AggregateID{newAggregate(), newAggregate()}
		for i := range rapid.IntRange(1, 4).Draw(t, "ages") {
			records = append(records, r.drawAppends(t, ids)...)
			switch rapid.IntRange(0, 2).Draw(t, "keep") {
			case 0:
				if _, err := repos[i%2].Keep(r.Context(), ids[0]); err != nil {
					r.Fatalf("Keep: %v", err)
				}
			case 1:
				r.asksEveryPoint(t, repos[i%2], records, ids[0]) // which leaves some behind
			}
		}
		for _, repo := range repos {
			if err := repo.Flush(r.Context()); err != nil {
				r.Fatalf("Flush: %v", err)
			}
		}
		r.age(t, records)
		repo := repos[rapid.IntRange(0, 1).Draw(t, "handle")]
		r.asksEveryPoint(t, repo, records, ids[0])
		if err := repo.Flush(r.Context()); err != nil {
			r.Fatalf("Flush: %v", err)
		}
		r.asksEveryPoint(t, repo, records, ids[0]) // after what it has mended
		if stats := repo.SnapshotStats(); stats.Differed+stats.Failed+stats.Dropped > 0 {
			r.Errorf("the repository counts %+v", stats)
		}
	})
}

// age drops some of the book's snapshots, spoils some and adds some that nobody asked
// for.
func (s *scene) age(t *rapid.T, records []daybook.Recorded) {
	s.Helper()
	var drop, keep []daybook.Snapshot
	taken := map[string]bool{}
	for _, one := range s.kept(daybook.SnapshotQuery{States: true}) {
		switch what := rapid.SampledFrom([]string{"", "", "", "drop", "spoil", "other fold"}).Draw(t, "age"); what {
		case "drop":
			drop = append(drop, one)
		case "spoil":
			one = s.spoil(t, one, records)
			keep = append(keep, one)
		case "other fold":
			one.Fold, one.State = foldNamed("other"), []byte(`["of another fold"]`)
			keep = append(keep, one)
		}
	}
	keep = slices.DeleteFunc(keep, func(one daybook.Snapshot) bool {
		key := fmt.Sprint(one.Aggregate.ID, one.Fold, one.SequenceNumber)
		defer func() { taken[key] = true }()
		return taken[key]
	})
	if err := s.book.DropSnapshots(s.Context(), drop...); err != nil {
		s.Fatalf("DropSnapshots: %v", err)
	}
	s.keep(keep...)
}

// spoil changes one thing about a snapshot, in such a way as to make a wrong answer
// likely.
func (s *scene) spoil(t *rapid.T, one daybook.Snapshot, records []daybook.Recorded) daybook.Snapshot {
	other := rapid.SampledFrom(records).Draw(t, "other")
	switch rapid.SampledFrom([]string{"state", "null", "number", "place", "time", "segment", "earliest", "latest", "aggregate", "type", "hash", "beyond"}).Draw(t, "spoil") {
	case "state":
		one.State = []byte(`["of another state"]`)
	case "null":
		one.State = []byte(`null`)
	case "number":
		one.SequenceNumber = other.SequenceNumber
	case "place": // of another event, whole
		one.SequenceNumber, one.Position, one.RecordedAt = other.SequenceNumber, other.Position, other.RecordedAt
	case "time":
		one.RecordedAt = other.RecordedAt
	case "segment":
		one.SinceSequence = 0
	case "earliest":
		one.OccurredMin = one.OccurredMax.Add(24 * time.Hour)
	case "latest":
		one.OccurredMax = one.OccurredMax.Add(-24 * time.Hour)
	case "aggregate":
		one.Aggregate = other.Aggregate
	case "type":
		one.Aggregate.Type = "ledger"
	case "hash":
		one.StateHash[7]++
	case "beyond":
		one.SequenceNumber += 100
	}
	return one
}
