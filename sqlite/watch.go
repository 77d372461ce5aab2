package sqlite

import (
	"context"
	"time"

	"github.com/daybook-go/daybook"
)

// watchPause is the time between two looks at the head: a few microseconds of work
// each.
const watchPause = 10 * time.Millisecond

// Watch implements [daybook.Driver]. SQLite notifies nobody, so it polls; it keeps no
// connection between two looks.
func (db *DB) Watch(ctx context.Context, book daybook.BookID, wake func()) {
	pause := time.NewTicker(watchPause)
	defer pause.Stop()
	for last := int64(-1); ; {
		head, err := readState(ctx, db.readers, book)
		if err == nil && head.Position != last {
			last = head.Position
			wake()
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
