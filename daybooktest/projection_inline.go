package daybooktest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/daybook-go/daybook"
)

// holdsPinned fails the test unless the ledger in a pin equals the fold of the events in it,
// and returns how many those are.
func (m *models) holdsPinned(s *scene, when string, handle int) int64 {
	s.Helper()
	pin := s.pin(handle)
	defer s.unpin(pin)
	records, err := eventsIn(s.Context(), pin)
	if err != nil {
		s.Fatalf("%s, reading in a pin: %v", when, err)
	}
	rows, err := pin.SelectRows(s.Context(), daybook.RowQuery{Table: m.ledger.SQLName(s.book), Columns: ledgerColumns})
	if err != nil {
		s.Fatalf("%s, rows of the ledger: %v", when, err)
	}
	sameView(s, when, m.ledger, ledgerOf(rows), records)
	return int64(len(records))
}

// inlineEqualsFold appends through two handles while two readers look.
func inlineEqualsFold(s *scene) {
	m := newModels()
	books := [2]*daybook.Book{s.open(0, daybook.Inline(m.all())), s.open(1, daybook.Inline(m.all()))}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for handle, book := range books {
		readers.Go(func() {
			for last, ended := int64(0), false; !ended && !s.Failed(); {
				select {
				case <-done:
					ended = true
				default:
				}
				position := m.holdsPinned(s, "while others append", handle)
				s.sameByHand("while others append", m.hand)
				if position < last {
					s.Errorf("a pin at %d after one at %d", position, last)
				}
				last = position
				s.proved(book, daybook.VerifyOptions{Checks: []daybook.Check{checkOf(s, m.words, book), checkOf(s, m.moments, book)}})
			}
		})
	}
	ids := newNotebooks(5)
	atOnce(8, func(i int) { s.scribble(s.Context(), books[i%2], chance(i), ids, times(24)) })
	close(done)
	readers.Wait()
	m.holds(s, books[1], "in the end")
}

// inlineInTurns appends through two handles by turns, some of several appends: what one
// remembers of rows does not hold when it was the other's turn.
func inlineInTurns(s *scene) {
	m := newModels()
	books := [2]*daybook.Book{s.open(0, daybook.Inline(m.all())), s.open(1, daybook.Inline(m.all()))}
	ids, random := newNotebooks(3), chance(7)
	for turn := range times(12) {
		s.scribble(s.Context(), books[turn%2], random, ids, 1+turn%5)
		m.holds(s, books[0], fmt.Sprint("after turn ", turn))
	}
}

// inlineRefuses lets many callers append at once, some of whom a projection refuses.
func inlineRefuses(s *scene) {
	var healed atomic.Bool
	ledger, hand := newLedger("ledger", &healed), newByHand(&healed)
	inline := daybook.Inline{hand, ledger, newWords("words")}
	books := [2]*daybook.Book{s.open(0, inline), s.open(1, inline)}
	poisons := []string{poisonKeys, poisonEvolve, poisonRow, poisonHand}
	blames := map[string]string{poisonKeys: ledger.Name, poisonEvolve: ledger.Name, poisonRow: ledger.Name, poisonHand: hand.Name}
	const callers = 24
	ids := newNotebooks(6)
	var refused [callers]daybook.Entry
	want := int64(0)
	for round := range times(8) {
		var accepted atomic.Int64
		atOnce(callers, func(i int) {
			poison := poisons[(i+round)%len(poisons)]
			e := entry(ids[i%len(ids)], daybook.Any(), fmt.Sprintf("round %d", round))
			bad := (i*7+round)%3 == 0
			if bad && round%2 == 0 { // with others of its own
				e = entry(ids[i%len(ids)], daybook.Any(), "before", poison)
			} else if bad {
				e = entry(ids[i%len(ids)], daybook.Any(), poison)
			}
			_, err := books[i%2].Append(s.Context(), e)
			if !bad {
				if err != nil {
					s.Errorf("round %d, caller %d: refused, although only others are: %v", round, i, err)
				}
				accepted.Add(1)
				return
			}
			refused[i] = e
			failed, ok := refusedAs[*daybook.ProjectionError](s, fmt.Sprintf("round %d, appending %q", round, poison), err, daybook.ErrProjection)
			if ok && (failed.Projection != blames[poison] || failed.Record.EventID != e.Events[len(e.Events)-1].ID) {
				s.Errorf("round %d: the refusal of %q blames %s and %v", round, poison, failed.Projection, failed.Record)
			}
			if ok && err.Error() != failed.Error() { // whatever the engine
				s.Errorf("round %d: the refusal says %q, want %q", round, err, failed)
			}
		})
		want += accepted.Load()
		if head := s.head(); head.Position != want {
			s.Errorf("round %d: the head is at %d after %d appends of one event that were not refused", round, head.Position, want)
		}
	}
	records := s.all()
	sameView(s, "after refusals", ledger, found(s, ledger, books[1]), records)
	s.sameByHand("after refusals", hand)
	healed.Store(true)
	for _, e := range refused { // nothing of it was kept, and no id is used up
		if e.Events == nil {
			continue
		}
		if _, err := books[0].Append(s.Context(), e); err != nil {
			s.Errorf("what was refused, when the projection takes it: %v", err)
		}
	}
	sameView(s, "when it takes all", ledger, found(s, ledger, books[1]), s.all())
}

