package daybooktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/daybook-go/daybook"
)

// chained is the rule that every line says whose line is before it.
func chained() daybook.Check {
	return daybook.Rule("chained", notebooks, func(s daybook.Step[[]string, any]) error {
		text := line(s.Event)
		if want := afterLine + lastWriter(s.Before); !strings.HasSuffix(text, want) {
			return fmt.Errorf("%q does not end in %q", text, want)
		}
		return nil
	})
}

// proved verifies the book through a handle, and fails the test unless all is proved.
func (s *scene) proved(book *daybook.Book, o daybook.VerifyOptions) *daybook.Verification {
	s.Helper()
	v, err := daybook.Verify(s.Context(), book, o)
	if err != nil {
		s.Fatalf("Verify: %v", err)
	}
	for _, f := range v.Findings {
		s.Errorf("Verify: %v", f)
	}
	return v
}

// provedWhileOthersWrite verifies again and again, through both handles and in one
// pass and in several, while writers of both append to common and to new aggregates,
// and keep snapshots.
func provedWhileOthersWrite(s *scene) {
	ctx, stop := context.WithCancel(s.Context())
	common := []daybook.AggregateID{newAggregate(), newAggregate(), newAggregate()}
	var writers sync.WaitGroup
	for i, book := range s.books {
		repository := daybook.NewRepository(book, notebooks, daybook.Snapshots{Every: 3, Thin: 5})
		defer func() {
			if err := repository.Flush(s.Context()); err != nil {
				s.Errorf("Flush: %v", err)
			}
		}()
		for w := range 3 {
			writers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					id := common[n%len(common)]
					if n%2 == 0 {
						id = newAggregate()
					}
					_, err := repository.Execute(ctx, id, note{text: fmt.Sprintf("%d-%d-%d", i, w, n), chained: true})
					if err != nil && ctx.Err() == nil && !errors.Is(err, daybook.ErrConflict) {
						s.Errorf("Execute: %v", err)
						return
					}
				}
			})
		}
	}
	var last int64
	for n := 0; n < times(12) || last < 300; n++ {
		o := daybook.VerifyOptions{Checks: []daybook.Check{chained(), daybook.SnapshotCheck(notebooks)}}
		if n%3 == 2 {
			o.MaxHeld = max(2, int(last/16))
		}
		v := s.proved(s.books[n%2], o)
		if v.Position < last || v.Events != v.Position || s.Failed() {
			s.Errorf("verified up to position %d, %d events, after position %d", v.Position, v.Events, last)
			break
		}
		last = v.Position
	}
	stop()
	writers.Wait()
	v := s.proved(s.book, daybook.VerifyOptions{Checks: []daybook.Check{chained(), daybook.SnapshotCheck(notebooks)}})
	if v.Checks[len(v.Checks)-1].Looked == 0 {
		s.Errorf("no snapshot was looked at: %+v", v.Checks)
	}
}

// provedInPasses verifies a random history with every bound on what is held.
func provedInPasses(s *scene) {
	for range 30 {
		s.append(entry(newAggregate(), daybook.NoEvents(), "a", "b"), entry(newAggregate(), daybook.NoEvents(), "c"))
	}
	want := s.proved(s.book, daybook.VerifyOptions{})
	for _, held := range []int{1, 2, 10, 59, 60} {
		got := s.proved(s.book, daybook.VerifyOptions{MaxHeld: held})
		if got.Aggregates != 60 || got.Events != 90 || (got.Passes > 1) != (held < 60) || !slices.Equal(got.Checks, want.Checks) {
			s.Errorf("with %d held at once: %+v, want %+v", held, got, want)
		}
	}
}
