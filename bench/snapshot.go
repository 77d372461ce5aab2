package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

const (
	// snapshotBehind is how many events of the aggregate that is loaded come after its
	// newest snapshot.
	snapshotBehind = 100
	nameFull       = "full replay"
)

// snapshotScenarios are about what snapshots save and cost on PostgreSQL.
func snapshotScenarios() []scenario {
	return []scenario{
		{
			name: "snapshot", title: "loading one long aggregate, the newest snapshot 100 events behind",
			baseline: nameRaw, postgres: true, prepare: prepareSnapshot,
			must: []requirement{atMost(1.3, p50, nameDaybook, nameRaw), atLeast(60, p50, nameFull, nameDaybook)},
		},
		{
			name: "past", title: "loading it at 100 random points of its past, against its present; a load counts as one event",
			baseline: nameLoad, postgres: true, prepare: preparePast, must: pastRequirements(),
		},
		{
			name: "keep-64", title: "64 callers, commands with snapshots on and off, aggregates of their own or all on one",
			baseline: nameOff, postgres: true, prepare: prepareKeeping,
			must: []requirement{atLeast(0.9, rate, nameOn, nameOff), atLeast(0.9, rate, nameOn+nameOneSuffix, nameOff+nameOneSuffix)},
		},
	}
}

// sqliteSnapshotScenario is about what they save on SQLite.
func sqliteSnapshotScenario() scenario {
	return scenario{
		name: "sqlite-snapshot", title: "SQLite: loading one long aggregate, the newest snapshot 100 events behind",
		baseline: nameFull, prepare: prepareSQLiteSnapshot,
		must: []requirement{atLeast(60, p50, nameFull, nameDaybook)},
	}
}

// behind is how far behind the end of an aggregate of so many events its newest
// snapshot is: as far as is asked for, and less where there are few.
func behind(events, asked int) int { return min(asked, events/2) }

// prepareSnapshot sets up Load with a snapshot against the same by hand, and against a
// full replay.
func prepareSnapshot(ctx context.Context, s *stage) ([]contender, error) {
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	id, kept, err := keptBehind(ctx, book, s.ReplayEvents)
	if err != nil {
		return nil, err
	}
	conn, number, err := s.reader(ctx, book)
	if err != nil {
		return nil, err
	}
	fold := kept.Fold()
	return []contender{
		withSnapshots(kept, s.ReplayEvents, id),
		replayer(nameRaw, s.ReplayEvents, func(ctx context.Context) (account, error) {
			return resumeByHand(ctx, conn, number, [16]byte(id.ID), fold[:])
		}),
		replayer(nameFull, s.ReplayEvents, loadFrom(book, id)),
	}, nil
}

// prepareSQLiteSnapshot sets up Load with a snapshot against a full replay.
func prepareSQLiteSnapshot(ctx context.Context, s *stage) ([]contender, error) {
	dir, err := s.scratch()
	if err != nil {
		return nil, err
	}
	book, _, err := s.sqliteBook(ctx, dir)
	if err != nil {
		return nil, err
	}
	id, kept, err := keptBehind(ctx, book, s.ReplayEvents)
	if err != nil {
		return nil, err
	}
	return []contender{withSnapshots(kept, s.ReplayEvents, id), replayer(nameFull, s.ReplayEvents, loadFrom(book, id))}, nil
}

type accounts = daybook.Repository[account, Paid, Paid]

// keptBehind makes an aggregate of so many events, and a repository that keeps its
// snapshots at such a distance that the newest stays snapshotBehind. Else it is the
// usual one: loads are checked now and then.
func keptBehind(ctx context.Context, book *daybook.Book, events int) (daybook.AggregateID, *accounts, error) {
	distance := behind(events, snapshotBehind)
	repository := daybook.NewRepository(book, payments, daybook.Snapshots{Every: distance})
	id, err := fillKept(ctx, book, repository, events, distance)
	return id, repository, err
}

// fillKept makes an aggregate of so many events, with snapshots up to a distance from
// its end.
func fillKept(ctx context.Context, book *daybook.Book, repository *accounts, events, distance int) (id daybook.AggregateID, err error) {
	id = newAggregates(1)[0]
	for _, until := range []int{events - distance, events} {
		if err := extend(ctx, book, id, until); err != nil {
			return id, err
		}
		if until == events {
			break
		}
		kept, err := repository.Keep(ctx, id)
		if err == nil && kept.SequenceNumber != int64(until) {
			err = fmt.Errorf("the newest snapshot is at %d, want %d", kept.SequenceNumber, until)
		}
		if err != nil {
			return id, err
		}
	}
	return id, nil
}

