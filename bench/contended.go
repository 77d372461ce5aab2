package bench

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
)

// execute makes one command take effect, however often it has to decide, and adds to
// retries each time beyond the first.
type execute func(ctx context.Context, id daybook.AggregateID, command Paid, retries *atomic.Int64) error

// contended is callers that all have commands for one aggregate, another one each
// round. Every command has a number of its own.
type contended struct {
	execute execute

	next         atomic.Int64
	aggregates   written
	acknowledged []int64
}

const contendedCallers = 64

func (c *contended) round(ctx context.Context, d time.Duration) ([]sample, error) {
	id := newAggregates(1)[0]
	var retries atomic.Int64
	done := make([][]int64, contendedCallers)
	s, err := together(ctx, contendedCallers, d, func(ctx context.Context, i int) (int64, error) {
		command := newPaid(c.next.Add(1))
		if err := c.execute(ctx, id, command, &retries); err != nil {
			return 0, err
		}
		done[i] = append(done[i], command.Number)
		return 1, nil
	})
	s.Retries = retries.Load()
	if s.Events > 0 {
		c.aggregates[id.ID] = s.Events
	}
	for _, numbers := range done {
		c.acknowledged = append(c.acknowledged, numbers...)
	}
	return []sample{s}, err
}

// prepareContended sets up the library's Execute against what people write by hand:
// with the last number alone, and with all events decoded and folded, as a command
// needs them that is to decide something.
func prepareContended(ctx context.Context, s *stage) ([]contender, error) {
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	all := []contender{contendedOnBook(book, executeOn(book))}
	for _, k := range []kind{naive, naiveFold} {
		pool, t, err := s.openKind(ctx, k, contendedCallers)
		if err != nil {
			return nil, err
		}
		theirs := &contended{execute: executeByHand(pool, t, k.last(t)), aggregates: written{}}
		all = append(all, contender{
			name: string(k), round: theirs.round,
			verify: func(ctx context.Context) error {
				return errors.Join(s.auditTable(ctx, t, theirs.aggregates), auditOnce(t.numbers(ctx, s.pool), theirs.acknowledged))
			},
		})
	}
	return all, nil
}

// contendedOnBook is a contender whose commands become events of a book.
func contendedOnBook(book *daybook.Book, run execute) contender {
	c := &contended{execute: run, aggregates: written{}}
	return contender{
		name: nameDaybook, round: c.round,
		verify: func(ctx context.Context) error {
			return errors.Join(auditBook(ctx, book, c.aggregates), auditOnce(bookNumbers(ctx, book), c.acknowledged))
		},
	}
}

// executeOn returns the library's way to make a command take effect. Its own
// attempts are bounded; a caller that must have its command done calls again.
//
// All callers share one repository, as those of a program do: it lets them decide one
// after the other. Decisions are counted, and each but the last of a command is a retry.
func executeOn(book *daybook.Book) execute {
	var decisions atomic.Int64
	decider := payments
	decider.Decide = func(state account, command Paid) ([]Paid, error) {
		decisions.Add(1)
		return payments.Decide(state, command)
	}
	repository := daybook.NewRepository(book, decider)
	return func(ctx context.Context, id daybook.AggregateID, command Paid, retries *atomic.Int64) error {
		for {
			_, err := repository.Execute(ctx, id, command, daybook.Stamp{Metadata: metadata})
			if !errors.Is(err, daybook.ErrConflict) {
				retries.Add(decisions.Swap(0) - 1)
				return err
			}
		}
	}
}

// executeByHand returns what people write around a transaction that can lose a race.
func executeByHand(pool *pgxpool.Pool, t target, last lastNumber) execute {
	return func(ctx context.Context, id daybook.AggregateID, command Paid, retries *atomic.Int64) error {
		for {
			err := appendAfter(ctx, pool, t, last, row{aggregate: id, event: command})
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || refused.Code != codeUnique {
				return err
			}
			retries.Add(1)
		}
	}
}

// codeUnique is PostgreSQL's unique_violation.
const codeUnique = "23505"

// bookNumbers reads which commands have taken effect.
func bookNumbers(ctx context.Context, book *daybook.Book) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for rec, err := range book.Read(ctx, daybook.Query{}) {
			var event Paid
			if err == nil {
				event, err = paidOf(book.Decode(rec))
			}
			if !yield(event.Number, err) || err != nil {
				return
			}
		}
	}
}

// numbers reads which commands have taken effect.
func (t target) numbers(ctx context.Context, pool *pgxpool.Pool) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		rows, err := pool.Query(ctx, `SELECT (payload->>'number')::bigint FROM `+t.table())
		if err != nil {
			yield(0, err)
			return
		}
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			yield(0, err)
			return
		}
		for _, number := range numbers {
			if !yield(number, nil) {
				return
			}
		}
	}
}
