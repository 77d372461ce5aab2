package daybooktest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// foldNamed is some fold.
func foldNamed(name string) daybook.Fold { return sha256.Sum256([]byte(name)) }

// snapshotOf is a snapshot of rec's aggregate right after rec, as the engine gets it:
// it does not look at what is in one.
func snapshotOf(rec daybook.Recorded, fold daybook.Fold) daybook.Snapshot {
	return daybook.Snapshot{
		Aggregate: rec.Aggregate, Fold: fold, SequenceNumber: rec.SequenceNumber, Position: rec.Position, RecordedAt: rec.RecordedAt,
		OccurredMax: rec.OccurredAt, SinceSequence: rec.SequenceNumber - 1, OccurredMin: rec.OccurredAt.Add(-time.Hour),
		State:     fmt.Appendf(nil, `{"after":%d}`, rec.SequenceNumber),
		StateHash: sha256.Sum256([]byte("state")), Checksum: sha256.Sum256([]byte(rec.String())),
	}
}

// keep writes snapshots, and ends the test where that fails.
func (s *scene) keep(snapshots ...daybook.Snapshot) {
	s.Helper()
	if err := s.driver.KeepSnapshots(s.Context(), s.id, snapshots); err != nil {
		s.Fatalf("Driver.KeepSnapshots: %v", err)
	}
}

// kept returns what snapshots q selects, and ends the test where that fails.
func (s *scene) kept(q daybook.SnapshotQuery) (list []daybook.Snapshot) {
	s.Helper()
	for snapshot, err := range s.book.Snapshots(s.Context(), q) {
		if err != nil {
			s.Fatalf("Snapshots(%+v): %v", q, err)
		}
		list = append(list, snapshot)
	}
	return list
}

