package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

const (
	// maxUsers is how many batches may be under way on one connection.
	maxUsers = 2
	// maxRun is after how many batches a connection goes back to the pool, where others
	// may be waiting for one.
	maxRun = 64
	// politeFor is for how many batches none goes ahead after another process has written
	// to the book: whoever waits for the head would wait for two each time.
	politeFor = 32
)

// AppendAhead implements [daybook.Pipeliner]: a guess is sent while another one is under way.
// Where it does not hold, or the server refuses it for another reason, the batch is what
// Append makes of it.
func (db *DB) AppendAhead(ctx context.Context, book daybook.BookID, batch []daybook.Append, revision int64, next func()) ([]daybook.Outcome, error) {
	if plan, ok := daybook.Guess(batch); ok {
		outcomes, err := db.guessAhead(ctx, book, revision, plan, next)
		if err == nil || errors.Is(err, daybook.ErrUnclear) {
			return outcomes, explain("append", err)
		}
	}
	select { // it may rest on the batch under way, and would not go behind that one but beside it
	case <-db.ahead.of(book).answered():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return db.Append(ctx, book, batch, daybook.InlineWork{Revision: revision})
}

func (db *DB) guessAhead(ctx context.Context, book daybook.BookID, revision int64, plan *daybook.Placement, next func()) ([]daybook.Outcome, error) {
	m, err := newGuessMessage(book, revision, plan)
	if err != nil {
		return nil, err
	}
	defer m.free()
	t := db.ahead.of(book)
	p := t.join()
	if p == nil {
		if p, err = db.newPipeline(ctx); err != nil {
			return nil, err
		}
		t.begin(p)
	}
	placed, err := p.guess(ctx, t, m, next)
	t.leave(p, err)
	if err != nil {
		return nil, err
	}
	return placed.outcomes(plan), nil
}

// lanes are the books that batches go ahead in.
type lanes struct {
	mu sync.Mutex
	by map[daybook.BookID]*lane
}

// of returns the lane of a book.
func (ls *lanes) of(book daybook.BookID) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.by == nil {
		ls.by = map[daybook.BookID]*lane{}
	}
	if ls.by[book] == nil {
		ls.by[book] = &lane{}
	}
	return ls.by[book]
}

// lane is one book's: the pipeline that takes the next batch, and what is known of others who write.
type lane struct {
	mu     sync.Mutex
	open   *pipeline // or nil
	head   int64     // behind the last batch from here, 0 before the first
	polite int       // for so many batches
}

// pipeline is a connection on which a batch may be sent before the one before has been
// answered. The server takes one after the other: the second one does not wait for the
// lock of the head, which on a connection of its own takes longer than to write it.
type pipeline struct {
	*lease

	users, run int // the batches under way, and all it has taken; guarded by the lane's mutex

	mu   sync.Mutex      // taken to send
	last <-chan struct{} // closed when the last one sent has been answered
}

// answered is what is closed where nothing has been sent.
var answered = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// newPipeline borrows a connection for a first user.
func (db *DB) newPipeline(ctx context.Context) (*pipeline, error) {
	l, err := db.borrow(ctx)
	if err != nil {
		return nil, err
	}
	if err := appendStatement.prepare(ctx, l.conn); err != nil {
		l.giveBack()
		return nil, err
	}
	return &pipeline{lease: l, users: 1, run: 1, last: answered}, nil
}

// join returns the open pipeline where it has room, or nil.
func (ln *lane) join() *pipeline {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	p := ln.open
	if p == nil || p.users == maxUsers || p.run == maxRun {
		return nil
	}
	p.users++
	p.run++
	return p
}

// answered returns what is closed when no batch is under way on the open pipeline.
func (ln *lane) answered() <-chan struct{} {
	ln.mu.Lock()
	p := ln.open
	ln.mu.Unlock()
	if p == nil {
		return answered
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (ln *lane) begin(p *pipeline) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.open = p
}

// leave gives the connection back when nothing is under way on it any more. Nobody joins one
// that a batch has failed on: it may be closed.
func (ln *lane) leave(p *pipeline, err error) {
	ln.mu.Lock()
	p.users--
	last := p.users == 0
	if ln.open == p && (last || err != nil) {
		ln.open = nil
	}
	ln.mu.Unlock()
	if last {
		p.giveBack()
	}
}

// leads reports whether another batch may come behind the last one on p: the connection
// is not about to go back to the pool, since a batch on another one might overtake those it
// rests on, and nobody else has been seen to write to the book lately.
func (ln *lane) leads(p *pipeline) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	return ln.polite == 0 && p.run < maxRun
}

// moved notes that a batch of so many rows has found the head at before, where others may
// have left it.
func (ln *lane) moved(before int64, rows int) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	switch {
	case ln.head != 0 && ln.head != before:
		ln.polite = politeFor
	case ln.polite > 0:
		ln.polite--
	}
	ln.head = before + int64(rows)
}

// found is moved for a batch that has gone another way.
func (ln *lane) found(outcomes []daybook.Outcome) {
	first, rows := int64(math.MaxInt64), 0
	for _, o := range outcomes {
		if o.Duplicate || len(o.Records) == 0 {
			continue
		}
		first = min(first, o.Records[0].Position)
		rows += len(o.Records)
	}
	if rows > 0 {
		ln.moved(first-1, rows)
	}
}

// guess sends the message, lets the next batch come, and waits for its turn to read the answer.
func (p *pipeline) guess(ctx context.Context, ln *lane, m *guessMessage, next func()) (placed place, err error) {
	turn, done, err := p.send(m)
	defer close(done)
	if err == nil && ln.leads(p) {
		next()
	}
	<-turn
	if err != nil {
		_ = p.conn.Close(ctx)
		return place{}, fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
	}
	err = uncancelled(ctx, p.conn, func(ctx context.Context) error {
		return bounded(ctx, p.conn, func() error { //nolint:contextcheck // it ends the reading with ctx
			placed, err = readPlace(p.conn)
			return err
		})
	})
	if err == nil {
		ln.moved(placed.before, m.rows)
	}
	return placed, err
}

// send sends a message. turn is closed when the one before has been answered, and done is to
// be closed when this one has. Where it cannot be sent whole, the network beneath is
// closed, so that nobody waits for an answer.
func (p *pipeline) send(m *guessMessage) (turn <-chan struct{}, done chan<- struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := make(chan struct{})
	turn, p.last = p.last, own
	network := p.conn.PgConn().Conn()
	// No deadline of the network's own: it would outlive this use of the connection.
	late := time.AfterFunc(commitTimeout, func() { _ = network.Close() })
	defer late.Stop()
	if _, err = network.Write(m.buf); err != nil {
		_ = network.Close()
	}
	return turn, own, err
}
