package bench

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
)

var (
	first  = daybook.UUID{1}
	second = daybook.UUID{2}
)

func rowsOf(places ...place) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		for _, at := range places {
			if !yield(at, nil) {
				return
			}
		}
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	good := []place{{1, first, 1}, {2, second, 1}, {3, first, 2}}
	acknowledged := written{first: 2, second: 1}
	if err := audit(rowsOf(good...), acknowledged, true); err != nil {
		t.Error(err)
	}
	if err := audit(rowsOf(place{3, first, 1}, place{7, first, 2}, place{9, second, 1}), acknowledged, false); err != nil {
		t.Errorf("holes between positions, where they may be: %v", err)
	}
	for name, rows := range map[string][]place{
		"the first event is lost":               good[1:],
		"the last event is lost":                good[:2],
		"an aggregate is lost":                  {{1, first, 1}, {2, first, 2}},
		"all are lost":                          {},
		"an event is there twice":               append(slices.Clone(good), place{4, first, 2}),
		"an event that was never acknowledged":  append(slices.Clone(good), place{4, first, 3}),
		"an aggregate that was never written":   append(slices.Clone(good), place{4, daybook.UUID{3}, 1}),
		"a position is missing":                 {{1, first, 1}, {2, second, 1}, {4, first, 2}},
		"a position is there twice":             {{1, first, 1}, {2, second, 1}, {2, first, 2}},
		"the numbers of an aggregate turn back": {{1, first, 2}, {2, second, 1}, {3, first, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := audit(rowsOf(rows...), acknowledged, true); err == nil {
				t.Error("audit finds nothing wrong")
			}
		})
	}
}

func TestAuditOnce(t *testing.T) {
	t.Parallel()
	read := func(numbers ...int64) iter.Seq2[int64, error] {
		return func(yield func(int64, error) bool) {
			for _, n := range numbers {
				if !yield(n, nil) {
					return
				}
			}
		}
	}
	acknowledged := []int64{3, 1, 2}
	if err := auditOnce(read(1, 2, 3), acknowledged); err != nil {
		t.Error(err)
	}
	for name, numbers := range map[string]iter.Seq2[int64, error]{
		"a command is lost":            read(1, 3),
		"a command took effect twice":  read(1, 2, 2, 3),
		"one that nobody acknowledged": read(1, 2, 3, 4),
	} {
		if err := auditOnce(numbers, acknowledged); err == nil {
			t.Errorf("%s: auditOnce finds nothing wrong", name)
		}
	}
}

// liars are contenders whose word is not true. Each has its second call go wrong, which is
// made however slow the machine is.
var liars = map[string]func(write appender, pool *pgxpool.Pool, table target) appender{
	"acknowledges what it has not written": func(write appender, _ *pgxpool.Pool, _ target) appender {
		return func(ctx context.Context, rows []row) error {
			if rows[0].sequence == 2 {
				return nil
			}
			return write(ctx, rows)
		}
	},
	"writes an event to an aggregate of nobody's as well": func(write appender, _ *pgxpool.Pool, _ target) appender {
		return func(ctx context.Context, rows []row) error {
			if rows[0].sequence == 2 {
				again := row{newAggregates(1)[0], 1, rows[0].event}
				if err := write(ctx, []row{again}); err != nil {
					return err
				}
			}
			return write(ctx, rows)
		}
	},
	"writes an event twice": func(write appender, pool *pgxpool.Pool, table target) appender {
		return func(ctx context.Context, rows []row) error {
			if err := write(ctx, rows); err != nil || rows[0].sequence != 2 {
				return err
			}
			// No index of the table would let it, so they go.
			for _, constraint := range []string{"aggregate_id_sequence_number_key", "event_id_key"} {
				if _, err := pool.Exec(ctx, `ALTER TABLE `+table.table()+` DROP CONSTRAINT `+table.Table+`_`+constraint); err != nil {
					return err
				}
			}
			_, err := pool.Exec(ctx, `INSERT INTO `+table.table()+` (`+insertColumns+`) SELECT `+insertColumns+` FROM `+table.table()+` WHERE sequence_number = 2`)
			return err
		}
	},
	"loses events that it has written": func(write appender, pool *pgxpool.Pool, table target) appender {
		return func(ctx context.Context, rows []row) error {
			if err := write(ctx, rows); err != nil {
				return err
			}
			_, err := pool.Exec(ctx, `DELETE FROM `+table.table()+` WHERE sequence_number >= 2`)
			return err
		}
	},
}

// The controls: a run with a contender whose word is not true must end with an error
// and without a report.
func TestContendersThatLieAreFound(t *testing.T) {
	for name, lie := range liars {
		t.Run("one that "+name, func(t *testing.T) {
			lab := newTestLab(t)
			wantLie(t, lab, scenario{name: "liar", baseline: string(plain), prepare: func(ctx context.Context, s *stage) ([]contender, error) {
				c, err := s.byHand(ctx, plain, 2, func(write appender) *callers {
					return newCallers(1, lie(write, s.pool, s.target(string(plain))))
				})
				return []contender{c}, err
			}})
		})
	}
	t.Run("one on a book that acknowledges what it has not written", func(t *testing.T) {
		lab := newTestLab(t)
		wantLie(t, lab, scenario{name: "liar", baseline: nameDaybook, prepare: func(ctx context.Context, s *stage) ([]contender, error) {
			book, err := s.book(ctx)
			if err != nil {
				return nil, err
			}
			write := appendTo(book)
			return []contender{callersOnBook(book, newCallers(2, func(ctx context.Context, rows []row) error {
				if rows[0].sequence == 1 {
					return nil // and so every later one is refused
				}
				return write(ctx, rows)
			}))}, nil
		}})
	})
	t.Run("one on a book that somebody else writes to", func(t *testing.T) {
		lab := newTestLab(t)
		wantLie(t, lab, scenario{name: "liar", baseline: nameDaybook, prepare: func(ctx context.Context, s *stage) ([]contender, error) {
			book, err := s.book(ctx)
			if err != nil {
				return nil, err
			}
			write := appendTo(book)
			if err := write(ctx, []row{{newAggregates(1)[0], 1, newPaid(1)}}); err != nil {
				return nil, err
			}
			return []contender{callersOnBook(book, newCallers(2, write))}, nil
		}})
	})
	t.Run("one that executes a command twice", func(t *testing.T) {
		lab := newTestLab(t)
		wantLie(t, lab, scenario{name: "liar", baseline: nameDaybook, prepare: func(ctx context.Context, s *stage) ([]contender, error) {
			book, err := s.book(ctx)
			if err != nil {
				return nil, err
			}
			return []contender{contendedOnBook(book, func(ctx context.Context, id daybook.AggregateID, command Paid, retries *atomic.Int64) error {
				command.Number -= command.Number % 2 // 2, 2, 4, 4 …
				return executeOn(book)(ctx, id, command, retries)
			})}, nil
		}})
	})
}

func newTestLab(t *testing.T) *lab {
	t.Helper()
	options := tiny(t)
	if _, err := options.check(); err != nil {
		t.Fatal(err)
	}
	lab, err := newLab(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return lab
}

func wantLie(t *testing.T, lab *lab, sc scenario) {
	t.Helper()
	_, err := lab.measure(t.Context(), sc)
	if err == nil {
		t.Fatal("nobody noticed")
	}
	t.Log(err)
}
