package daybook_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/sqlite"
)

// A counter that may not go below zero is the smallest aggregate with a rule.
type (
	added     struct{ By int }
	addedV1   struct{ Amount int }
	elsewhere struct{}
	add       struct{ By int }
)

func (a addedV1) upcast() added { return added{a.Amount} }

var errBelowZero = errors.New("below zero")

type counterEvent interface{ counterEvent() }

func (added) counterEvent() {}

var counters = daybook.Decider[int, add, counterEvent]{
	Type:    "counter",
	Initial: func() int { return 0 },
	Decide: func(sum int, c add) ([]counterEvent, error) {
		switch {
		case c.By == 0:
			return nil, nil
		case sum+c.By < 0:
			return nil, errBelowZero
		case c.By >= 100: // big steps are taken in two
			return []counterEvent{added{c.By - 1}, added{1}}, nil
		}
		return []counterEvent{added(c)}, nil
	},
	Evolve: func(sum int, e counterEvent) int { return sum + e.(added).By },
}

var (
	oldCounterEvents = daybook.NewRegistry(daybook.Type[addedV1]("Added"), daybook.Type[elsewhere]("Elsewhere"))
	counterEvents    = daybook.NewRegistry(daybook.Type[added]("Added", daybook.Upcast(addedV1.upcast)), daybook.Type[elsewhere]("Elsewhere"))
)

type counterRepository = daybook.Repository[int, add, counterEvent]

func newDriver(t *testing.T) daybook.Driver {
	t.Helper()
	return openFile(t, newFile(t))
}

