package daybooktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daybook-go/daybook"
)

// checkpoint is one with something in every field. It is not there yet.
func checkpoint(projection string, generation int64) daybook.Checkpoint {
	return daybook.Checkpoint{
		Projection: projection, Generation: generation, Kind: daybook.KindBehind, State: daybook.GenerationKept,
		Declared: foldNamed(projection), Table: projection + "_1", Position: 7, RecordedAt: time.Date(2026, 11, 24, 10, 0, 0, 123456000, time.UTC),
		Incarnation: daybook.NewUUID(), Paused: true, Failed: 8, Failure: "äöü \"quoted\"\nand 日本", Rate: 1234.5, Runner: daybook.NewUUID(),
	}
}

// sameCheckpoints fails the test unless two lists are equal but for when they were
// written; and that must be a time.
func (s *scene) sameCheckpoints(what string, got, want []daybook.Checkpoint) {
	s.Helper()
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(daybook.Checkpoint{}, "UpdatedAt")); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
	for _, c := range got {
		for name, at := range map[string]time.Time{"UpdatedAt": c.UpdatedAt, "RecordedAt": c.RecordedAt} {
			if at.Location() != time.UTC || !at.Equal(at.Truncate(time.Microsecond)) {
				s.Errorf("%s: %s of %s is %v, want whole microseconds in UTC", what, name, c.Projection, at)
			}
		}
		if c.UpdatedAt.IsZero() {
			s.Errorf("%s: %s has no UpdatedAt", what, c.Projection)
		}
	}
}

// checkpoints returns those that there are, through the other handle.
func (s *scene) checkpoints(projection string) []daybook.Checkpoint {
	s.Helper()
	list, err := s.drivers[1].Checkpoints(s.Context(), s.id, projection)
	if err != nil {
		s.Fatalf("Checkpoints: %v", err)
	}
	return list
}

// putsCheckpoint writes c, and fails the test unless that is reported as wanted.
func (s *scene) putsCheckpoint(c daybook.Checkpoint, want bool) {
	s.Helper()
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		ok, err := tx.PutCheckpoint(ctx, c)
		if err == nil && ok != want {
			s.Errorf("PutCheckpoint of %s, generation %d, revision %d: %v, want %v", c.Projection, c.Generation, c.Revision, ok, want)
		}
		return err
	})
}

// checkpointsAreKept writes checkpoints, over each other and not, and drops some.
func checkpointsAreKept(s *scene) {
	var all []daybook.Checkpoint
	for _, key := range []struct {
		projection string
		generation int64
	}{{"b", 2}, {"a_2", 1}, {"a2", 1}, {"b", 10}, {"a", 1}, {"B", 1}, {"b", 1}} {
		c := checkpoint(key.projection, key.generation)
		s.putsCheckpoint(c, true)
		s.putsCheckpoint(c, false) // it is there
		c.Revision = 1
		all = append(all, c)
	}
	all = append(all, daybook.Checkpoint{Projection: "zero", Generation: 1, Kind: daybook.KindInline, State: daybook.GenerationLive})
	s.putsCheckpoint(all[7], true)
	all[7].Revision = 1
	slices.SortFunc(all, func(a, b daybook.Checkpoint) int {
		return cmp.Or(cmp.Compare(a.Projection, b.Projection), cmp.Compare(a.Generation, b.Generation))
	})
	s.sameCheckpoints("all checkpoints", s.checkpoints(""), all)
	s.sameCheckpoints("those of one projection", s.checkpoints("b"), all[4:7])
	s.sameCheckpoints("those of no projection", s.checkpoints("c"), nil)

	all[4].Position, all[4].Paused, all[4].Failed, all[4].Failure, all[4].Runner = 9, false, 0, "", daybook.UUID{}
	for _, revision := range []int64{0, 2, 1, 1} {
		all[4].Revision = revision
		s.putsCheckpoint(all[4], revision == 1 && s.checkpoints("b")[0].Revision == 1)
	}
	all[4].Revision = 2
	absent := checkpoint("b", 3)
	absent.Revision = 1
	s.putsCheckpoint(absent, false)
	s.sameCheckpoints("after writing over one", s.checkpoints(""), all)
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		for _, one := range []struct {
			c    daybook.Checkpoint
			want bool
		}{{absent, false}, {checkpoint("b", 2), false}, {all[4], true}, {all[4], false}} {
			if ok, err := tx.DropCheckpoint(ctx, one.c); err != nil || ok != one.want {
				s.Errorf("DropCheckpoint of generation %d, revision %d: %v, %v, want %v", one.c.Generation, one.c.Revision, ok, err, one.want)
			}
		}
		return nil
	})
	s.sameCheckpoints("after dropping one", s.checkpoints("b"), all[5:7])
}

