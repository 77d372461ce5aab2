package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// racers is how many goroutines race, half of them through each handle.
const racers = 32

// raceTimeout bounds a race, so that a deadlock is a failure and no hang.
const raceTimeout = 3 * time.Minute

func oneWinnerEachRound(s *scene) {
	id := newAggregate()
	for round := range int64(times(8)) {
		var won atomic.Int64
		atOnce(racers, func(i int) {
			_, err := s.books[i%2].Append(s.Context(), entry(id, daybook.Exactly(round), fmt.Sprintf("round %d, writer %d", round, i)))
			if err == nil {
				won.Add(1)
				return
			}
			if conflict, ok := refusedAs[*daybook.ConflictError](s, "losing a race", err, daybook.ErrConflict); ok && conflict.Actual != round+1 {
				s.Errorf("the loser of round %d was told that the aggregate is at %d, want %d", round, conflict.Actual, round+1)
			}
		})
		if won.Load() != 1 {
			s.Fatalf("round %d had %d winners, want 1", round, won.Load())
		}
	}
}

func openedOnce(s *scene) {
	for range times(4) {
		id := newAggregate()
		var opened atomic.Int64
		atOnce(racers, func(i int) {
			_, err := s.books[i%2].Append(s.Context(), entry(id, daybook.NoEvents(), fmt.Sprint(i)))
			if err == nil {
				opened.Add(1)
				return
			}
			s.refused("opening what is open", err, daybook.ErrConflict)
		})
		if opened.Load() != 1 {
			s.Fatalf("%d of %d opened the same aggregate, want 1", opened.Load(), racers)
		}
	}
}

func recordedOnce(s *scene) {
	for round := range times(4) {
		e := entry(newAggregate(), daybook.NoEvents(), "1", "2")
		answers := make([][]daybook.Recorded, racers+1)
		again := func(i int) {
			records, err := s.books[i%2].Append(s.Context(), e)
			if err != nil {
				s.Errorf("one of many equal appends: %v", err)
			}
			answers[i] = records
		}
		atOnce(racers, again)
		again(racers) // and once more, after the race
		if s.Failed() {
			return
		}
		for _, answer := range answers {
			s.same("equal appends were answered differently", answer, answers[0])
		}
		if got, want := s.head().Position, int64(2*(round+1)); got != want {
			s.Errorf("after round %d the head is at %d, want %d", round, got, want)
		}
	}
}

func everyCommandOnce(s *scene) {
	for _, write := range s.writes() {
		s.everyCommandOnce(write)
	}
}

func (s *scene) everyCommandOnce(write write) {
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	id, each := newAggregate(), times(4)
	atOnce(racers, func(i int) {
		for n := range each {
			text := fmt.Sprintf("%d of writer %d", n, i)
			after, number, events, err := write(ctx, i%2, id, note{text: text})
			if err != nil {
				s.Errorf("Execute: %v", err)
				return
			}
			if events != 1 || after.Last != text || after.Lines != number {
				s.Errorf("Execute(%s) returned the state %+v at number %d with %d events, want the state right after it", text, after, number, events)
			}
		}
	})
	loaded, err := s.notebooks().Load(ctx, id)
	if err != nil {
		s.Fatalf("Load: %v", err)
	}
	count := map[string]int{}
	for _, text := range loaded.State {
		count[text]++
	}
	if len(loaded.State) != racers*each || len(count) != racers*each {
		s.Errorf("%d commands left %d events, %d different ones", racers*each, len(loaded.State), len(count))
	}
}

