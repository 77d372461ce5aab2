package torture_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/torture"
)

// fault is one way in which the world can fail a book.
type fault struct {
	name string
	// arena prepares what the rounds are fought on, or skips t.
	arena func(t *testing.T) *arena
	// strike does the harm of one round.
	strike func(ctx context.Context, r *round) error
	// writers in this process; the others are children that strike starts.
	writers int
	// crowds says that every other round has a crowd of them.
	crowds bool
	// models says that the book has read models.
	models bool
}

// arena is a database for the rounds of one fault.
type arena struct {
	*server
	// address is what writers connect to, direct what the checker does.
	address, direct string
	proxy           *proxy
	disk            *disk
}

// faults are all there are; TestTorture takes them in this order.
func faults() []fault {
	return slices.Concat(serverFaults(), sessionFaults(), networkFaults(), diskFaults(), childFaults(), clockFaults(), sqliteFaults(), modelFaults())
}

// chosen returns the faults that the flags ask for.
func chosen(t *testing.T) []fault {
	t.Helper()
	if *flagFaults == "" {
		return faults()
	}
	var some []fault
	for name := range strings.SplitSeq(*flagFaults, ",") {
		i := slices.IndexFunc(faults(), func(f fault) bool { return f.name == name })
		if i < 0 {
			t.Fatalf("there is no fault called %q", name)
		}
		some = append(some, faults()[i])
	}
	return some
}

// Every fault, round after round: the promises hold.
func TestTorture(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs servers and time: skipped by -short")
	}
	t.Logf("seed %d: repeat with -args -torture.seed=%[1]d", *flagSeed)
	all := chosen(t)
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			a := f.arena(t)
			var sum torture.Report
			begun, n := time.Now(), 0
			for ; budget(begun, len(all), n); n++ {
				r := newRound(t, a, f, n)
				report, err := r.run(f)
				if err != nil {
					t.Fatalf("round %d of %s, seed %d: no verdict: %v", n+1, f.name, *flagSeed, err)
				}
				add(&sum, report)
				if !report.Held() {
					t.Fatalf("round %d of %s, seed %d: broken\n%v", n+1, f.name, *flagSeed, report)
				}
			}
			if sum.Questions == 0 {
				t.Errorf("in %d rounds of %s nobody got an answer about the past", n, f.name)
			}
			if f.models && sum.Looks == 0 {
				t.Errorf("in %d rounds of %s nobody has seen a read model", n, f.name)
			}
			t.Logf("%-14s held in %d rounds, seed %d, %.0f s: %v, %d questions, %d looks", f.name, n, *flagSeed, time.Since(begun).Seconds(), &sum, sum.Questions, sum.Looks)
		})
	}
}

func add(sum, report *torture.Report) {
	sum.Orders += report.Orders
	sum.Done += report.Done
	sum.Refused += report.Refused
	sum.Unknown += report.Unknown
	sum.Settled += report.Settled
	sum.Events += report.Events
	sum.Questions += report.Questions
	sum.Looks += report.Looks
}

// round is one round of a fault, on a book of its own.
type round struct {
	*arena
	t    *testing.T
	rand *rand.Rand
	seed uint64
	name string // of the book
	dir  string // of the journals

	crowd    bool                // of writers, who mostly do not meet
	children int                 // that were started
	models   *torture.ReadModels // nil where the book has none
	flaw     string              // of the engine that works on them, see flaws
}

func newRound(t *testing.T, a *arena, f fault, n int) *round {
	t.Helper()
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%d %s %d", *flagSeed, f.name, n)
	seed := hash.Sum64()
	r := &round{
		arena: a, t: t, seed: seed, rand: newChance(seed, 0),
		name: fmt.Sprintf("round-%d", n+1), dir: t.TempDir(),
		crowd: f.crowds && n%2 == 1,
	}
	if f.models {
		r.models = torture.NewReadModels(r.name)
	}
	return r
}

// workload is that of all rounds; name tells processes apart. A crowd's batches go ahead of
// each other, which takes many writers and appends that can be guessed.
func (r *round) workload(name string, writers int) torture.Workload {
	w := torture.Workload{Seed: r.seed, Name: name, Dir: r.dir, Writers: writers, Aggregates: 6, MaxEvents: 50}
	if r.crowd {
		w.Writers, w.Aggregates = 64, 1_000_000
		w.Kinds = append(slices.Repeat([]torture.Kind{torture.Believing, torture.Opening}, 50), torture.Hurried, torture.Twice)
	}
	return w
}

func (r *round) run(f fault) (*torture.Report, error) {
	writing, err := r.book(r.address)
	if err != nil {
		return nil, err
	}
	defer writing.close()
	watching, err := r.book(r.direct)
	if err != nil {
		return nil, err
	}
	defer watching.close()
	fought := torture.Round{
		Workload: r.workload("main", f.writers), Book: writing.Book, Watch: []*daybook.Book{writing.Book, watching.Book}, Models: r.models,
		Strike: func(ctx context.Context) error { return f.strike(ctx, r) },
	}
	if r.models != nil {
		fought.Tables = r.tables
	}
	return fought.Run(r.t.Context())
}

// handle is a book and the engine it is kept by.
type handle struct {
	*daybook.Book
	driver daybook.Driver
	t      *testing.T
}

func (h handle) close() {
	if err := h.driver.Close(); err != nil {
		h.t.Error(err)
	}
}

func (r *round) book(address string) (handle, error) {
	ctx := r.t.Context()
	driver, err := open(ctx, address)
	if err != nil {
		return handle{}, err
	}
	var options []daybook.OpenOption
	if r.models != nil {
		options = append(options, daybook.Inline{r.models.Inline})
	}
	book, err := daybook.Open(ctx, driver, r.name, torture.Registry(), options...)
	if err != nil {
		return handle{}, errors.Join(err, driver.Close())
	}
	return handle{book, driver, r.t}, nil
}

// wait lets the writers write for a while, not always as long.
func (r *round) wait(ctx context.Context, most time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(most/4 + time.Duration(r.rand.Int64N(int64(most*3/4)))):
		return nil
	}
}

// repeatedly strikes n times, and lets the writers write before each, and at the end.
func (r *round) repeatedly(ctx context.Context, n int, strike func() error) error {
	for range n {
		if err := errors.Join(r.wait(ctx, strikePause), ctx.Err()); err != nil {
			return err
		}
		if err := strike(); err != nil {
			return err
		}
	}
	return r.wait(ctx, strikePause)
}

// strikePause is how long, at most, writers write between two strikes.
const strikePause = 400 * time.Millisecond
