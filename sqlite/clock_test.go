package sqlite

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/torture"
)

// The clock is set back by a day, ahead by ten years, and jumps by milliseconds, while
// writers write, a follower follows and a historian asks: every promise holds.
func TestTheClockStepsWhileWritersWrite(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	db := openFile(t, newFile(t))
	var ahead atomic.Int64
	db.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	book, err := daybook.Open(t.Context(), db, "main", torture.Registry())
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()                    //nolint:gosec // chance, not a secret
	chance := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance that can be repeated
	report, err := torture.Round{
		Workload: torture.Workload{Seed: seed, Name: "main", Dir: t.TempDir(), Writers: 8, Aggregates: 6, MaxEvents: 20},
		Book:     book, Watch: []*daybook.Book{book},
		Strike: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			for _, step := range []time.Duration{0, 0, -day, 0, 3652 * day, -day, 3652 * day, 0} {
				before, err := book.Head(ctx)
				if err != nil {
					return err
				}
				for range 5 {
					jump := time.Duration(chance.Int64N(int64(100 * time.Millisecond)))
					ahead.Store(int64(step + jump - 50*time.Millisecond))
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(20 * time.Millisecond):
					}
				}
				// A book that refuses everybody keeps its other promises easily.
				for _, err := range book.Follow(ctx, daybook.Query{AfterPosition: before.Position, Limit: 1}) {
					if err != nil {
						return err
					}
				}
			}
			return nil
		},
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !report.Held() || report.Done == 0 || report.Questions == 0 {
		t.Errorf("seed %d, %d questions: %v", seed, report.Questions, report)
	}
}
