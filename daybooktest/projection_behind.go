package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daybook-go/daybook"
)

// catchUp brings projections up to date through a handle.
func (s *scene) catchUp(handle int, projectors ...daybook.Projector) {
	s.Helper()
	if err := s.books[handle].CatchUp(s.Context(), projectors...); err != nil {
		s.Errorf("CatchUp: %v", err)
	}
}

// statusOf is the live generation of a projection, and ends the test where there is none.
func (s *scene) statusOf(name string) daybook.ProjectionStatus {
	s.Helper()
	list, err := s.books[1].Projections(s.Context())
	if err != nil {
		s.Fatalf("Projections: %v", err)
	}
	for _, p := range list {
		if p.Projection == name && p.State == daybook.GenerationLive {
			return p
		}
	}
	s.Fatalf("there is no live generation of %s: %+v", name, list)
	return daybook.ProjectionStatus{}
}

// eventually waits until something is so.
func (s *scene) eventually(what string, so func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	for !so() {
		if ctx.Err() != nil || s.Failed() {
			s.Fatalf("never so: %s", what)
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// during runs projections behind until the function it returns is called.
func (s *scene) during(book *daybook.Book, projectors ...daybook.Projector) (stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx, projectors...) }()
	return func() {
		s.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			s.Errorf("Run has ended with %v, want the error of its context", err)
		}
	}
}

// awaits waits for the store to answer. To call something off may cost it its connections: without
// this, a slow machine would be asked for new ones faster than it can make them.
func (s *scene) awaits(book *daybook.Book) {
	if _, err := book.Head(s.Context()); err != nil {
		s.Errorf("Head: %v", err)
	}
}

// runnersTakeTurns lets two run the same projections, each called off at random, while
// others append.
func runnersTakeTurns(s *scene) {
	m := newModels()
	atOnce(2, func(i int) { s.catchUp(i, m.all()...) }) // of an empty book: both make the first generations
	ids := newNotebooks(4)
	s.scribble(s.Context(), s.book, chance(0), ids, 5)
	working, end := context.WithCancel(s.Context())
	defer end()
	var runners sync.WaitGroup
	for handle, book := range s.books {
		runners.Go(func() {
			r := chance(100 + handle)
			for working.Err() == nil {
				ctx, cancel := context.WithTimeout(working, time.Duration(r.IntN(60_000))*time.Microsecond)
				if err := book.Run(ctx, m.all()...); !errors.Is(err, ctx.Err()) || err == nil {
					s.Errorf("Run, called off, has ended with %v", err)
				}
				cancel()
				s.awaits(book) //nolint:contextcheck // ctx may have ended, and the wait is for the store
			}
		})
	}
	for round := range times(40) {
		atOnce(2, func(i int) { s.scribble(s.Context(), s.books[i], chance(1000+2*round+i), ids, 2) })
	}
	end()
	runners.Wait()
	atOnce(2, func(i int) { s.catchUp(i, m.all()...) })
	m.holds(s, s.book, "after runners that were called off")
	clean := &models{newLedger("clean_ledger", nil), newWords("clean_words"), newMoments("clean_moments"), newByHand(nil)}
	s.catchUp(0, clean.all()...)
	sameRowsByKey(s, "the ledger, and one of a clean run", found(s, m.ledger, s.book), found(s, clean.ledger, s.book))
	sameRowsByKey(s, "the words, and those of a clean run", found(s, m.words, s.book), found(s, clean.words, s.book))
	sameRowsByKey(s, "the moments, and those of a clean run", found(s, m.moments, s.book), found(s, clean.moments, s.book))
	list, err := s.book.Projections(s.Context())
	if err != nil {
		s.Fatalf("Projections: %v", err)
	}
	for _, p := range list {
		if p.State != daybook.GenerationLive || p.Generation != 1 || p.Position != s.head().Position || p.Failed != 0 || !p.Runner.IsZero() {
			s.Errorf("in the end it is %+v, want one live generation at the head, and nobody at work", p)
		}
	}
}