// oneLiveOneBuilding tries to make a second one of each.
func oneLiveOneBuilding(s *scene) {
	of := func(projection string, generation int64, state daybook.GenerationState) daybook.Checkpoint {
		c := checkpoint(projection, generation)
		c.State = state
		return c
	}
	first, second := of("p", 1, daybook.GenerationLive), of("p", 2, daybook.GenerationBuilding)
	s.putsCheckpoint(first, true)
	s.putsCheckpoint(second, true)
	s.putsCheckpoint(of("q", 1, daybook.GenerationLive), true)
	s.putsCheckpoint(of("p", 3, daybook.GenerationKept), true)
	s.putsCheckpoint(of("p", 4, daybook.GenerationKept), true)
	first.Revision, second.Revision = 1, 1
	for _, state := range []daybook.GenerationState{daybook.GenerationLive, daybook.GenerationBuilding} {
		err := s.driver.Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error {
			if err := tx.PutSkip(ctx, daybook.Skip{Projection: "p", Position: 1}); err != nil {
				return err
			}
			_, err := tx.PutCheckpoint(ctx, of("p", 5, state))
			return err
		})
		if err == nil {
			s.Errorf("a second generation that is %s is written", state)
		}
	}
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error { // the switch
		first.State, second.State = daybook.GenerationKept, daybook.GenerationLive
		for _, c := range []daybook.Checkpoint{first, second} {
			if ok, err := tx.PutCheckpoint(ctx, c); err != nil || !ok {
				return errors.Join(err, fmt.Errorf("generation %d is not written: %v", c.Generation, ok))
			}
		}
		return nil
	})
	var states []daybook.GenerationState
	for _, c := range s.checkpoints("p") {
		states = append(states, c.State)
	}
	if want := []daybook.GenerationState{daybook.GenerationKept, daybook.GenerationLive, daybook.GenerationKept, daybook.GenerationKept}; !slices.Equal(states, want) {
		s.Errorf("the generations are %v, want %v", states, want)
	}
	s.sameSkips("after what was refused", nil)
}

// oneFirstCheckpointWins lets transactions race for a checkpoint that is not there yet, as
// programs do that are started at the same time.
func oneFirstCheckpointWins(s *scene) {
	for round := range times(60) {
		c := checkpoint(fmt.Sprintf("p%d", round), 1)
		c.State = []daybook.GenerationState{daybook.GenerationBuilding, daybook.GenerationLive}[round%2]
		var won atomic.Int64
		atOnce(6, func(i int) {
			ok := false
			err := s.drivers[i%2].Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) (err error) {
				ok, err = tx.PutCheckpoint(ctx, c)
				return err
			})
			if err != nil {
				s.Errorf("round %d: %v", round, err)
			}
			if ok {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			s.Errorf("round %d: %d of 6 transactions have written it, want 1", round, won.Load())
		}
	}
}

// oneCheckpointWins lets transactions race for one revision, through both handles.
func oneCheckpointWins(s *scene) {
	c := checkpoint("p", 1)
	for round := range times(20) {
		var won atomic.Int64
		atOnce(4, func(i int) {
			mine := c
			mine.Position = int64(i)
			ok := false
			err := s.drivers[i%2].Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) (err error) {
				ok, err = tx.PutCheckpoint(ctx, mine)
				return err
			})
			if err != nil {
				s.Errorf("round %d: %v", round, err)
			}
			if ok {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			s.Errorf("round %d: %d of 4 transactions have written revision %d, want 1", round, won.Load(), c.Revision+1)
		}
		c.Revision++
		if at := s.checkpoints("p"); len(at) != 1 || at[0].Revision != c.Revision {
			s.Fatalf("round %d: the checkpoints are %+v, want one at revision %d", round, at, c.Revision)
		}
	}
	// Each adds one to what it has read: none is lost.
	const each = 10
	atOnce(4, func(i int) {
		for done := 0; done < each; {
			ok := false
			err := s.drivers[i%2].Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error {
				list, err := tx.Checkpoints(ctx, "p")
				if err != nil {
					return err
				}
				list[0].Failed++
				ok, err = tx.PutCheckpoint(ctx, list[0])
				return err
			})
			if err != nil {
				s.Errorf("adding one: %v", err)
				return
			}
			if ok {
				done++
			}
		}
	})
	if at := s.checkpoints("p")[0]; at.Failed != c.Failed+4*each || at.Revision != c.Revision+4*each {
		s.Errorf("after adding one %d times: %d at revision %d, want %d at %d", 4*each, at.Failed, at.Revision, c.Failed+4*each, c.Revision+4*each)
	}
}

