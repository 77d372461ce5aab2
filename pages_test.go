package daybook_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// Pages are read into the same room one after the other. What a reader keeps of them is its
// own: whoever reads, breaks off or panics meanwhile does not touch it.
func TestReadersKeepWhatTheyHaveRead(t *testing.T) {
	t.Parallel()
	const events, readers = 4_000, 6
	driver := newDriver(t)
	book := openCounters(t, driver)
	fillLong(t, book, events, func(number int) any { return added{number} })
	head, err := book.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []daybook.Recorded
	for len(want) < events {
		page, err := driver.Read(t.Context(), 1, daybook.Query{AfterPosition: int64(len(want)), UntilPosition: head.Position, Limit: 100}, nil)
		if err != nil || len(page) == 0 {
			t.Fatalf("%d events behind %d, error %v", len(page), len(want), err)
		}
		want = append(want, page...)
	}
	var wg sync.WaitGroup
	for reader := range readers {
		wg.Go(func() {
			for try := range 3 {
				ends := (reader*1_337 + try*700) % events // all, or it breaks off somewhere
				if try == 0 {
					ends = events
				}
				var kept []daybook.Recorded
				func() {
					defer func() { _ = recover() }()
					for rec, err := range book.Read(t.Context(), daybook.Query{}) {
						if err != nil {
							t.Error(err)
							return
						}
						if len(kept) == ends && try == 2 {
							panic("a reader")
						}
						if len(kept) == ends {
							break
						}
						kept = append(kept, rec)
					}
				}()
				if diff := cmp.Diff(want[:ends], kept); diff != "" {
					t.Errorf("reader %d, try %d (-recorded +kept):\n%.600s", reader, try, diff)
				}
			}
		})
	}
	wg.Wait()
}