// hanging is a view that hangs at two lines, with its rows in memory and no transaction begun.
type hanging struct {
	*ledgerView
	entered, wake [2]chan struct{}
}

const hangLine = "hang"

func newHanging(name string) *hanging {
	h := &hanging{ledgerView: newLedger(name, nil)}
	for i := range h.wake {
		h.entered[i], h.wake[i] = make(chan struct{}), make(chan struct{})
	}
	var times atomic.Int64
	evolve := h.Evolve
	h.Evolve = func(row ledgerRow, id daybook.UUID, e daybook.ProjectedEvent) (ledgerRow, bool) {
		if line(e.Data) == hangLine {
			if n := times.Add(1) - 1; n < int64(len(h.wake)) {
				close(h.entered[n])
				<-h.wake[n]
			}
		}
		return evolve(row, id, e)
	}
	return h
}

// wokenTooLate lets a runner hang in the middle of a page until another one has taken over,
// and then go on until it hangs again.
func wokenTooLate(s *scene) {
	ids := newNotebooks(3)
	s.append(entry(ids[0], daybook.Any(), "first"))
	ledger, slow := newLedger("ledger", nil), newHanging("ledger")
	stop := s.during(s.books[0], slow.ledgerView)
	defer stop()
	s.eventually("it has come to the end", func() bool { return s.books[1].WaitFor(s.Context(), "ledger", 1) == nil })
	s.append(entry(ids[0], daybook.Any(), hangLine))
	<-slow.entered[0]
	s.append(entry(ids[0], daybook.Any(), "while it hangs"))
	s.scribble(s.Context(), s.book, chance(3), ids, 10)
	s.append(entry(ids[0], daybook.Any(), "while it hangs"))
	s.catchUp(1, ledger) // after some seconds of silence
	records := s.all()
	close(slow.wake[0])
	s.append(entry(ids[1], daybook.Any(), hangLine))
	<-slow.entered[1] // it has begun anew, where the other one was
	if taken := s.statusOf("ledger"); taken.Position != int64(len(records)) {
		s.Errorf("one that has woken up too late has put the checkpoint to %d, from %d", taken.Position, len(records))
	}
	sameView(s, "when one has woken up too late", ledger, found(s, ledger, s.book), records)
	close(slow.wake[1])
	s.scribble(s.Context(), s.book, chance(4), ids, 5)
	if err := s.books[1].WaitFor(s.Context(), "ledger", s.head().Position); err != nil {
		s.Errorf("WaitFor: %v", err)
	}
	sameView(s, "in the end", ledger, found(s, ledger, s.book), s.all())
}

