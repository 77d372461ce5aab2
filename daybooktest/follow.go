package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daybook-go/daybook"
)

// Followed is a log that [Follow] puts to the test: one of an engine, or a control
// that is known to lose events.
type Followed struct {
	// Write appends one event of that name and returns once it is acknowledged. A
	// heavy one is to take long between being given its place and being visible,
	// as far as the log lets it. It is called from many goroutines.
	Write func(ctx context.Context, name string, heavy bool) error
	// Follow yields every event once it is visible, from the first on, and waits
	// for more until ctx ends. It may remember the place it has come to, as a
	// reader of the log would.
	Follow func(ctx context.Context) iter.Seq2[Seen, error]
}

// Seen is an event as a follower sees it.
type Seen struct {
	// Place is what orders the log.
	Place int64
	// Name is what it was written as.
	Name string
}

// LostError says what a follower did not see although it was acknowledged.
type LostError struct {
	Names []string
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the follower never saw %d acknowledged events: %s", len(e.Names), strings.Join(e.Names, ", "))
}

// lastName is written when all else is acknowledged: a follower that has seen it
// has seen all it will ever see, because it comes after everything.
const lastName = "last"

// followerGrace is how long a follower may take, after the last event was
// acknowledged, to see it.
const followerGrace = 30 * time.Second

// Follow runs heavy and light writers at the same time, and a follower beside
// them. The error is nil when the follower saw every event once, at the places 1, 2,
// 3 … in this order. Acknowledged events that it never saw are a [*LostError];
// places out of order or left out, and events seen twice, are other errors, all
// joined. writes is the number of events of each of the eight writers.
func Follow(ctx context.Context, log Followed, writes int) error {
	ctx, cancel := context.WithTimeout(ctx, raceTimeout)
	defer cancel()
	type sight struct {
		seen []Seen
		err  error
	}
	watched := make(chan sight, 1)
	go func() {
		seen, err := watch(ctx, log)
		watched <- sight{seen, err}
	}()
	names, err := writeAll(ctx, log, writes)
	if err != nil {
		cancel()
		return errors.Join(err, (<-watched).err)
	}
	stop := time.AfterFunc(followerGrace, cancel)
	defer stop.Stop()
	got := <-watched
	return errors.Join(got.err, judge(names, got.seen))
}

// watch follows log up to the last event.
func watch(ctx context.Context, log Followed) (seen []Seen, err error) {
	for event, err := range log.Follow(ctx) {
		if err != nil {
			return seen, fmt.Errorf("the follower: %w", err)
		}
		seen = append(seen, event)
		if event.Name == lastName {
			return seen, nil
		}
	}
	return seen, errors.New("the follower ended before the last event")
}

