package torture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
)

const (
	// callTimeout bounds one call of a patient writer. It is longer than any fault
	// of the suite lasts, so that unknown is the exception.
	callTimeout = 30 * time.Second
	// impatience is the most that a hurried call waits.
	impatience = 20 * time.Millisecond
	// breath is how long writers and followers wait before they ask again after an
	// error. A server that stops is kept from it by clients that come without pause.
	breath = 25 * time.Millisecond
	// maxPadding is the size of the largest events.
	maxPadding = 400
)

// Kind is a way to write.
type Kind int

const (
	// Believing appends expect the number the writer saw last, which may be stale.
	Believing Kind = iota
	// Opening appends are the first to their aggregate.
	Opening
	// Careless appends expect nothing, or that something is there.
	Careless
	// Commanding writes are keyed commands.
	Commanding
	// Spreading appends go to two to four aggregates, in any order.
	Spreading
	// Twice are appends made by two callers at once, under the same ids.
	Twice
	// Hurried writes, appends and keyed commands, are given up after a few milliseconds.
	Hurried
)

// Everything is all kinds there are.
func Everything() []Kind {
	return []Kind{Believing, Opening, Careless, Commanding, Spreading, Twice, Hurried}
}

// Workload is a number of writers who write to one book at the same time, and to
// the same aggregates.
type Workload struct {
	// Seed decides what they ask for; not how it goes.
	Seed uint64
	// Name tells this process from others that write to Dir at the same time.
	Name string
	// Dir is where the journals go.
	Dir     string
	Writers int
	// Aggregates is how many of them the writers share.
	Aggregates int
	// MaxEvents is the most that one part has. Most have one.
	MaxEvents int
	// Kinds are drawn from with equal chance; all where there are none.
	Kinds []Kind
}