// inlineAndBehind runs the same values behind, and then inline.
func inlineAndBehind(s *scene) {
	m := newModels()
	ids := newNotebooks(3)
	s.scribble(s.Context(), s.book, chance(1), ids, 30)
	for _, book := range s.books {
		if err := book.CatchUp(s.Context(), m.all()...); err != nil {
			s.Fatalf("CatchUp: %v", err)
		}
	}
	m.holds(s, s.book, "behind")
	s.scribble(s.Context(), s.book, chance(2), ids, 10)
	books := [2]*daybook.Book{s.open(0, daybook.Inline(m.all())), s.open(1, daybook.Inline(m.all()))}
	m.holds(s, books[0], "made inline")
	atOnce(4, func(i int) { s.scribble(s.Context(), books[i%2], chance(10+i), ids, 6) })
	m.holds(s, books[0], "inline")
	list, err := books[0].Projections(s.Context())
	if err != nil {
		s.Fatalf("Projections: %v", err)
	}
	for _, p := range list {
		if p.State != daybook.GenerationLive || p.Kind != daybook.KindInline || p.Generation != 1 || p.Position != s.head().Position || p.Lag != 0 {
			s.Errorf("it has become %+v, want generation 1, live, inline, at the head", p)
		}
	}
	s.refused("running behind what is inline", s.book.CatchUp(s.Context(), m.ledger), daybook.ErrProjectionChanged)
}

// inlineIsDeclared lets programs append that declare something else.
func inlineIsDeclared(s *scene) {
	ledger, words := newLedger("ledger", nil), newWords("words")
	both := s.open(0, daybook.Inline{ledger, words})
	s.scribble(s.Context(), both, chance(1), newNotebooks(2), 5)
	other := newLedger("ledger", nil)
	other.Version, other.ByCommand = 1, true
	programs := map[string]*daybook.Book{
		"nothing": s.books[1], "one of two": s.open(1, daybook.Inline{words}), "another version": s.open(1, daybook.Inline{other, words}),
	}
	unchanged := s.unchanged()
	for what, book := range programs {
		_, err := book.Append(s.Context(), entry(newAggregate(), daybook.NoEvents(), "a", "b"))
		s.refused("an append by a program that declares "+what, err, daybook.ErrProjectionChanged)
	}
	unchanged("appends by programs that declare something else")
	if err := both.PauseProjection(s.Context(), "ledger"); err != nil {
		s.Fatalf("PauseProjection: %v", err)
	}
	paused := s.all()
	if _, err := programs["nothing"].Append(s.Context(), entry(newAggregate(), daybook.NoEvents(), "a")); err == nil {
		s.Errorf("a program that declares nothing may append while the other projection is inline")
	}
	for _, book := range []*daybook.Book{programs["one of two"], programs["another version"], both} {
		s.scribble(s.Context(), book, chance(2), newNotebooks(2), 3)
	}
	sameView(s, "while it is paused", ledger, found(s, ledger, both), paused)
	sameView(s, "which is not paused", words, found(s, words, both), s.all())
	s.refused("resuming what another version has made", both.ResumeProjection(s.Context(), other), daybook.ErrProjectionChanged)
	if err := both.ResumeProjection(s.Context(), ledger); err != nil {
		s.Fatalf("ResumeProjection: %v", err)
	}
	sameView(s, "resumed", ledger, found(s, ledger, both), s.all())
	s.scribble(s.Context(), both, chance(3), newNotebooks(2), 3)
	sameView(s, "after it was resumed", ledger, found(s, ledger, both), s.all())
	_, err := programs["one of two"].Append(s.Context(), entry(newAggregate(), daybook.NoEvents(), "a"))
	s.refused("an append without what was resumed", err, daybook.ErrProjectionChanged)
}

// databaseRefuses lets callers append at once, of whom all but one of some want a row that
// the database refuses, for an index that somebody has added.
func databaseRefuses(s *scene) {
	type last struct{ Line string }
	view := &daybook.View[daybook.UUID, last]{
		Name: "lasts", Keys: daybook.PerAggregate,
		Evolve: func(row last, _ daybook.UUID, e daybook.ProjectedEvent) (last, bool) {
			if text, ok := e.Data.(noted); ok {
				row.Line = text.Text
			}
			return row, false
		},
	}
	books := [2]*daybook.Book{s.open(0, daybook.Inline{view}), s.open(1, daybook.Inline{view})}
	table := s.statusOf(view.Name).Table
	err := s.driver.Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error {
		_, err := tx.SQL().ExecContext(ctx, `CREATE UNIQUE INDEX `+table+`_line ON `+table+` (line)`)
		return err
	})
	if err != nil {
		s.Fatalf("adding an index: %v", err)
	}
	for round := range times(8) {
		var accepted atomic.Int64
		atOnce(24, func(i int) {
			line, alike := fmt.Sprintf("round %d, caller %d", round, i), i%4 == 0
			if alike {
				line = fmt.Sprintf("round %d, once", round)
			}
			e := entry(newAggregate(), daybook.NoEvents(), line)
			_, err := books[i%2].Append(s.Context(), e)
			switch {
			case !alike && err != nil:
				s.Errorf("round %d, caller %d: refused, although only others are: %v", round, i, err)
			case alike && err == nil:
				accepted.Add(1)
			case alike:
				failed, ok := refusedAs[*daybook.ProjectionError](s, "a row that the database refuses", err, daybook.ErrProjection)
				if ok && (failed.Projection != view.Name || failed.Record.EventID != e.Events[0].ID) {
					s.Errorf("round %d: it blames %s and %v", round, failed.Projection, failed.Record)
				}
			}
		})
		if n := accepted.Load(); n != 1 {
			s.Errorf("round %d: %d appends of which there can be one were accepted", round, n)
		}
	}
	sameView(s, "after refusals", view, found(s, view, books[1]), s.all())
}