// sameSnapshots fails the test unless two lists are equal, states by value.
func (s *scene) sameSnapshots(what string, got, want []daybook.Snapshot) {
	s.Helper()
	if diff := cmp.Diff(canonicalStates(want), canonicalStates(got)); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func canonicalStates(list []daybook.Snapshot) []daybook.Snapshot {
	out := make([]daybook.Snapshot, 0, len(list))
	for _, one := range list {
		if state, err := daybook.CanonicalJSON(one.State); err == nil {
			one.State = state
		}
		out = append(out, one)
	}
	return out
}

// resumes fails the test unless the engine answers q as the plainest way of working
// it out does.
func (s *scene) resumes(q daybook.ResumeQuery, kept []daybook.Snapshot, records []daybook.Recorded) {
	s.Helper()
	want, start := daybook.Snapshot{}, int64(1)
	for _, one := range kept {
		if one.Aggregate.ID == q.Aggregate.ID && one.Fold == q.Fold && one.SequenceNumber > want.SequenceNumber && inside(q, one.SequenceNumber, one.Position, one.RecordedAt) &&
			(q.SnapshotUntil == 0 || one.SequenceNumber <= q.SnapshotUntil) && (q.OccurredUntil.IsZero() || !one.OccurredMax.After(q.OccurredUntil)) {
			want = one
		}
	}
	for _, rec := range records {
		if rec.Aggregate == q.Aggregate && rec.SequenceNumber == want.SequenceNumber && rec.Position == want.Position && rec.RecordedAt.Equal(want.RecordedAt) {
			start = rec.SequenceNumber
		}
	}
	var events []daybook.Recorded
	for _, rec := range records {
		if rec.Aggregate == q.Aggregate && rec.SequenceNumber >= start && inside(q, rec.SequenceNumber, rec.Position, rec.RecordedAt) && len(events) < q.Limit {
			events = append(events, rec)
		}
	}
	got, gotEvents, err := s.driver.Resume(s.Context(), s.id, q)
	if err != nil {
		s.Fatalf("Driver.Resume(%+v): %v", q, err)
	}
	s.same(fmt.Sprintf("the events of Resume(%+v)", q), gotEvents, events)
	if len(events) == 0 && got.SequenceNumber == 0 {
		return // without events, a snapshot may be left out
	}
	s.sameSnapshots(fmt.Sprintf("the snapshot of Resume(%+v)", q), []daybook.Snapshot{got}, []daybook.Snapshot{want})
}

func inside(q daybook.ResumeQuery, number, position int64, recorded time.Time) bool {
	return (q.UntilSequence == 0 || number <= q.UntilSequence) && (q.UntilPosition == 0 || position <= q.UntilPosition) &&
		(q.UntilRecorded.IsZero() || !recorded.After(q.UntilRecorded))
}

// snapshotsResume asks every question about snapshots of every age, of two folds, of
// which some are not where they say.
func snapshotsResume(s *scene) {
	rapid.Check(s, func(t *rapid.T) {
		r := s.again(t)
		records, ids := r.drawHistory(t)
		folds := []daybook.Fold{foldNamed("one"), foldNamed("two")}
		var kept []daybook.Snapshot
		for _, rec := range records {
			for _, fold := range folds {
				if rapid.IntRange(0, 2).Draw(t, "keep") == 0 {
					kept = append(kept, snapshotOf(rec, fold))
				}
			}
		}
		if len(kept) > 0 && rapid.IntRange(0, 2).Draw(t, "moved") == 0 {
			moved := &kept[rapid.IntRange(0, len(kept)-1).Draw(t, "which")]
			moved.Position += rapid.Int64Range(1, 3).Draw(t, "by") // no longer where it says
			kept = slices.DeleteFunc(slices.Clone(kept), func(one daybook.Snapshot) bool {
				// What comes after the moved one in another order is found or not: either is right.
				return one.Aggregate == moved.Aggregate && one.Fold == moved.Fold && one.SequenceNumber > moved.SequenceNumber
			})
		}
		r.keep(kept...)
		for range 12 {
			q := daybook.ResumeQuery{
				Aggregate: rapid.SampledFrom(append(ids, newAggregate())).Draw(t, "aggregate"), Fold: rapid.SampledFrom(append(folds, foldNamed("none"))).Draw(t, "fold"),
				Limit: rapid.SampledFrom([]int{1, 2, 100}).Draw(t, "limit"),
			}
			if rapid.IntRange(0, 2).Draw(t, "occurred") == 0 {
				q.OccurredUntil = rapid.SampledFrom(records).Draw(t, "until").OccurredAt
			}
			switch last := int64(len(records) + 1); rapid.IntRange(0, 4).Draw(t, "bound") {
			case 1:
				q.UntilSequence = rapid.Int64Range(1, last).Draw(t, "sequence")
			case 2:
				q.UntilPosition = rapid.Int64Range(1, last).Draw(t, "position")
			case 3:
				q.UntilRecorded = rapid.SampledFrom(records).Draw(t, "recorded").RecordedAt.Add(-time.Duration(rapid.IntRange(0, 1).Draw(t, "before")) * time.Microsecond)
			case 4:
				q.UntilPosition = rapid.Int64Range(1, last).Draw(t, "position")
				q.SnapshotUntil = rapid.Int64Range(1, last).Draw(t, "snapshot")
			}
			r.resumes(q, kept, records)
		}
		slices.SortFunc(kept, daybook.Snapshot.Compare)
		r.sameSnapshots("the snapshots of the book", r.kept(daybook.SnapshotQuery{States: true}), kept)
	})
}

// snapshotsListed keeps many and lists them in every way.
func snapshotsListed(s *scene) {
	var all []daybook.Snapshot
	ids := []daybook.AggregateID{newAggregate(), newAggregate(), newAggregate()}
	for _, id := range ids {
		for i, rec := range s.append(entry(id, daybook.NoEvents(), slices.Repeat([]string{"x"}, 30)...)) {
			all = append(all, snapshotOf(rec, foldNamed([]string{"one", "two"}[i%2])))
		}
	}
	s.keep(all...)
	slices.SortFunc(all, daybook.Snapshot.Compare)
	for _, id := range append(ids, daybook.AggregateID{}, newAggregate()) {
		for _, fold := range []daybook.Fold{{}, foldNamed("one"), foldNamed("none")} {
			if id.IsZero() && !fold.IsZero() {
				continue
			}
			for _, q := range []daybook.SnapshotQuery{{}, {States: true}, {Limit: 4}, {Limit: 1000, States: true}} {
				q.Aggregate, q.Fold = id, fold
				var want []daybook.Snapshot
				for _, one := range all {
					if (id.IsZero() || one.Aggregate == id) && (fold.IsZero() || one.Fold == fold) && (q.Limit == 0 || len(want) < q.Limit) {
						if !q.States {
							one.State = nil
						}
						want = append(want, one)
					}
				}
				s.sameSnapshots(fmt.Sprintf("listing %+v", q), s.kept(q), want)
				if len(want) > 2 {
					q.After = want[1]
					q.Limit = max(0, q.Limit-2)
					s.sameSnapshots(fmt.Sprintf("listing %+v", q), s.kept(q), want[2:])
				}
			}
		}
	}
	drop := []daybook.Snapshot{all[3], all[40], {Aggregate: ids[0], Fold: foldNamed("never"), SequenceNumber: 7}}
	if err := s.book.DropSnapshots(s.Context(), drop...); err != nil {
		s.Fatalf("DropSnapshots: %v", err)
	}
	left := slices.DeleteFunc(slices.Clone(all), func(one daybook.Snapshot) bool { return one.Compare(all[3]) == 0 || one.Compare(all[40]) == 0 })
	s.sameSnapshots("after dropping two", s.kept(daybook.SnapshotQuery{States: true}), left)
}

// snapshotsReplaced lets many write the same snapshots at once, in any order, and then
// one write over what is there.
func snapshotsReplaced(s *scene) {
	records := s.append(entry(newAggregate(), daybook.NoEvents(), "1", "2", "3", "4"))
	var all []daybook.Snapshot
	for _, rec := range records {
		all = append(all, snapshotOf(rec, foldNamed("one")))
	}
	atOnce(8, func(i int) {
		mine := slices.Clone(all)
		if i%2 == 1 {
			slices.Reverse(mine)
		}
		if err := s.drivers[i%2].KeepSnapshots(s.Context(), s.id, mine); err != nil {
			s.Errorf("writer %d of the same snapshots: %v", i, err)
		}
	})
	s.sameSnapshots("written by eight", s.kept(daybook.SnapshotQuery{States: true}), all)
	all[2].State, all[2].SinceSequence, all[2].Checksum = []byte(`["another"]`), 0, [32]byte{1}
	s.keep(all[2])
	s.sameSnapshots("one written over", s.kept(daybook.SnapshotQuery{States: true}), all)
	if err := s.driver.KeepSnapshots(s.Context(), s.id, nil); err != nil {
		s.Errorf("keeping no snapshots: %v", err)
	}
}

// snapshotsApart keeps and drops the same keys in two books.
func snapshotsApart(s *scene) {
	other := s.again(s.TB)
	id := newAggregate()
	mine, theirs := s.append(entry(id, daybook.NoEvents(), "1", "2"))[1], other.append(entry(id, daybook.NoEvents(), "3", "4"))[1]
	one, two := snapshotOf(mine, foldNamed("one")), snapshotOf(theirs, foldNamed("one"))
	s.keep(one)
	other.sameSnapshots("the snapshots of another book", other.kept(daybook.SnapshotQuery{}), nil)
	other.keep(two)
	s.resumes(daybook.ResumeQuery{Aggregate: id, Fold: one.Fold, Limit: 9}, []daybook.Snapshot{one}, s.all())
	if err := other.book.DropSnapshots(s.Context(), two); err != nil {
		s.Fatalf("DropSnapshots: %v", err)
	}
	s.sameSnapshots("after another book dropped the same", s.kept(daybook.SnapshotQuery{States: true}), []daybook.Snapshot{one})
	unchanged := s.unchanged()
	s.keep(snapshotOf(mine, foldNamed("two")))
	unchanged("keeping a snapshot")
}
