package torture

import (
	"context"
	"errors"
	"sync"

	"github.com/daybook-go/daybook"
)

// Round is one workload on one book, with something going wrong meanwhile.
type Round struct {
	// Workload runs in this process; children that write to the same Dir are
	// Strike's to start.
	Workload Workload
	// Book is what the workload writes to, and what is checked. It must be new: a
	// round knows nothing of what others have written.
	Book *daybook.Book
	// Watch are handles on the same book; a follower looks through each. A historian
	// asks Book.
	Watch []*daybook.Book
	// Models, where set, are read along, and checked. Book and Watch must have been opened with
	// those that are inline; who runs and rebuilds the others is Strike's to start and to end.
	Models *ReadModels
	// Tables, where set, returns the tables of the book's read models.
	Tables func(ctx context.Context) ([]string, error)
	// Strike does harm, and makes good what does not heal by itself. The workload
	// ends when it returns.
	Strike func(ctx context.Context) error
}

// Run fights the round to its end and checks the book. The error says why there is
// no verdict.
func (r Round) Run(ctx context.Context) (*Report, error) {
	watching, unwatch := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer unwatch()
	var witnesses []Witness
	for _, book := range r.Watch {
		follower := &Follower{}
		witnesses = append(witnesses, follower)
		watchers.Go(func() { follower.Run(watching, book) })
		if r.Models != nil {
			reader := &Reader{Models: r.Models}
			witnesses = append(witnesses, reader)
			watchers.Go(func() { reader.Run(watching, book) })
		}
	}
	historian := &Historian{Seed: r.Workload.Seed}
	witnesses = append(witnesses, historian)
	working, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	var worked error
	workers.Go(func() { worked = r.Workload.Run(working, r.Book) })
	workers.Go(func() { historian.Run(working, r.Book) })
	struck := r.Strike(ctx)
	stop()
	workers.Wait()
	if err := errors.Join(struck, worked, ctx.Err()); err != nil {
		return nil, err
	}
	history, err := ReadHistory(r.Workload.Dir)
	if err != nil {
		return nil, err
	}
	c, err := newCheck(ctx, r.Book, history, witnesses)
	if err == nil && r.Models != nil {
		err = r.Models.testify(ctx, c, r.Tables)
	}
	if err != nil {
		return nil, err
	}
	return &c.report, nil
}