// extend appends to an aggregate until it has so many events, numbered from 1.
func extend(ctx context.Context, book *daybook.Book, id daybook.AggregateID, until int) error {
	loaded, err := daybook.NewRepository(book, payments).Load(ctx, id)
	if err != nil {
		return err
	}
	write := appendTo(book)
	rows := make([]row, 0, thousand)
	for number := loaded.SequenceNumber + 1; number <= int64(until); number++ {
		rows = append(rows, row{id, number, newPaid(number)})
		if len(rows) == thousand || number == int64(until) {
			if err := write(ctx, rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return nil
}

// withSnapshots is a contender that loads an aggregate of so many events again and
// again, always beginning with a snapshot.
func withSnapshots(repository *accounts, events int, id daybook.AggregateID) contender {
	c := replayer(nameDaybook, events, func(ctx context.Context) (account, error) {
		loaded, err := repository.Load(ctx, id)
		return loaded.State, err
	})
	c.verify = func(context.Context) error { return wantUsed(repository) }
	return c
}

// wantUsed makes sure that what was measured is what is said.
func wantUsed(repository *accounts) error {
	if got := repository.SnapshotStats(); got.Used == 0 || got.Failed+got.Corrupt+got.Differed+got.OtherFold+got.Dropped > 0 {
		return fmt.Errorf("snapshots were not used as they were to be: %+v", got)
	}
	return nil
}

// resumeSQL is what one writes by hand to load an aggregate with a snapshot: the newest
// one, with the first of the whole rows behind it.
const resumeSQL = `
WITH kept AS MATERIALIZED (
	SELECT sequence_number, state FROM daybook.snapshots
	WHERE book_id = $1 AND aggregate_id = $2 AND fold = $3
	ORDER BY sequence_number DESC LIMIT 1
)
SELECT ` + eventColumns + `, CASE WHEN sequence_number = (SELECT sequence_number + 1 FROM kept) THEN (SELECT state FROM kept) END
FROM daybook.events
WHERE book_id = $1 AND aggregate_id = $2 AND sequence_number > (SELECT sequence_number FROM kept)
ORDER BY sequence_number`

// resumeByHand reads a state and the whole rows behind it, and has the library's
// decoders decode the JSON in them. It believes what it reads.
func resumeByHand(ctx context.Context, conn *pgx.Conn, args ...any) (state account, err error) {
	fold := foldRow(&state)
	first := true
	err = eachRow(ctx, conn, func(raw [][]byte) error {
		events := len(raw) - 1
		if first {
			if err := json.Unmarshal(raw[events], &state); err != nil {
				return err
			}
			first = false
		}
		return fold(raw[:events])
	}, resumeSQL, args...)
	return state, err
}

// prepareKeeping sets up commands of 64 callers, with snapshots and without: each on an
// aggregate of its own, and all on one, where snapshots cost and save nothing. Every
// contender has a book of its own, and aggregates that are new each round.
func prepareKeeping(ctx context.Context, s *stage) ([]contender, error) {
	var all []contender
	for _, one := range []struct {
		name         string
		on, together bool
	}{{nameOn, true, false}, {nameOff, false, false}, {nameOn + nameOneSuffix, true, true}, {nameOff + nameOneSuffix, false, true}} {
		t := s.target(one.name)
		t.Book += "-" + one.name
		book, closeBook, err := openBook(ctx, t)
		if err != nil {
			return nil, err
		}
		s.onClose(func(context.Context) error { return closeBook() })
		k := &keeper{repository: daybook.NewRepository(book, payments), together: one.together, written: written{}}
		if one.on {
			k.repository = daybook.NewRepository(book, payments, daybook.Snapshots{})
		}
		all = append(all, contender{name: one.name, round: k.round, verify: func(ctx context.Context) error {
			return errors.Join(auditBook(ctx, book, k.written), k.wantSnapshots(one.on))
		}})
	}
	return all, nil
}

const (
	nameOn        = "on"
	nameOff       = "off"
	nameOneSuffix = "-one"
)

// keeper is callers with commands for a repository.
type keeper struct {
	repository *accounts
	together   bool // all callers on one aggregate
	written    written
}

// round lets all callers have commands done for so long. What it takes until the
// snapshots are written as well belongs to it.
func (k *keeper) round(ctx context.Context, d time.Duration) ([]sample, error) {
	ids := newAggregates(contendedCallers)
	if k.together {
		for i := range ids {
			ids[i] = ids[0]
		}
	}
	done := make(written, len(ids))
	counts := make([]int64, len(ids))
	used, start := processCPU(), time.Now()
	s, err := together(ctx, len(ids), d, func(ctx context.Context, i int) (int64, error) {
		_, err := k.repository.Execute(ctx, ids[i], newPaid(counts[i]+1), daybook.Stamp{Metadata: metadata})
		if err == nil {
			counts[i]++
		}
		return 1, err
	})
	if err == nil {
		err = k.repository.Flush(ctx)
	}
	s.Elapsed, s.Client = time.Since(start), processCPU()-used
	for i, n := range counts {
		if n > 0 {
			done[ids[i].ID] += n
		}
	}
	k.written.add(done)
	return []sample{s}, err
}

// wantSnapshots makes sure that what was measured is what is said: with snapshots there
// is one of every aggregate that is long enough, and without them none.
func (k *keeper) wantSnapshots(on bool) error {
	var long int64
	for _, events := range k.written {
		if on && events >= usualEvery {
			long++
		}
	}
	got := k.repository.SnapshotStats()
	if got.Written < long || !on && got.Written > 0 || got.Failed+got.Dropped > 0 {
		return fmt.Errorf("%d aggregates are long enough for a snapshot, and of these became %+v", long, got)
	}
	return nil
}

// usualEvery is how far apart the library keeps snapshots where nothing is said.
const usualEvery = 50