// pin takes a snapshot through one of the handles, and ends the test where it cannot.
func (s *scene) pin(handle int) daybook.PinnedTables {
	s.Helper()
	pin, err := s.drivers[handle].Pin(s.Context(), s.id)
	if err != nil {
		s.Fatalf("Pin: %v", err)
	}
	return pin
}

// unpin closes a snapshot.
func (s *scene) unpin(pin daybook.PinnedTables) {
	s.Helper()
	if err := pin.Close(); err != nil {
		s.Errorf("closing a pin: %v", err)
	}
}

func (s *scene) skips(projection string) []daybook.Skip {
	s.Helper()
	pin := s.pin(1)
	defer s.unpin(pin)
	skips, err := pin.Skips(s.Context(), projection)
	if err != nil {
		s.Fatalf("Skips: %v", err)
	}
	return skips
}

// sameSkips fails the test unless these are all the skips of the book.
func (s *scene) sameSkips(what string, want []daybook.Skip) {
	s.Helper()
	got := s.skips("")
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(daybook.Skip{}, "SkippedAt")); diff != "" {
		s.Errorf("the skips %s (-want +got):\n%s", what, diff)
	}
	for _, skip := range got {
		if skip.SkippedAt.IsZero() || skip.SkippedAt.Location() != time.UTC {
			s.Errorf("the skip %+v has no time in UTC", skip)
		}
	}
}

// skipsAreKept writes some, also twice.
func skipsAreKept(s *scene) {
	all := []daybook.Skip{{Projection: "b", Position: 10, Reason: "ten"}, {Projection: "a", Position: 7}, {Projection: "b", Position: 9, Reason: "äöü\n\"日本\""}, {Projection: "B", Position: 1}}
	for _, skip := range append(all, daybook.Skip{Projection: "b", Position: 9, Reason: "another"}) {
		s.transact(func(ctx context.Context, tx daybook.DriverTx) error { return tx.PutSkip(ctx, skip) })
	}
	s.sameSkips("in order", []daybook.Skip{all[3], all[1], all[2], all[0]})
	if of := s.skips("b"); len(of) != 2 || of[0].Position != 9 || of[1].Position != 10 {
		s.Errorf("the skips of one projection are %+v", of)
	}
	if of := s.skips("c"); len(of) != 0 {
		s.Errorf("the skips of no projection are %+v", of)
	}
}

// projectionsApart keeps the same in two books.
func projectionsApart(s *scene) {
	other := s.again(s.TB)
	mine, theirs := checkpoint("p", 1), checkpoint("p", 1)
	s.putsCheckpoint(mine, true)
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		return tx.PutSkip(ctx, daybook.Skip{Projection: "p", Position: 1})
	})
	other.sameCheckpoints("the checkpoints of another book", other.checkpoints(""), nil)
	other.sameSkips("of another book", nil)
	theirs.State = daybook.GenerationLive
	other.putsCheckpoint(theirs, true)
	mine.State = daybook.GenerationLive
	mine.Revision = 1
	s.putsCheckpoint(mine, true)
	theirs.Revision = 1
	other.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		ok, err := tx.DropCheckpoint(ctx, theirs)
		if err == nil && !ok {
			s.Errorf("the checkpoint of the other book is not dropped")
		}
		return err
	})
	mine.Revision = 2
	s.sameCheckpoints("after another book has dropped the same", s.checkpoints(""), []daybook.Checkpoint{mine})
	s.setInline(3)
	if state := other.state(); state.Inline != 0 {
		s.Errorf("the other book has the revision %d of the inline projections, want 0", state.Inline)
	}
	if one, two := s.state().Incarnation, other.state().Incarnation; one.IsZero() || one == two {
		s.Errorf("the incarnations of two books are %v and %v", one, two)
	}
}

// state returns the head of the book and what goes with it.
func (s *scene) state() daybook.BookState {
	s.Helper()
	pin := s.pin(1)
	defer s.unpin(pin)
	state, err := pin.State(s.Context())
	if err != nil {
		s.Fatalf("State: %v", err)
	}
	return state
}

// setInline moves the revision of the inline projections.
func (s *scene) setInline(revision int64) {
	s.Helper()
	err := s.driver.Transact(s.Context(), s.id, true, func(ctx context.Context, tx daybook.DriverTx) error { return tx.SetInline(ctx, revision) })
	if err != nil {
		s.Fatalf("SetInline: %v", err)
	}
}