// poisonStopsOne lets some projections run into events that they cannot take.
func poisonStopsOne(s *scene) {
	var healed atomic.Bool
	ids := newNotebooks(3)
	s.scribble(s.Context(), s.book, chance(1), ids, 8)
	where := map[string]int64{}
	sick := map[string]daybook.Projector{}
	for i, poison := range []string{poisonKeys, poisonEvolve, poisonRow} {
		view := newLedger(fmt.Sprintf("ledger_%d", i), &healed)
		keys, evolve := view.Keys, view.Evolve
		mine := func(e daybook.ProjectedEvent) bool { // it takes the poison of others
			text, ok := e.Data.(noted)
			return !ok || text.Text == poison || !strings.HasPrefix(text.Text, "poison")
		}
		view.Keys = func(e daybook.ProjectedEvent) []daybook.UUID {
			if !mine(e) {
				return nil
			}
			return keys(e)
		}
		view.Evolve = evolve
		sick[view.Name] = view
		// To a notebook of its own: a row that goes before it is written need not be kept.
		where[view.Name] = s.append(entry(newAggregate(), daybook.Any(), poison))[0].Position
	}
	hand := newByHand(&healed)
	sick[hand.Name] = hand
	where[hand.Name] = s.append(entry(ids[1], daybook.Any(), "before", poisonHand))[1].Position
	s.scribble(s.Context(), s.book, chance(2), ids, 8)
	sound := newLedger("sound", func() *atomic.Bool { b := new(atomic.Bool); b.Store(true); return b }())
	var all []daybook.Projector
	for _, p := range sick {
		all = append(all, p)
	}
	stop := s.during(s.book, append(all, sound)...)
	defer stop()
	head := s.head().Position
	known := func() bool {
		list, err := s.books[1].Projections(s.Context())
		return err == nil && len(list) == len(sick)+1
	}
	s.eventually("all are made", known)
	if err := s.books[1].WaitFor(s.Context(), "sound", head); err != nil {
		s.Errorf("one that can take all events: %v", err)
	}
	for name, position := range where {
		s.eventually(name+" has stopped", func() bool { return s.statusOf(name).Failed != 0 })
		p := s.statusOf(name)
		if p.Failed != position || p.Position != position-1 || p.Failure == "" || p.Lag != head-position+1 {
			s.Errorf("%s: it is at %d and has stopped at %d, because of %q, %d behind, want it at %d, stopped at the next", name, p.Position, p.Failed, p.Failure, p.Lag, position-1)
		}
		s.refused("waiting for "+name, s.books[1].WaitFor(s.Context(), name, head), daybook.ErrProjection)
	}
	healed.Store(true)
	for name, p := range sick {
		s.eventually(name+" goes on by itself", func() bool { return s.books[1].WaitFor(s.Context(), name, head) == nil })
		if at := s.statusOf(name); at.Failed != 0 || at.Failure != "" {
			s.Errorf("%s has gone on and still says %d, %q", name, at.Failed, at.Failure)
		}
		if view, ok := p.(*ledgerView); ok {
			sameView(s, "healed", view, found(s, view, s.book), s.all())
		}
	}
	s.sameByHand("healed", hand)
}

// skipsArePassed passes over events, and expects every way to the rows to do so.
func skipsArePassed(s *scene) {
	ids := newNotebooks(2)
	s.scribble(s.Context(), s.book, chance(1), ids, 4)
	ledger, hand := newLedger("ledger", nil), newByHand(nil)
	bad := []int64{s.append(entry(ids[0], daybook.Any(), "a", poisonEvolve, "b"))[1].Position, s.append(entry(ids[1], daybook.Any(), poisonKeys))[0].Position}
	byHand := s.append(entry(ids[1], daybook.Any(), poisonHand))[0].Position
	s.scribble(s.Context(), s.book, chance(2), ids, 4)
	for _, p := range []daybook.Projector{ledger, hand} {
		_, failed := refusedAs[*daybook.ProjectionError](s, "catching up", s.book.CatchUp(s.Context(), p), daybook.ErrProjection)
		if !failed {
			return
		}
	}
	skip := func(name string, position int64) {
		if err := s.books[1].SkipEvent(s.Context(), name, position, "it is poison"); err != nil {
			s.Errorf("SkipEvent(%s, %d): %v", name, position, err)
		}
	}
	stop := s.during(s.book, ledger) // which waits for a while between two attempts
	skip("ledger", bad[0])
	s.eventually("it passes over the first", func() bool { return s.statusOf("ledger").Failed == bad[1] })
	skip("ledger", bad[1])
	s.eventually("it passes over the second", func() bool { return s.statusOf("ledger").Position == s.head().Position })
	stop()
	skip(hand.Name, byHand)
	s.catchUp(1, hand)
	list, err := s.book.Skips(s.Context())
	if err != nil || len(list) != 3 {
		s.Errorf("Skips: %+v, %v, want 3", list, err)
	}
	for _, skipped := range list {
		if skipped.Reason != "it is poison" || skipped.SkippedAt.IsZero() {
			s.Errorf("a skip is %+v, want its reason and time", skipped)
		}
	}
	s.refused("skipping what it has taken", s.book.SkipEvent(s.Context(), "ledger", 1, "late"), daybook.ErrInvalid)
	s.refused("skipping what is not there", s.book.SkipEvent(s.Context(), "ledger", 1000, "early"), daybook.ErrNotThere)
	s.refused("skipping for no reason", s.book.SkipEvent(s.Context(), "ledger", 1, ""), daybook.ErrInvalid)
	passed := slices.DeleteFunc(s.all(), func(rec daybook.Recorded) bool { return slices.Contains(bad, rec.Position) })
	sameView(s, "with skips", ledger, found(s, ledger, s.book), passed)
	past, err := ledger.At(s.Context(), s.book, daybook.AtPosition(s.head().Position))
	if err != nil {
		s.Fatalf("At: %v", err)
	}
	sameView(s, "at the head, with skips", ledger, byKey(past.Rows), passed)
	for range 2 {
		if _, err := s.book.Rebuild(s.Context(), ledger, daybook.RebuildOptions{}); err != nil {
			s.Fatalf("Rebuild: %v", err)
		}
		sameView(s, "rebuilt with skips", ledger, found(s, ledger, s.books[1]), passed)
	}
	s.proved(s.book, daybook.VerifyOptions{Checks: []daybook.Check{checkOf(s, ledger, s.book)}})
}