func oneKeyOneResult(s *scene) {
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	id := newAggregate()
	s.append(entry(id, daybook.NoEvents(), "before"))
	repositories := s.repositories()
	for round := range times(4) {
		key := daybook.Key(fmt.Sprintf("request %d", round))
		results := make([]daybook.Result[[]string], racers)
		atOnce(racers, func(i int) {
			var err error
			if results[i], err = repositories[i%2].Execute(ctx, id, note{text: fmt.Sprint("line ", round)}, key); err != nil {
				s.Errorf("one of many equal commands: %v", err)
			}
		})
		if s.Failed() {
			return
		}
		for _, result := range results {
			if diff := cmp.Diff(results[0].Loaded, result.Loaded); diff != "" {
				s.Errorf("equal commands under one key have different results (-first +other):\n%s", diff)
			}
			s.same("the events of equal commands under one key", result.Events, results[0].Events)
		}
		if got, want := s.head().Position, int64(round+2); got != want {
			s.Fatalf("after %d commands under one key the head is at %d, want %d", racers, got, want)
		}
	}
	_, err := s.notebooks().Execute(ctx, id, note{text: "another command"}, daybook.Key("request 0"))
	if reused, ok := refusedAs[*daybook.KeyReusedError](s, "another command under a used key", err, daybook.ErrKeyReused); ok && reused.Key != "request 0" {
		s.Errorf("the error is %+v, want it to name the key", reused)
	}
	if _, err := s.notebooks().Execute(ctx, id, note{text: "x", most: 1}, daybook.Key("refused")); !errors.Is(err, errFull) {
		s.Errorf("a refusal under a key: %v, want %v", err, errFull)
	}
	if _, err := s.notebooks().Execute(ctx, id, note{text: "y"}, daybook.Key("refused")); err != nil {
		s.Errorf("a key is free after a refusal, and yet: %v", err)
	}
}

func oppositeOrders(s *scene) {
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	ids := []daybook.AggregateID{newAggregate(), newAggregate(), newAggregate()}
	each := times(4)
	atOnce(racers, func(i int) {
		for range each {
			entries := make([]daybook.Entry, len(ids))
			for j := range ids {
				entries[j] = entry(ids[(i+j*(1+i%2))%len(ids)], daybook.Any(), "x") // round one way or the other
			}
			records, err := s.books[i%2].Append(ctx, entries...)
			if err != nil {
				s.Errorf("an append on three aggregates: %v", err)
				return
			}
			for j, rec := range records {
				if rec.Position != records[0].Position+int64(j) || rec.Aggregate != entries[j].Aggregate {
					s.Errorf("an append on three aggregates has %v as its event %d, after %v", rec, j, records[0])
				}
			}
		}
	})
	for _, id := range ids {
		loaded, err := s.notebooks().Load(ctx, id)
		if err != nil || loaded.SequenceNumber != int64(racers*each) {
			s.Errorf("%s is at %d (%v), want %d", id, loaded.SequenceNumber, err, racers*each)
		}
	}
}

func realTimeOrder(s *scene) {
	// acknowledged is the highest position and recorded time any caller has been told.
	var acknowledged, recorded atomic.Int64
	each := times(20)
	atOnce(8, func(i int) {
		id := newAggregate()
		for n := range each {
			afterPosition, afterTime := acknowledged.Load(), recorded.Load()
			records, err := s.books[(i+n)%2].Append(s.Context(), entry(id, daybook.Exactly(int64(n)), "x"))
			if err != nil {
				s.Errorf("Append: %v", err)
				return
			}
			rec := records[0]
			if rec.Position <= afterPosition || rec.RecordedAt.UnixMicro() <= afterTime {
				s.Errorf("an append begun after position %d was acknowledged got %v, at %d µs after a time of %d µs", afterPosition, rec, rec.RecordedAt.UnixMicro(), afterTime)
			}
			raise(&acknowledged, rec.Position)
			raise(&recorded, rec.RecordedAt.UnixMicro())
		}
	})
}

// raise sets a to n unless it is higher already.
func raise(a *atomic.Int64, n int64) {
	for {
		old := a.Load()
		if old >= n || a.CompareAndSwap(old, n) {
			return
		}
	}
}

// Whatever order many writers of two handles come to in the end: no line may say that
// it is below another than the one it is below.
func decisionsRestOnStates(s *scene) {
	for _, write := range s.writes() {
		s.decisionsRestOnStates(write)
	}
}

func (s *scene) decisionsRestOnStates(write write) {
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	id := newAggregate()
	each := times(16)
	atOnce(racers, func(i int) {
		for n := range each {
			if _, _, _, err := write(ctx, i%2, id, note{text: fmt.Sprintf("%d-%d", i, n), chained: true}); err != nil {
				s.Errorf("Execute: %v", err)
				return
			}
		}
	})
	loaded, err := s.notebooks().Load(ctx, id)
	if err != nil {
		s.Fatalf("Load: %v", err)
	}
	if len(loaded.State) != racers*each {
		s.Errorf("%d commands were acknowledged, the notebook has %d lines", racers*each, len(loaded.State))
	}
	for i, line := range loaded.State {
		if want := afterLine + lastWriter(loaded.State[:i]); !strings.HasSuffix(line, want) {
			s.Errorf("line %d is %q, and it is below %q", i+1, line, want)
		}
	}
}
