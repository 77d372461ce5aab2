package daybooktest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/daybook-go/daybook"
)

// byHandInTwoBooks runs one projection by hand in two books of a database, inline and behind.
func byHandInTwoBooks(s *scene) {
	hand, other := newByHand(nil), s.again(s.TB)
	books := [2]*daybook.Book{s.open(0, daybook.Inline{hand}), other.book}
	for n, in := range []*scene{s, other} {
		in.scribble(s.Context(), books[n], chance(n), newNotebooks(2), 5+n)
	}
	other.catchUp(1, hand)
	for n := range int64(2) {
		s.sameByHand("in one book", hand)
		other.sameByHand("in another book", hand)
		if rebuilt := s.rebuild(1, hand, daybook.RebuildOptions{}); rebuilt.Generation != n+2 {
			s.Errorf("rebuilt %+v, want generation %d", rebuilt, n+2)
		}
	}
	if dropped, err := s.book.DropKept(s.Context(), hand); err != nil || dropped != 2 {
		s.Errorf("DropKept: %d, %v, want 2", dropped, err)
	}
	s.sameByHand("in one book, rebuilt", hand)
	other.sameByHand("in another book, when one was rebuilt", hand)
	other.audit()
}

// byHandIsDropped drops a projection that has a generation of each kind, and makes it again.
func byHandIsDropped(s *scene) {
	var healed atomic.Bool
	healed.Store(true)
	hand, other := newByHand(&healed), s.again(s.TB)
	for _, in := range []*scene{s, other} {
		in.append(entry(newAggregate(), daybook.Any(), "before", poisonHand, "behind"))
		in.catchUp(0, hand)
	}
	s.rebuild(1, hand, daybook.RebuildOptions{})
	healed.Store(false)
	_, err := s.book.Rebuild(s.Context(), hand, daybook.RebuildOptions{})
	if err == nil {
		s.Error("a rebuild has taken what the projection cannot take")
	}
	s.sameGenerations("when a rebuild has failed", hand.Name, states{"kept": {1}, "live": {2}, "building": {3}})

	if err := s.book.DropProjection(s.Context(), hand); err != nil {
		s.Fatalf("DropProjection: %v", err)
	}
	s.sameGenerations("dropped", hand.Name, states{})
	s.refused("waiting for what was dropped", s.book.WaitFor(s.Context(), hand.Name, 1), daybook.ErrInvalid)
	other.sameByHand("in another book", hand)
	healed.Store(true)
	s.catchUp(1, hand) // its Setup and Switch find nothing of what was
	s.sameByHand("made again", hand)

	// Who knows but its name leaves its tables.
	if err := s.book.DropProjection(s.Context(), &daybook.Projection{Name: hand.Name}); err != nil {
		s.Fatalf("DropProjection by name: %v", err)
	}
	s.sameGenerations("dropped by name", hand.Name, states{})
	s.sameByHand("dropped by name", hand)
	err = s.driver.Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error {
		return hand.Drop(ctx, tx.SQL(), daybook.Generation{Book: s.book.Name(), Number: 1, Live: true})
	})
	if err := errors.Join(err, s.book.CatchUp(s.Context(), hand)); err != nil {
		s.Errorf("made again, after its tables were dropped: %v", err)
	}
	other.audit()
}