// writeAll returns the names of what was acknowledged, the last one last.
func writeAll(ctx context.Context, log Followed, writes int) (names []string, err error) {
	const writers, heavyEach = 8, 4
	var mu sync.Mutex
	var errs []error
	atOnce(writers, func(i int) {
		for n := range writes {
			name := fmt.Sprintf("%d by %d", n, i)
			// One writer in four is heavy, and it writes as long as the others do.
			err := log.Write(ctx, name, i%heavyEach == 0)
			mu.Lock()
			if err != nil {
				errs = append(errs, fmt.Errorf("writing %s: %w", name, err))
			} else {
				names = append(names, name)
			}
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	if err = errors.Join(errs...); err != nil {
		return names, err
	}
	return append(names, lastName), log.Write(ctx, lastName, false)
}

// judge compares what was acknowledged with what was seen.
func judge(names []string, seen []Seen) error {
	var errs []error
	times := map[string]int{}
	last := int64(0)
	for _, event := range seen {
		times[event.Name]++
		if times[event.Name] > 1 {
			errs = append(errs, fmt.Errorf("the follower saw %q %d times", event.Name, times[event.Name]))
		}
		if event.Place != last+1 {
			errs = append(errs, fmt.Errorf("the follower saw place %d right after %d", event.Place, last))
		}
		last = event.Place
	}
	lost := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return times[name] > 0 })
	if len(lost) > 0 {
		errs = append(errs, &LostError{lost})
	}
	if len(seen) > len(names) {
		errs = append(errs, fmt.Errorf("the follower saw %d events, %d were written", len(seen), len(names)))
	}
	return errors.Join(errs...)
}

// heavyText makes a heavy event: as large as it may be, so that it takes its time.
var heavyText = strings.Repeat("heavy ", daybook.MaxEventBytes/8)

func followerSeesAll(s *scene) {
	var turn atomic.Int64 // whose turn it is of the two handles
	log := Followed{
		Write: func(ctx context.Context, name string, heavy bool) error {
			e := entry(newAggregate(), daybook.NoEvents(), name)
			if heavy {
				e.Events[0].Data = noted{Text: name + heavyMark + heavyText}
			}
			_, err := s.books[turn.Add(1)%2].Append(ctx, e)
			return err
		},
		Follow: func(ctx context.Context) iter.Seq2[Seen, error] { return seenIn(ctx, s.books[1]) },
	}
	if err := Follow(s.Context(), log, times(12)); err != nil {
		s.Errorf("%v", err)
	}
}

// heavyMark ends the name in the text of a heavy event.
const heavyMark = " is "

// seenIn follows a book.
func seenIn(ctx context.Context, book *daybook.Book) iter.Seq2[Seen, error] {
	return func(yield func(Seen, error) bool) {
		for rec, err := range book.Follow(ctx, daybook.Query{}) {
			seen := Seen{Place: rec.Position}
			if err == nil {
				var value any
				if value, err = book.Decode(rec); err == nil {
					seen.Name, _, _ = strings.Cut(value.(noted).Text, heavyMark)
				}
			}
			if !yield(seen, err) || err != nil {
				return
			}
		}
	}
}

// sequenced is the control: a log as it is built all too often. Its numbers come
// from a sequence, at the beginning of a transaction, and become visible at its
// commit; its reader remembers the last number it saw.
type sequenced struct {
	mu       sync.Mutex
	sequence int64
	visible  map[int64]string
}

func (q *sequenced) write(ctx context.Context, name string, heavy bool) error {
	q.mu.Lock()
	q.sequence++
	number := q.sequence
	q.mu.Unlock()
	if heavy {
		pause(ctx, 5*time.Millisecond)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.visible[number] = name
	return ctx.Err()
}

func (q *sequenced) follow(ctx context.Context) iter.Seq2[Seen, error] {
	return func(yield func(Seen, error) bool) {
		last := int64(0)
		for ctx.Err() == nil {
			for _, event := range q.after(last) {
				if !yield(event, nil) {
					return
				}
				last = event.Place
			}
			pause(ctx, time.Millisecond)
		}
		yield(Seen{}, ctx.Err())
	}
}

// after is SELECT … WHERE number > last ORDER BY number.
func (q *sequenced) after(last int64) (events []Seen) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for number, name := range q.visible {
		if number > last {
			events = append(events, Seen{number, name})
		}
	}
	slices.SortFunc(events, func(a, b Seen) int { return int(a.Place - b.Place) })
	return events
}

func controlLosesEvents(s *scene) {
	var err error
	var lost *LostError
	for range 5 { // it is chance, and once is nearly always enough
		q := &sequenced{visible: map[int64]string{}}
		err = Follow(s.Context(), Followed{Write: q.write, Follow: q.follow}, 20)
		if errors.As(err, &lost) {
			return
		}
	}
	s.Errorf("the control must lose events, or the check of the engine sees nothing; it got: %v", err)
}

func snapshotsAreWhole(s *scene) {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	var readers sync.WaitGroup
	for i := range 2 {
		readers.Go(func() {
			for ctx.Err() == nil && !s.Failed() {
				s.lookAround(ctx, s.drivers[i])
			}
		})
	}
	each := times(24)
	atOnce(6, func(i int) {
		for n := 0; n < each && !s.Failed(); n++ {
			// Two aggregates, and as many events as the first one's text says.
			size := 1 + (i*n)%7
			texts := slices.Repeat([]string{fmt.Sprint(size)}, size)
			entries := []daybook.Entry{entry(newAggregate(), daybook.NoEvents(), texts[:(size+1)/2]...)}
			if size > 1 {
				entries = append(entries, entry(newAggregate(), daybook.NoEvents(), texts[(size+1)/2:]...))
			}
			if _, err := s.books[i%2].Append(s.Context(), entries...); err != nil {
				s.Errorf("Append: %v", err)
				return
			}
		}
	})
	cancel()
	readers.Wait()
}

// lookAround takes one head and one snapshot. It fails the test unless the snapshot
// reaches the head at least, has no hole, and ends with a whole append.
func (s *scene) lookAround(ctx context.Context, driver daybook.Driver) {
	head, err := driver.Head(ctx, s.id)
	if err != nil {
		s.unlessEnded(ctx, "Head", err)
		return
	}
	records, err := driver.Read(ctx, s.id, daybook.Query{Limit: 1 << 20}, nil)
	if err != nil {
		s.unlessEnded(ctx, "Read", err)
		return
	}
	if int64(len(records)) < head.Position {
		s.Errorf("the head was at position %d, a snapshot taken later ends after %d events", head.Position, len(records))
	}
	for at := 0; at < len(records); {
		value, err := s.book.Decode(records[at])
		if err != nil {
			s.Errorf("Decode: %v", err)
			return
		}
		size := 0
		if _, err := fmt.Sscan(value.(noted).Text, &size); err != nil || at+size > len(records) {
			s.Errorf("a snapshot of %d events ends within the append of %s events that begins at position %d", len(records), value.(noted).Text, at+1)
			return
		}
		for i := range size {
			rec := records[at+i]
			if rec.Position != int64(at+i+1) || !rec.RecordedAt.Equal(records[at].RecordedAt) {
				s.Errorf("in a snapshot, event %d after the %d before is %v, recorded at %v; the append began at %v", i+1, at, rec, rec.RecordedAt, records[at].RecordedAt)
				return
			}
		}
		at += size
	}
}

// unlessEnded reports an error that is not the end of ctx.
func (s *scene) unlessEnded(ctx context.Context, doing string, err error) {
	s.Helper()
	if ctx.Err() == nil {
		s.Errorf("%s: %v", doing, err)
	}
}
