package daybooktest

import (
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