// changedWhileRunning pauses, copies, rebuilds and resumes what somebody works on.
func changedWhileRunning(s *scene) {
	ids := newNotebooks(3)
	ledger := newLedger("ledger", nil)
	s.scribble(s.Context(), s.book, chance(1), ids, 3)
	s.catchUp(0, ledger)
	stop := s.during(s.books[0], ledger)
	ctx, end := context.WithCancel(s.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			s.scribble(ctx, s.books[1], chance(n), ids, 1)
		}
	})
	for n := range times(4) {
		if _, err := s.books[n%2].CopyView(s.Context(), ledger); err != nil {
			s.Errorf("CopyView of what somebody works on: %v", err)
		}
		if err := s.books[n%2].PauseProjection(s.Context(), "ledger"); err != nil {
			s.Errorf("PauseProjection of what somebody works on: %v", err)
		}
		paused := s.statusOf("ledger")
		s.append(entry(ids[0], daybook.Any(), "while it is paused"))
		if p := s.statusOf("ledger"); !p.Paused || p.Position != paused.Position || p.Revision != paused.Revision {
			s.Errorf("paused, it is %+v, and then %+v", paused, p)
		}
		if err := s.books[1].ResumeProjection(s.Context(), ledger); err != nil {
			s.Errorf("ResumeProjection: %v", err)
		}
		// Else it is resumed before anybody has noticed.
		s.eventually("it goes on", func() bool { return s.statusOf("ledger").Position > paused.Position })
		if _, err := s.books[n%2].Rebuild(s.Context(), ledger, daybook.RebuildOptions{}); err != nil {
			s.Errorf("Rebuild of what somebody works on: %v", err)
		}
		if _, err := s.books[n%2].DropKept(s.Context(), ledger); err != nil {
			s.Errorf("DropKept: %v", err)
		}
	}
	end()
	writer.Wait()
	s.eventually("it comes to the end", func() bool { return s.book.WaitFor(s.Context(), "ledger", s.head().Position) == nil })
	stop()
	sameView(s, "after all that", ledger, found(s, ledger, s.book), s.all())
	for _, position := range []int64{1, s.head().Position / 2, s.head().Position - 1} {
		past, err := ledger.At(s.Context(), s.book, daybook.AtPosition(position))
		if err != nil {
			s.Fatalf("At(%d): %v", position, err)
		}
		sameView(s, "in the past", ledger, byKey(past.Rows), s.all()[:position])
	}
}