// Run lets the writers write until ctx ends, and returns when each has the answer
// to its last call. What a call returns is noted and no error of Run's; an unknown
// outcome is asked for again under the same ids for as long as ctx lives. The error
// is about a journal.
func (w Workload) Run(ctx context.Context, book *daybook.Book) error {
	if len(w.Kinds) == 0 {
		w.Kinds = Everything()
	}
	errs := make([]error, w.Writers)
	var wait sync.WaitGroup
	for i := range w.Writers {
		wait.Go(func() { errs[i] = w.write(ctx, book, i) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (w Workload) write(ctx context.Context, book *daybook.Book, number int) error {
	name := fmt.Sprintf("%s-%d", w.Name, number)
	j, err := newJournal(w.Dir, name)
	if err != nil {
		return err
	}
	namespace := daybook.UUID{0: 't', 6: 0x40, 8: 0x80}.Derive(fmt.Sprintf("%d %s", w.Seed, name))
	me := &writer{
		Workload: w, book: book, journal: j, namespace: namespace, seen: map[daybook.UUID]int64{},
		//nolint:gosec // chance that can be repeated
		rand: rand.New(rand.NewPCG(w.Seed, binary.BigEndian.Uint64(namespace[8:]))),
	}
	for err == nil && ctx.Err() == nil {
		err = me.carry(ctx, me.next())
	}
	return errors.Join(err, j.file.Close())
}

// writer is one of the workload.
type writer struct {
	Workload
	book      *daybook.Book
	journal   *journal
	namespace daybook.UUID
	rand      *rand.Rand
	orders    int
	mu        sync.Mutex             // two callers at once
	seen      map[daybook.UUID]int64 // sequence numbers, as last heard of
}

// wish is an order and how it is to be asked for.
type wish struct {
	Order
	kind Kind
}

// next draws what to ask for.
func (w *writer) next() wish {
	w.orders++
	wanted := wish{kind: w.Kinds[w.rand.IntN(len(w.Kinds))]}
	wanted.ID = w.namespace.Derive(fmt.Sprint(w.orders))
	wanted.Padding = w.rand.IntN(maxPadding)
	switch wanted.kind {
	case Opening:
		wanted.Parts = []Part{{w.namespace.Derive(fmt.Sprint("new ", w.orders)), 0, w.size()}}
	case Careless:
		wanted.Parts = []Part{{w.aggregate(), AnyNumber - Belief(w.rand.IntN(2)), w.size()}}
	case Commanding:
		wanted.Keyed = true
		wanted.Parts = w.spread(1 + w.rand.IntN(2))
	case Spreading:
		wanted.Parts = w.spread(2 + w.rand.IntN(3))
	case Believing, Twice, Hurried:
		aggregate := w.aggregate()
		belief := Belief(w.seen[aggregate])
		if w.rand.IntN(4) == 0 {
			belief = AnyNumber
		}
		wanted.Parts = []Part{{aggregate, belief, w.size()}}
		wanted.Keyed = wanted.kind == Hurried && w.rand.IntN(2) == 0
	}
	return wanted
}

// spread returns parts on n different aggregates, in any order.
func (w *writer) spread(n int) (parts []Part) {
	taken := map[daybook.UUID]bool{}
	for len(parts) < min(n, w.Aggregates) {
		if id := w.aggregate(); !taken[id] {
			taken[id] = true
			parts = append(parts, Part{id, AnyNumber, w.size()})
		}
	}
	return parts
}

// size is how many events a part has: one, or a few, or many.
func (w *writer) size() int {
	switch n := w.rand.IntN(10); {
	case n < 7:
		return 1
	case n < 9:
		return 1 + w.rand.IntN(min(5, w.MaxEvents))
	default:
		return 1 + w.rand.IntN(w.MaxEvents)
	}
}

// aggregate draws one of those that all writers share.
func (w *writer) aggregate() daybook.UUID {
	return daybook.UUID{0: 's', 6: 0x40, 8: 0x80}.Derive(fmt.Sprint(w.rand.IntN(w.Aggregates)))
}

// carry asks for an order until it is done, refused, or given up.
func (w *writer) carry(ctx context.Context, wanted wish) error {
	for try := 1; try == 1 || ctx.Err() == nil; try++ {
		l, err := w.ask(ctx, wanted, try)
		if err != nil {
			return err
		}
		if again := l.Answer == answerUnknown || l.Answer == answerFailed && w.rand.IntN(2) == 0; !again {
			return nil
		}
		breathe(ctx)
		if wanted.kind == Twice {
			try++
		}
		wanted.kind = Believing // no hurry any more
	}
	return nil
}

// ask makes one call, or two at once, and notes it before and after.
func (w *writer) ask(ctx context.Context, wanted wish, try int) (line, error) {
	patience := callTimeout
	if wanted.kind == Hurried {
		patience = time.Duration(w.rand.Int64N(int64(impatience)))
	}
	if wanted.kind != Twice {
		return w.call(ctx, wanted.Order, try, patience)
	}
	var twin line
	var twinErr error
	var wait sync.WaitGroup
	wait.Go(func() { twin, twinErr = w.call(ctx, wanted.Order, try+1, patience) })
	l, err := w.call(ctx, wanted.Order, try, patience)
	wait.Wait()
	if twin.Answer == answerUnknown {
		l = twin
	}
	return l, errors.Join(err, twinErr)
}

func (w *writer) call(ctx context.Context, order Order, try int, patience time.Duration) (line, error) {
	if err := w.journal.write(line{ID: order.ID, Try: try, Order: &order}); err != nil {
		return line{}, err
	}
	// The end of the workload is no fault: the call under way is answered.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	records, err := order.submit(ctx, w.book)
	l := answered(order.ID, try, records, err)
	if err := w.journal.write(l); err != nil {
		return l, err
	}
	w.learn(l)
	return l, nil
}

// learn remembers the numbers that an answer tells.
func (w *writer) learn(l line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, place := range l.Places {
		w.seen[place.Aggregate] = place.Number
	}
	if l.Lost != nil {
		w.seen[l.Lost.Aggregate] = l.Lost.Actual
	}
}

// breathe waits a little, unless ctx ends first.
func breathe(ctx context.Context) {
	timer := time.NewTimer(breath)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
