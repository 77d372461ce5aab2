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
	failed, ok := refusedAs[*daybook.ProjectionError](s, "rebuilding", err, daybook.ErrProjection)
	if ok && failed.Record.Position != 2 {
		s.Errorf("a rebuild has failed at %v, want position 2", failed.Record)
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

// namesAreOfOneSort declares by hand what is a view in the book, and the other way round.
func namesAreOfOneSort(s *scene) {
	ledger, hand, letters := newLedger("ledger", nil), newByHand(nil), &daybook.Subscription{Name: "letters", Deliver: (&mailbox{}).deliver}
	s.append(entry(newAggregate(), daybook.Any(), "first"))
	s.catchUp(0, ledger, hand, letters)
	handLedger, handLetters, ledgerHand := newByHand(nil), newByHand(nil), newLedger(hand.Name, nil)
	handLedger.Name, handLetters.Name = "ledger", "letters"
	for _, p := range []daybook.Projector{handLedger, handLetters, ledgerHand} {
		_, err := daybook.Open(s.Context(), s.driver, s.book.Name(), registry, daybook.Inline{p})
		s.refused("opening the book with it", err, daybook.ErrProjectionChanged)
		s.refused("catching up", s.book.CatchUp(s.Context(), p), daybook.ErrProjectionChanged)
		_, err = s.book.Rebuild(s.Context(), p, daybook.RebuildOptions{})
		s.refused("rebuilding", err, daybook.ErrProjectionChanged)
		_, err = s.book.DropKept(s.Context(), p)
		s.refused("dropping what was kept", err, daybook.ErrProjectionChanged)
	}
	s.refused("dropping by another sort", s.book.DropProjection(s.Context(), ledgerHand), daybook.ErrProjectionChanged)
	s.sameGenerations("refused", "ledger", states{"live": {1}})
	s.sameGenerations("refused", hand.Name, states{"live": {1}})
	s.append(entry(newAggregate(), daybook.Any(), "second"))
	s.catchUp(1, ledger, hand, letters)
	sameView(s, "refused", ledger, found(s, ledger, s.book), s.all())
	s.sameByHand("refused", hand)

	for _, p := range []daybook.Projector{handLedger, hand, handLetters} { // the first and the last by their names
		if err := s.book.DropProjection(s.Context(), p); err != nil {
			s.Fatalf("DropProjection: %v", err)
		}
	}
	s.catchUp(0, ledgerHand)
	sameView(s, "under the name of what was dropped", ledgerHand, found(s, ledgerHand, s.book), s.all())
}