// newFile returns the path of a migrated, empty file.
func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "book.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// openFile opens a file as one more process would.
func openFile(t *testing.T, path string) daybook.Driver {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newCounters(t *testing.T) (*counterRepository, *daybook.Book) {
	t.Helper()
	book, err := daybook.Open(t.Context(), newDriver(t), "main", counterEvents)
	if err != nil {
		t.Fatal(err)
	}
	return daybook.NewRepository(book, counters), book
}

func counter(n byte) daybook.AggregateID {
	return daybook.AggregateID{Type: "counter", ID: daybook.UUID{15: n}}
}

func head(t *testing.T, book *daybook.Book) int64 {
	t.Helper()
	head, err := book.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head.Position
}

func TestAKeyMakesACommandHappenOnce(t *testing.T) {
	t.Parallel()
	repo, book := newCounters(t)
	ctx, one := t.Context(), counter(1)
	run := func(by int, opts ...daybook.Option) (daybook.Result[int], error) {
		return repo.Execute(ctx, one, add{by}, opts...)
	}

	if _, err := run(50, daybook.Key("fifty")); err != nil {
		t.Fatal(err)
	}
	spent, err := run(-50, daybook.Key("spend"))
	if err != nil || spent.State != 0 {
		t.Fatalf("%+v, %v", spent, err)
	}
	// Now the state would refuse it, the original result is returned all the same.
	again, err := run(-50, daybook.Key("spend"))
	if err != nil || !cmp.Equal(again, spent) {
		t.Errorf("the retry returns %+v, %v; the original was %+v", again, err, spent)
	}
	// Whatever the caller expects of the aggregate now: the key is looked at first.
	if again, err = run(-50, daybook.Key("spend"), daybook.IfAt(1)); err != nil || !cmp.Equal(again, spent) {
		t.Errorf("with IfAt the retry returns %+v, %v", again, err)
	}
	if _, err := run(7); err != nil {
		t.Fatal(err)
	}
	if again, err = run(-50, daybook.Key("spend")); err != nil || !cmp.Equal(again, spent) {
		t.Errorf("after other events the retry returns %+v, %v", again, err)
	}
	big, err := run(200, daybook.Key("big"))
	if err != nil || len(big.Events) != 2 || big.State != 207 {
		t.Fatalf("%+v, %v", big, err)
	}
	if again, err = run(200, daybook.Key("big")); err != nil || !cmp.Equal(again, big) {
		t.Errorf("a call of two events is repeated as %+v, %v", again, err)
	}
	before := head(t, book)
	for name, by := range map[string]int{"another amount": -49, "fewer events": 100, "what was refused then": -51, "nothing to do": 0} {
		if _, err := run(by, daybook.Key("spend")); !errors.Is(err, daybook.ErrKeyReused) {
			t.Errorf("%s under the same key: %v", name, err)
		}
	}
	if _, err := run(199, daybook.Key("big")); !errors.Is(err, daybook.ErrKeyReused) {
		t.Errorf("two other events under the same key: %v", err)
	}
	if _, err := repo.Execute(ctx, counter(2), add{-50}, daybook.Key("spend")); !errors.Is(err, daybook.ErrKeyReused) {
		t.Errorf("another aggregate under the same key: %v", err)
	}
	if _, err := repo.Execute(ctx, counter(2), add{-50}, daybook.Key("fifty")); !errors.Is(err, daybook.ErrKeyReused) || !strings.Contains(err.Error(), "it belongs to "+counter(1).String()) {
		t.Errorf("another aggregate that would refuse, under the same key: %v, want the aggregate to be the reason", err)
	}
	if _, err := repo.Execute(ctx, counter(2), add{50}, daybook.Key("fifty")); !errors.Is(err, daybook.ErrKeyReused) {
		t.Errorf("another aggregate that would decide the same under the same key: %v", err)
	}
	then := daybook.Stamp{OccurredAt: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := run(-50, daybook.Key("spend"), then); !errors.Is(err, daybook.ErrKeyReused) {
		t.Errorf("another occurred-at under the same key: %v", err)
	}
	if head(t, book) != before {
		t.Error("a refused repetition wrote something")
	}
}

func TestARefusedCommandLeavesItsKeyFree(t *testing.T) {
	t.Parallel()
	repo, _ := newCounters(t)
	if _, err := repo.Execute(t.Context(), counter(1), add{-1}, daybook.Key("k")); !errors.Is(err, errBelowZero) {
		t.Fatal(err)
	}
	if res, err := repo.Execute(t.Context(), counter(1), add{0}, daybook.Key("k")); err != nil || res.SequenceNumber != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if res, err := repo.Execute(t.Context(), counter(1), add{5}, daybook.Key("k")); err != nil || res.State != 5 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestOneKeyAtOnceFromManyWritersCountsOnce(t *testing.T) {
	t.Parallel()
	repo, book := newCounters(t)
	if _, err := repo.Execute(t.Context(), counter(1), add{60}); err != nil {
		t.Fatal(err)
	}
	results := make([]daybook.Result[int], 32)
	var wait sync.WaitGroup
	for i := range results {
		wait.Go(func() {
			if i%4 == 3 { // in between, others move the counter, so states differ between the 24
				if _, err := repo.Execute(t.Context(), counter(1), add{1}); err != nil {
					t.Error(err)
				}
				return
			}
			var err error
			// A second one of these would be refused: the sum would go below zero.
			if results[i], err = repo.Execute(t.Context(), counter(1), add{-55}, daybook.Key("once")); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i := range results {
		if i%4 != 3 && !cmp.Equal(results[i], results[0]) {
			t.Errorf("writer %d got %+v, writer 0 %+v", i, results[i], results[0])
		}
	}
	if got := head(t, book); got != 1+1+8 {
		t.Errorf("%d events, want 10", got)
	}
}

func TestARetryAcrossANewSchemaVersionIsStillARetry(t *testing.T) {
	t.Parallel()
	ctx, driver := t.Context(), newDriver(t)
	oldBook, err := daybook.Open(ctx, driver, "main", oldCounterEvents)
	if err != nil {
		t.Fatal(err)
	}
	old := daybook.NewRepository(oldBook, daybook.Decider[int, add, addedV1]{
		Type: "counter", Initial: func() int { return 0 }, Evolve: func(sum int, e addedV1) int { return sum + e.Amount },
		Decide: func(_ int, c add) ([]addedV1, error) { return []addedV1{{c.By}}, nil },
	})
	was, err := old.Execute(ctx, counter(1), add{5}, daybook.Key("k"))
	if err != nil {
		t.Fatal(err)
	}
	book, err := daybook.Open(ctx, driver, "main", counterEvents)
	if err != nil {
		t.Fatal(err)
	}
	is, err := daybook.NewRepository(book, counters).Execute(ctx, counter(1), add{5}, daybook.Key("k"))
	if err != nil || !cmp.Equal(is, was) {
		t.Errorf("%+v, %v; was %+v", is, err, was)
	}
}

func TestIfAtRunsOnlyAtThatNumber(t *testing.T) {
	t.Parallel()
	repo, _ := newCounters(t)
	ctx, one := t.Context(), counter(1)
	if _, err := repo.Execute(ctx, one, add{1}, daybook.IfAt(0)); err != nil {
		t.Fatal(err)
	}
	var conflict *daybook.ConflictError
	if _, err := repo.Execute(ctx, one, add{1}, daybook.IfAt(0)); !errors.As(err, &conflict) || conflict.Actual != 1 || conflict.Expected != daybook.NoEvents() {
		t.Errorf("%v", err)
	}
	if _, err := repo.Execute(ctx, one, add{1}, daybook.IfAt(-2)); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("%v", err)
	}
	// Of 16 at once that saw number 1, one may go on.
	var wait sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wait.Go(func() { _, errs[i] = repo.Execute(ctx, one, add{1}, daybook.IfAt(1)) })
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, daybook.ErrConflict) {
			t.Errorf("%v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d went on from number 1", won)
	}
}

func TestEveryCommandOfManyWritersCountsOnce(t *testing.T) {
	t.Parallel()
	repo, book := newCounters(t)
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for range 4 {
				if _, err := repo.Execute(t.Context(), counter(1), add{1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	loaded, err := repo.Load(t.Context(), counter(1))
	if err != nil || loaded.State != 64 || loaded.SequenceNumber != 64 || head(t, book) != 64 {
		t.Errorf("%+v, %v", loaded, err)
	}
}

func TestExecuteAllIsAllOrNothing(t *testing.T) {
	t.Parallel()
	repo, book := newCounters(t)
	ctx := t.Context()
	move := func(by int) []daybook.Addressed[add] {
		return []daybook.Addressed[add]{{Aggregate: counter(1), Command: add{-by}}, {Aggregate: counter(2), Command: add{by}}}
	}
	if _, err := repo.Execute(ctx, counter(1), add{10}); err != nil {
		t.Fatal(err)
	}
	moved, err := repo.ExecuteAll(ctx, move(4), daybook.Key("move"))
	if err != nil || moved[0].State != 6 || moved[1].State != 4 || moved[1].Position != moved[0].Position+1 {
		t.Fatalf("%+v, %v", moved, err)
	}
	if again, err := repo.ExecuteAll(ctx, move(4), daybook.Key("move")); err != nil || !cmp.Equal(again, moved) {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := repo.ExecuteAll(ctx, move(7)); !errors.Is(err, errBelowZero) {
		t.Errorf("%v", err)
	}
	if _, err := repo.ExecuteAll(ctx, append(move(1), move(1)...)); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("one aggregate twice: %v", err)
	}
	if _, err := repo.ExecuteAll(ctx, nil); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("no commands: %v", err)
	}
	if got := head(t, book); got != 3 {
		t.Errorf("%d events, want 3", got)
	}
	// Many at once, in both directions: no deadlock, and the sum stays.
	var wait sync.WaitGroup
	for i := range 12 {
		wait.Go(func() {
			commands := move(1)
			if i%2 == 1 {
				commands = []daybook.Addressed[add]{{Aggregate: counter(2), Command: add{-1}}, {Aggregate: counter(1), Command: add{1}}}
			}
			if _, err := repo.ExecuteAll(ctx, commands); err != nil && !errors.Is(err, errBelowZero) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	one, err1 := repo.Load(ctx, counter(1))
	two, err2 := repo.Load(ctx, counter(2))
	if err := errors.Join(err1, err2); err != nil || one.State+two.State != 10 {
		t.Errorf("%d + %d, %v", one.State, two.State, err)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	repo, book := newCounters(t)
	for name, opt := range map[string]daybook.Option{
		"an empty key":        daybook.Key(""),
		"a key with U+0000":   daybook.Key("a\x00"),
		"a key of 256 bytes":  daybook.Key(string(make([]byte, 256))),
		"year 1":              daybook.Stamp{OccurredAt: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)},
		"a reserved metadata": daybook.Stamp{Metadata: daybook.Metadata{Extra: map[string]string{"actor": "me"}}},
	} {
		_, err := repo.Execute(t.Context(), counter(1), add{1}, opt)
		if !errors.Is(err, daybook.ErrInvalid) && !errors.Is(err, daybook.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, id := range map[string]daybook.AggregateID{
		"another type": {Type: "account", ID: daybook.UUID{1}}, "no type": {ID: daybook.UUID{1}}, "the nil UUID": {Type: "counter"}, "nothing": {},
	} {
		if _, err := repo.Execute(t.Context(), id, add{1}); !errors.Is(err, daybook.ErrInvalid) {
			t.Errorf("execute on %s: %v", name, err)
		}
		if _, err := repo.Load(t.Context(), id); !errors.Is(err, daybook.ErrInvalid) {
			t.Errorf("load of %s: %v", name, err)
		}
	}
	if head(t, book) != 0 {
		t.Error("something was written")
	}
}

func TestAnEventOfAnotherAggregateTypeIsAnErrorWithItsPlace(t *testing.T) {
	t.Parallel()
	repo, book := newCounters(t)
	if _, err := book.Append(t.Context(), daybook.Entry{Aggregate: counter(1), Events: []daybook.Event{{Data: added{1}}, {Data: elsewhere{}}}}); err != nil {
		t.Fatal(err)
	}
	var decode *daybook.DecodeError
	if _, err := repo.Load(t.Context(), counter(1)); !errors.As(err, &decode) || decode.Record.Position != 2 || !errors.Is(err, daybook.ErrUnknownEvent) {
		t.Errorf("%v", err)
	}
	if at, err := repo.LoadAt(t.Context(), counter(1), daybook.AtSequence(1)); err != nil || at.State != 1 {
		t.Errorf("before it: %+v, %v", at, err)
	}
}

func TestACancelledContextEndsExecuteAtOnce(t *testing.T) {
	t.Parallel()
	repo, book := newCounters(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := repo.Execute(ctx, counter(1), add{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if head(t, book) != 0 {
		t.Error("something was written")
	}
}

func TestPositionAtIsAPrefixOfTheBook(t *testing.T) {
	t.Parallel()
	repo, book := newCounters(t)
	if p, future, err := book.PositionAt(t.Context(), time.Now()); p != 0 || future || err != nil {
		t.Errorf("of an empty book: %d, %v, %v", p, future, err)
	}
	var recs []daybook.Recorded
	for i := range 20 {
		res, err := repo.Execute(t.Context(), counter(byte(1+i%3)), add{1})
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, res.Events...)
	}
	for i, rec := range recs {
		for shift, want := range map[time.Duration]int{-time.Microsecond: i, 0: i + 1} {
			if p, future, err := book.PositionAt(t.Context(), rec.RecordedAt.Add(shift)); int(p) != want || future || err != nil {
				t.Errorf("%v of event %d: %d, %v, %v", shift, i+1, p, future, err)
			}
		}
	}
	if p, future, err := book.PositionAt(t.Context(), time.Now().Add(time.Hour)); p != 20 || !future || err != nil {
		t.Errorf("in an hour: %d, %v, %v", p, future, err)
	}
	if _, _, err := book.PositionAt(t.Context(), time.Time{}); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("no time: %v", err)
	}
}

func TestAFollowerThatIsAheadOfTheBookStops(t *testing.T) {
	t.Parallel()
	_, book := newCounters(t)
	for rec, err := range book.Follow(t.Context(), daybook.Query{AfterPosition: 1}) {
		var ahead *daybook.NotThereError
		if !errors.As(err, &ahead) || ahead.Asked != 1 || ahead.Last != 0 {
			t.Errorf("%v, %v", rec, err)
		}
	}
	for _, q := range []daybook.Query{{Reverse: true}, {UntilPosition: 1}, {AfterPosition: -1}} {
		for rec, err := range book.Follow(t.Context(), q) {
			if !errors.Is(err, daybook.ErrInvalid) {
				t.Errorf("%+v: %v, %v", q, rec, err)
			}
		}
	}
}

func ExamplePoint() {
	fmt.Println(daybook.AtSequence(3))
	fmt.Println(daybook.AsOf(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)))
	// Output:
	// at sequence number 3
	// as of 2026-11-24T10:00:00Z
}

func TestWhatABookCannotDoWithout(t *testing.T) {
	t.Parallel()
	if _, err := daybook.Open(t.Context(), nil, "main", counterEvents); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("no driver: %v", err)
	}
	if _, err := daybook.Open(t.Context(), newDriver(t), "main", nil); !errors.Is(err, daybook.ErrInvalid) {
		t.Errorf("no registry: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a repository without a book did not panic")
		}
	}()
	daybook.NewRepository(nil, counters)
}

func TestAPointThatIsNotThereHasNoState(t *testing.T) {
	t.Parallel()
	repo, _ := newCounters(t)
	if _, err := repo.Execute(t.Context(), counter(1), add{5}); err != nil {
		t.Fatal(err)
	}
	loaded, err := repo.LoadAt(t.Context(), counter(1), daybook.AtSequence(2))
	if !errors.Is(err, daybook.ErrNotThere) || !cmp.Equal(loaded, daybook.Loaded[int]{}) {
		t.Errorf("beyond the end: %+v, %v", loaded, err)
	}
}
