package postgres

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/daybook-go/daybook"
)

type added struct{ By int64 }

// Callers of one process do not race on an aggregate: every decision rests on the one
// before, whose append is ahead of its own, in the same batch or in one under way.
func TestDecisionsOnOneAggregateAreMadeOnce(t *testing.T) {
	t.Parallel()
	const callers, each = 64, 100
	db, _, _ := openBook(t)
	book, err := daybook.Open(t.Context(), db, "one", daybook.NewRegistry(daybook.Type[added]("added")))
	if err != nil {
		t.Fatal(err)
	}
	var decisions atomic.Int64
	sums := daybook.NewRepository(book, daybook.Decider[int64, int64, added]{
		Type:    "sum",
		Initial: func() int64 { return 0 },
		Decide: func(_, by int64) ([]added, error) {
			decisions.Add(1)
			return []added{{by}}, nil
		},
		Evolve: func(sum int64, e added) int64 { return sum + e.By },
	})
	id := daybook.AggregateID{Type: "sum", ID: daybook.NewUUID()}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if _, err := sums.Execute(t.Context(), id, 1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if sum, err := sums.Load(t.Context(), id); err != nil || sum.State != callers*each {
		t.Errorf("the sum is %d, error %v, want %d", sum.State, err, callers*each)
	}
	if n := decisions.Load(); n != callers*each {
		t.Errorf("%d decisions for %d commands", n, callers*each)
	}
}
