package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybook-go/daybook"
)

// prepareReplay sets up Load against two readers by hand: one of whole rows, with
// all the JSON in them decoded as Load has it, and one that asks for payloads only.
func prepareReplay(ctx context.Context, s *stage) ([]contender, error) {
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	id, err := fill(ctx, book, s.ReplayEvents, s.ReplayEvents)
	if err != nil {
		return nil, err
	}
	conn, number, err := s.reader(ctx, book)
	if err != nil {
		return nil, err
	}
	replay := func(columns string, fold func(*account) func([][]byte) error) func(context.Context) (account, error) {
		return func(ctx context.Context) (state account, err error) {
			err = eachRow(ctx, conn, fold(&state), `SELECT `+columns+` FROM daybook.events WHERE book_id = $1 AND aggregate_id = $2 ORDER BY sequence_number`,
				number, [16]byte(id.ID))
			return state, err
		}
	}
	return []contender{
		replayer(nameDaybook, s.ReplayEvents, loadFrom(book, id)),
		replayer(nameRaw, s.ReplayEvents, replay(eventColumns, foldRow)),
		replayer(nameRaw+"-payload", s.ReplayEvents, replay("schema_version, payload", foldPayload)),
	}, nil
}

// loadFrom returns the library's way to replay.
func loadFrom(book *daybook.Book, id daybook.AggregateID) func(context.Context) (account, error) {
	repository := daybook.NewRepository(book, payments)
	return func(ctx context.Context) (account, error) {
		loaded, err := repository.Load(ctx, id)
		return loaded.State, err
	}
}

// replayer is a contender that replays the same aggregate, of so many events, again
// and again. Each time it must come to the same state.
func replayer(name string, events int, replay func(context.Context) (account, error)) contender {
	want := accountAfter(events)
	once := func(ctx context.Context, _ int) (int64, error) {
		state, err := replay(ctx)
		if err == nil && state != want {
			err = fmt.Errorf("the replayed state is %s, want %s", state, want)
		}
		return state.Events, err
	}
	return contender{name: name, round: func(ctx context.Context, d time.Duration) ([]sample, error) {
		taken, err := together(ctx, 1, d, once)
		return []sample{taken}, err
	}}
}

// accountAfter is an aggregate with the events numbered from 1 to so many.
func accountAfter(events int) (state account) {
	for i := range events {
		state = evolve(state, newPaid(int64(i+1)))
	}
	return state
}

// fill appends total events, numbered from 1, to aggregates of so many each, and
// returns the last of these. What it wrote it reads back and compares.
func fill(ctx context.Context, book *daybook.Book, total, each int) (id daybook.AggregateID, err error) {
	var w = written{}
	write := appendTo(book)
	rows := make([]row, 0, thousand)
	for number := 1; number <= total; number++ {
		if (number-1)%each == 0 {
			id = newAggregates(1)[0]
		}
		w[id.ID]++
		rows = append(rows, row{id, w[id.ID], newPaid(int64(number))})
		if len(rows) == thousand || number%each == 0 || number == total {
			if err := write(ctx, rows); err != nil {
				return id, err
			}
			rows = rows[:0]
		}
	}
	if err := auditBook(ctx, book, w); err != nil {
		return id, errors.Join(errors.New("what was written is not what was acknowledged"), err)
	}
	return id, nil
}
