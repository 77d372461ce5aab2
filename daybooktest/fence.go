package daybooktest

import (
	"context"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

// clockSkew is how far the store's clock may be from the test's where a check has
// to tell the present from the future.
const clockSkew = time.Hour

func asOfTheFuture(s *scene) {
	id := newAggregate()
	s.append(entry(id, daybook.NoEvents(), "1", "2"))
	head := s.head()
	for range 2 {
		for _, at := range []time.Time{head.RecordedAt.Add(2 * clockSkew), head.RecordedAt.AddDate(1000, 0, 0)} {
			loaded, err := s.notebooks().LoadAt(s.Context(), id, daybook.AsOf(at))
			if err != nil || !loaded.Future || loaded.SequenceNumber != s.head().Position {
				s.Errorf("as of the future: %+v, %v, want the present state, marked as the future's", loaded, err)
			}
			position, future, err := s.book.PositionAt(s.Context(), at)
			if err != nil || !future || position != s.head().Position {
				s.Errorf("PositionAt the future: %d, %v, %v, want the head's, marked as the future's", position, future, err)
			}
		}
		s.append(entry(id, daybook.Exists(), "the future"))
	}
	loaded, err := s.notebooks().LoadAt(s.Context(), id, daybook.AsOf(head.RecordedAt))
	if err != nil || loaded.Future || loaded.SequenceNumber != 2 {
		s.Errorf("as of the past: %+v, %v, want number 2 and no future", loaded, err)
	}
}

// asked is a question about a time and the answer it got.
type asked struct {
	at       time.Time
	position int64
	lines    int
}

func asOfIsStable(s *scene) {
	id := newAggregate()
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	var mu sync.Mutex
	var answers []asked
	writing, done := context.WithCancel(ctx)
	var askers sync.WaitGroup
	repositories := s.repositories()
	for i := range 4 {
		askers.Go(func() {
			for n := 0; n == 0 || writing.Err() == nil; n++ {
				question := s.moment(ctx, i)
				answer, future := s.ask(ctx, s.books[i%2], repositories[i%2], id, question)
				if future || ctx.Err() != nil {
					continue
				}
				mu.Lock()
				answers = append(answers, answer)
				mu.Unlock()
			}
		})
	}
	each := times(24)
	atOnce(4, func(i int) {
		for range each {
			if _, err := s.books[i%2].Append(ctx, entry(id, daybook.Any(), "x", "y")); err != nil {
				s.Errorf("Append: %v", err)
				return
			}
		}
	})
	done()
	askers.Wait()
	if len(answers) == 0 {
		s.Fatalf("nobody was answered")
	}
	records := s.all()
	for i, answer := range answers {
		position := int64(0)
		for _, rec := range records {
			if !rec.RecordedAt.After(answer.at) {
				position = rec.Position
			}
		}
		if answer.position != position || answer.lines != int(position) {
			s.Errorf("asked as of %v while others wrote, the answer was position %d and %d lines; it is position %d now", answer.at, answer.position, answer.lines, position)
		}
		if i >= times(100) {
			continue // asking all of them again takes long
		}
		if again, future := s.ask(ctx, s.book, repositories[0], id, answer.at); future || again != answer {
			s.Errorf("the same question, later: %+v, the answer was %+v", again, answer)
		}
	}
}

// moment is the present, or what the head takes for it, or a little later.
func (s *scene) moment(ctx context.Context, i int) time.Time {
	head, err := s.drivers[i%2].Head(ctx, s.id)
	if err != nil && ctx.Err() == nil {
		s.Errorf("Head: %v", err)
	}
	if i < 2 && !head.RecordedAt.IsZero() {
		return head.RecordedAt.Add(time.Duration(i*200) * time.Microsecond)
	}
	return now()
}

// ask asks what was known at a time, in two ways.
func (s *scene) ask(ctx context.Context, book *daybook.Book, notebooks *daybook.Repository[[]string, note, any], id daybook.AggregateID, at time.Time) (answer asked, future bool) {
	position, future, err := book.PositionAt(ctx, at)
	if err != nil {
		s.Errorf("PositionAt %v: %v", at, err)
		return answer, true
	}
	if future {
		return answer, true
	}
	loaded, err := notebooks.LoadAt(ctx, id, daybook.AsOf(at))
	if err != nil {
		s.Errorf("LoadAt as of %v: %v", at, err)
	}
	if loaded.Future {
		s.Errorf("%v had passed and lies in the future now", at)
	}
	return asked{at, position, len(loaded.State)}, false
}

func fenceHolds(s *scene) {
	ctx, cancel := context.WithTimeout(s.Context(), raceTimeout)
	defer cancel()
	s.append(entry(newAggregate(), daybook.NoEvents(), "x"))
	type fence struct {
		at   time.Time
		head daybook.Head
	}
	var mu sync.Mutex
	var fences []fence
	writing, done := context.WithCancel(ctx)
	var fencers sync.WaitGroup
	for i := range 3 {
		fencers.Go(func() {
			for n := 0; n == 0 || writing.Err() == nil; n++ {
				at := s.moment(ctx, i).Add(time.Duration(n%3-1) * 500 * time.Microsecond)
				head, err := s.drivers[i%2].Fence(ctx, s.id, at)
				if err != nil {
					s.Errorf("Fence: %v", err)
					return
				}
				mu.Lock()
				fences = append(fences, fence{at, head})
				mu.Unlock()
			}
		})
	}
	each := times(24)
	atOnce(4, func(i int) {
		for range each {
			if _, err := s.books[i%2].Append(ctx, entry(newAggregate(), daybook.Any(), "x")); err != nil {
				s.Errorf("Append: %v", err)
				return
			}
		}
	})
	done()
	fencers.Wait()
	records := s.all()
	for _, f := range fences {
		limit := f.at // nothing at or before it, beyond the fence
		if f.head.RecordedAt.Before(limit) {
			limit = f.head.RecordedAt // at was ahead of the store's clock
		}
		if f.head.Position < 1 || f.head.Position > int64(len(records)) || records[f.head.Position-1].RecordedAt.After(f.head.RecordedAt) {
			s.Errorf("a fence at %v returned the head %+v of a book of %d events", f.at, f.head, len(records))
			continue
		}
		for _, rec := range records[f.head.Position:min(f.head.Position+1, int64(len(records)))] {
			if !rec.RecordedAt.After(limit) {
				s.Errorf("a fence at %v returned the head %+v; beyond it, %v was recorded at %v", f.at, f.head, rec, rec.RecordedAt)
			}
		}
	}
	// A time that has passed by the store's clock is fenced completely: that of an
	// append to another book just now, and those before it.
	other := s.again(s.TB)
	past := other.append(entry(newAggregate(), daybook.NoEvents(), "x"))[0].RecordedAt
	for _, at := range []time.Time{past, past.Add(-time.Hour), past.AddDate(-900, 0, 0)} {
		head, err := s.driver.Fence(ctx, s.id, at)
		if err != nil || head.Position != int64(len(records)) || head.RecordedAt.Before(at) {
			s.Errorf("a fence in the past, %v: %+v, %v", at, head, err)
		}
	}
}

func fenceInTheFuture(s *scene) {
	first := s.append(entry(newAggregate(), daybook.NoEvents(), "before"))[0]
	future := first.RecordedAt.Add(2 * clockSkew)
	head, err := s.driver.Fence(s.Context(), s.id, future)
	if err != nil || head.Position != 1 || !head.RecordedAt.Before(future) || head.RecordedAt.Before(first.RecordedAt) {
		s.Errorf("a fence in the future: %+v, %v, want position 1, at most the store's clock", head, err)
	}
	second := s.append(entry(newAggregate(), daybook.NoEvents(), "after"))[0]
	if !second.RecordedAt.After(head.RecordedAt) || second.RecordedAt.Sub(first.RecordedAt) > clockSkew {
		s.Errorf("after a fence in the future, at %v, the next event is recorded at %v, the one before at %v", head.RecordedAt, second.RecordedAt, first.RecordedAt)
	}
}

func fenceInAnEmptyBook(s *scene) {
	for _, at := range []time.Time{time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), time.UnixMicro(0).UTC()} {
		head, err := s.driver.Fence(s.Context(), s.id, at)
		if err != nil || head != (daybook.Head{RecordedAt: at}) {
			s.Errorf("a fence at %v in an empty book: %+v, %v", at, head, err)
		}
	}
	other := s.again(s.TB) // its times are the store's clock
	at := other.append(entry(newAggregate(), daybook.NoEvents(), "x"))[0].RecordedAt
	head, err := s.driver.Fence(s.Context(), s.id, at)
	if err != nil || head.Position != 0 || head.RecordedAt.Before(at) {
		s.Errorf("a fence at %v in an empty book: %+v, %v", at, head, err)
	}
	if got := s.head(); got != head {
		s.Errorf("after a fence, the head is %+v, want what the fence returned, %+v", got, head)
	}
	position, future, err := s.book.PositionAt(s.Context(), at)
	if err != nil || future || position != 0 {
		s.Errorf("PositionAt %v in an empty book: %d, %v, %v, want 0", at, position, future, err)
	}
	rec := s.append(entry(newAggregate(), daybook.NoEvents(), "x"))[0]
	if !rec.RecordedAt.After(at) {
		s.Errorf("the first event is recorded at %v, after a fence at %v", rec.RecordedAt, at)
	}
	if position, _, err = s.book.PositionAt(s.Context(), at); err != nil || position != 0 {
		s.Errorf("PositionAt %v, later: %d, %v, want 0", at, position, err)
	}
}
