package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
)

// appendTo returns the library's way to write rows, which are of one aggregate.
func appendTo(book *daybook.Book) appender {
	return func(ctx context.Context, rows []row) error {
		events := make([]daybook.Event, len(rows))
		for i, r := range rows {
			events[i] = daybook.Event{Data: r.event, Metadata: metadata}
		}
		_, err := book.Append(ctx, daybook.Entry{
			Aggregate: rows[0].aggregate, Expected: daybook.Exactly(rows[0].sequence - 1), Events: events,
		})
		return err
	}
}

// callersOnBook is a contender of callers that append to a book.
func callersOnBook(book *daybook.Book, c *callers) contender {
	return contender{
		name: nameDaybook, round: c.round,
		verify: func(ctx context.Context) error { return auditBook(ctx, book, c.written()) },
	}
}

// round is run, for a contender.
func (c *callers) round(ctx context.Context, d time.Duration) ([]sample, error) {
	s, err := c.run(ctx, d)
	return []sample{s}, err
}

// auditBook reads the whole book and compares it with what was acknowledged.
func auditBook(ctx context.Context, book *daybook.Book, acknowledged written) error {
	if err := audit(bookPlaces(ctx, book), acknowledged, true); err != nil {
		return err
	}
	head, err := book.Head(ctx)
	if err != nil {
		return err
	}
	if head.Position != acknowledged.total() {
		return fmt.Errorf("the head is at position %d, %d events were acknowledged", head.Position, acknowledged.total())
	}
	return nil
}

func bookPlaces(ctx context.Context, book *daybook.Book) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		for rec, err := range book.Read(ctx, daybook.Query{}) {
			if !yield(place{rec.Position, rec.Aggregate.ID, rec.SequenceNumber}, err) {
				return
			}
		}
	}
}

// byHand is a contender of callers that append to the kind's own table, which it
// makes.
func (s *stage) byHand(ctx context.Context, k kind, connections int, start func(appender) *callers) (contender, error) {
	pool, t, err := s.openKind(ctx, k, connections)
	if err != nil {
		return contender{}, err
	}
	c := start(k.appender(pool, t))
	return contender{name: string(k), round: c.round, verify: func(ctx context.Context) error { return s.auditTable(ctx, t, c.written()) }}, nil
}

// openKind makes the kind's table and returns connections to write to it.
func (s *stage) openKind(ctx context.Context, k kind, connections int) (*pgxpool.Pool, target, error) {
	t := s.target(string(k))
	pool, err := s.connections(ctx, connections)
	if err != nil {
		return nil, t, err
	}
	return pool, t, s.createTable(ctx, k, t)
}

// createTable makes the kind's table until the stage is closed, so that the disk
// need not hold the tables of all scenarios.
func (s *stage) createTable(ctx context.Context, k kind, t target) error {
	if err := k.create(ctx, s.pool, t); err != nil {
		return err
	}
	s.onClose(func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, "DROP TABLE "+t.table())
		return err
	})
	return nil
}

func (s *stage) auditTable(ctx context.Context, t target, acknowledged written) error {
	return audit(t.places(ctx, s.pool), acknowledged, false)
}

// prepareAppend sets up callers with one event a call.
func prepareAppend(ctx context.Context, s *stage, n int, kinds []kind) ([]contender, error) {
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	all := []contender{callersOnBook(book, newCallers(n, appendTo(book)))}
	for _, k := range kinds {
		c, err := s.byHand(ctx, k, n, func(write appender) *callers { return newCallers(n, write) })
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// thousand is the number of rows of a bulk insert.
const thousand = 1_000

// prepareCrowd sets up more callers than a server has connections for, against the
// bulk insert that writes events of as many aggregates.
func prepareCrowd(ctx context.Context, s *stage) ([]contender, error) {
	const crowd = 500
	all, err := prepareAppend(ctx, s, crowd, []kind{plain})
	if err != nil {
		return nil, err
	}
	inBulk, err := s.byHand(ctx, bulk, 1, func(write appender) *callers { return newBulkCallers(1, crowd, thousand, write) })
	return append(all, inBulk), err
}

// prepareThousand sets up one caller with many events of one aggregate a call.
func prepareThousand(ctx context.Context, s *stage) ([]contender, error) {
	start := func(write appender) *callers { return newBulkCallers(1, 1, thousand, write) }
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	inBulk, err := s.byHand(ctx, bulk, 1, start)
	return []contender{callersOnBook(book, start(appendTo(book))), inBulk}, err
}

// prepareProcesses sets up callers in two other processes.
func prepareProcesses(ctx context.Context, s *stage) ([]contender, error) {
	const processes, each = 2, 32
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := s.apart(ctx, nameDaybook, processes, each)
	if err != nil {
		return nil, err
	}
	ours.verify = func(ctx context.Context) error { return auditBook(ctx, book, ours.acknowledged()) }
	theirs, err := s.apart(ctx, string(plain), processes, each)
	if err != nil {
		return nil, err
	}
	t := s.target(string(plain))
	theirs.verify = func(ctx context.Context) error { return s.auditTable(ctx, t, theirs.acknowledged()) }
	return []contender{ours.contender, theirs.contender}, s.createTable(ctx, plain, t)
}

// processes is a contender of callers in other processes.
type processes struct {
	contender
	workers []*worker
	last    []written // of each worker, as of its last turn
}

// apart starts processes with so many callers each.
func (s *stage) apart(ctx context.Context, name string, n, each int) (*processes, error) {
	p := &processes{last: make([]written, n)}
	p.name, p.round = name, p.turn
	for range n {
		w, err := s.startWorker(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := w.ask(request{Do: doOpen, Contender: name, Target: s.target(name), Callers: each}); err != nil {
			return nil, err
		}
		p.workers = append(p.workers, w)
	}
	return p, nil
}

// turn has all processes append at once.
func (p *processes) turn(_ context.Context, d time.Duration) ([]sample, error) {
	answers := make([]reply, len(p.workers))
	errs := make([]error, len(p.workers))
	atOnce(len(p.workers), func(i int) { answers[i], errs[i] = p.workers[i].ask(request{Do: doAppend, For: d}) })
	sum := sample{Latency: newLatencies()}
	for i, answer := range answers {
		if errs[i] == nil {
			sum.merge(answer.Sample)
			p.last[i] = answer.Written
		}
	}
	return []sample{sum}, errors.Join(errs...)
}

func (p *processes) acknowledged() written {
	all := written{}
	for _, w := range p.last {
		all.add(w)
	}
	return all
}
