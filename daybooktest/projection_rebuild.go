package daybooktest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// rebuild rebuilds a projection through a handle, and ends the test where that fails.
func (s *scene) rebuild(handle int, p daybook.Projector, o daybook.RebuildOptions) *daybook.Rebuilt {
	s.Helper()
	rebuilt, err := s.books[handle].Rebuild(s.Context(), p, o)
	if err != nil {
		s.Fatalf("Rebuild: %v", err)
	}
	return rebuilt
}

// generationsOf are the generations of a projection by their states.
func (s *scene) generationsOf(name string) map[daybook.GenerationState][]int64 {
	s.Helper()
	list, err := s.books[1].Projections(s.Context())
	if err != nil {
		s.Fatalf("Projections: %v", err)
	}
	out := map[daybook.GenerationState][]int64{}
	for _, p := range list {
		if p.Projection == name {
			out[p.State] = append(out[p.State], p.Generation)
		}
	}
	return out
}

func (s *scene) sameGenerations(when, name string, want map[daybook.GenerationState][]int64) {
	s.Helper()
	if diff := gocmp.Diff(want, s.generationsOf(name)); diff != "" {
		s.Errorf("%s, the generations of %s (-want +got):\n%s", when, name, diff)
	}
}

type states = map[daybook.GenerationState][]int64

// rebuiltEqualsLive rebuilds twice what is inline, and what is behind, and goes back.
func rebuiltEqualsLive(s *scene) {
	ids := newNotebooks(5)
	inline, behind := newModels(), &models{newLedger("b_ledger", nil), newWords("b_words"), newMoments("b_moments"), newByHand(nil)}
	book := s.open(0, daybook.Inline(inline.all()))
	s.scribble(s.Context(), book, chance(1), ids, times(40))
	s.catchUp(0, behind.all()...)
	before, _ := inline.ledger.Find(s.Context(), book, daybook.ViewQuery{})
	for n := range int64(2) {
		for _, m := range []*models{inline, behind} {
			for _, p := range m.all() {
				rebuilt := s.rebuild(int(n), p, daybook.RebuildOptions{})
				if rebuilt.Generation != n+2 || rebuilt.Position != s.head().Position || rebuilt.Resumed != 0 {
					s.Errorf("rebuilt %+v, want generation %d at the head", rebuilt, n+2)
				}
			}
			m.holds(s, book, "rebuilt")
		}
		after, err := inline.ledger.Find(s.Context(), book, daybook.ViewQuery{})
		if diff := gocmp.Diff(before, after); err != nil || diff != "" {
			s.Errorf("%v, rebuilt rows in their order (-before +after):\n%s", err, diff)
		}
	}
	s.sameGenerations("rebuilt twice", "ledger", states{"kept": {1, 2}, "live": {3}})
	s.scribble(s.Context(), book, chance(2), ids, 5)
	for _, p := range append(inline.all(), behind.all()...) {
		if back := s.rebuild(1, p, daybook.RebuildOptions{Kept: true}); back.Generation != 2 {
			s.Errorf("went back to %+v, want generation 2", back)
		}
	}
	s.sameGenerations("gone back", "ledger", states{"kept": {1, 3}, "live": {2}})
	inline.holds(s, book, "gone back")
	behind.holds(s, book, "gone back")
	s.scribble(s.Context(), book, chance(3), ids, 5)
	inline.holds(s, book, "gone back and gone on")
	s.catchUp(1, behind.all()...)
	behind.holds(s, book, "gone back and gone on")
	for _, p := range append(inline.all(), behind.all()...) {
		if n, err := book.DropKept(s.Context(), p); err != nil || n != 2 {
			s.Errorf("DropKept: %d, %v, want 2", n, err)
		}
	}
	s.sameGenerations("without those that were kept", "b_ledger", states{"live": {2}})
	_, err := book.Rebuild(s.Context(), inline.ledger, daybook.RebuildOptions{Kept: true})
	s.refused("going back to nothing", err, daybook.ErrInvalid)
	s.refused("rebuilding a subscription", func() error {
		_, err := book.Rebuild(s.Context(), &daybook.Subscription{Name: "mail", Deliver: (&mailbox{}).deliver}, daybook.RebuildOptions{})
		return err
	}(), daybook.ErrInvalid)
}

// wholeLedger fails the test unless what a reader of a ledger has seen can be one moment of
// it, not before another one: rows without Marked events count every event up to the last.
func (s *scene) wholeLedger(how string, lines, last, before int64) {
	s.Helper()
	if lines != last || last < before {
		s.Errorf("%s: a reader sees %d events, the last at %d, after one at %d", how, lines, last, before)
	}
}

// readersDuringRebuilds reads in four ways while others append and rebuild.
func readersDuringRebuilds(s *scene) {
	inline, behind := newLedger("inline", nil), newLedger("behind", nil)
	books := [2]*daybook.Book{s.open(0, daybook.Inline{inline}), s.open(1, daybook.Inline{inline})}
	ids := newNotebooks(5)
	appended := func(book *daybook.Book, i int) {
		if _, err := book.Append(s.Context(), entry(ids[i%len(ids)], daybook.Any(), "one", "two")); err != nil {
			s.Errorf("Append during a rebuild: %v", err)
		}
	}
	appended(books[0], 0)
	s.catchUp(0, behind)
	stop := s.during(s.books[0], behind)
	ctx, end := context.WithCancel(s.Context())
	var others sync.WaitGroup
	for i, book := range books {
		others.Go(func() {
			for n := i; ctx.Err() == nil && !s.Failed(); n++ {
				appended(book, n)
			}
		})
	}
	for _, view := range []*ledgerView{inline, behind} {
		others.Go(func() {
			for before := int64(0); ctx.Err() == nil && !s.Failed(); {
				var lines, last int64
				for _, row := range found(s, view, books[1]) { //nolint:contextcheck // a check has its test's context
					lines, last = lines+row.Lines, max(last, row.LastPosition)
				}
				s.wholeLedger("View.Find in "+view.Name, lines, last, before)
				before = last
			}
		})
		others.Go(func() {
			for before := int64(0); ctx.Err() == nil && !s.Failed(); {
				var lines, last int64
				err := s.drivers[1].Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error { //nolint:contextcheck // a check has its test's context
					return tx.SQL().QueryRowContext(ctx, `SELECT coalesce(CAST(sum(lines) AS BIGINT), 0), coalesce(max(last_position), 0) FROM `+view.SQLName(s.book)+` WHERE lines > $1`, 0).Scan(&lines, &last)
				})
				if err != nil {
					s.Errorf("hand-written SQL on %s during a rebuild: %v", view.Name, err)
				}
				s.wholeLedger("hand-written SQL on "+view.Name, lines, last, before)
				before = last
			}
		})
	}
	for n := range times(12) {
		for _, view := range []*ledgerView{inline, behind} {
			if _, err := s.books[n%2].Rebuild(s.Context(), view, daybook.RebuildOptions{}); err != nil {
				s.Errorf("Rebuild while others append and read: %v", err)
			}
		}
		if _, err := s.book.DropKept(s.Context(), inline); err != nil {
			s.Errorf("DropKept while others read: %v", err)
		}
	}
	end()
	others.Wait()
	s.eventually("what is behind comes to the head", func() bool { return s.book.WaitFor(s.Context(), "behind", s.head().Position) == nil })
	stop()
	sameView(s, "after rebuilds", inline, found(s, inline, s.book), s.all())
	sameView(s, "after rebuilds", behind, found(s, behind, s.book), s.all())
}

// rebuildsCalledOff calls rebuilds off at random moments.
func rebuildsCalledOff(s *scene) {
	ids := newNotebooks(5)
	m := newModels()
	book := s.open(0, daybook.Inline{m.ledger, m.hand})
	s.scribble(s.Context(), book, chance(1), ids, 60)
	s.catchUp(0, m.words, m.moments)
	r := chance(400)
	done := 0
	for round := range times(40) {
		ctx, cancel := context.WithTimeout(s.Context(), time.Duration(r.IntN(12_000))*time.Microsecond)
		p := m.all()[round%4]
		_, err := s.books[round%2].Rebuild(ctx, p, daybook.RebuildOptions{})
		cancel()
		switch {
		case err == nil:
			done++
		case !errors.Is(err, context.DeadlineExceeded):
			s.Errorf("a rebuild that was called off: %v", err)
		}
		s.scribble(s.Context(), book, chance(500+round), ids, 1)
	}
	s.Logf("%d of %d rebuilds were done before they were called off", done, times(40))
	m.holdsUpTo(s, book, "after rebuilds that were called off")
	for _, p := range m.all() {
		s.rebuild(1, p, daybook.RebuildOptions{})
		if _, err := book.DropKept(s.Context(), p); err != nil {
			s.Errorf("DropKept: %v", err)
		}
	}
	m.holds(s, book, "rebuilt in the end")
	for _, name := range []string{m.ledger.Name, m.words.Name, m.moments.Name, m.hand.Name} {
		if all := s.generationsOf(name); len(all) != 1 || len(all[daybook.GenerationLive]) != 1 {
			s.Errorf("of %s there are the generations %v, want one that is live", name, all)
		}
	}
}

// holdsUpTo is holds after what is behind has caught up.
func (m *models) holdsUpTo(s *scene, book *daybook.Book, when string) {
	s.Helper()
	s.catchUp(0, m.words, m.moments)
	m.holds(s, book, when)
}

// twoRebuilds lets one rebuild hang until another one has seen it.
func twoRebuilds(s *scene) {
	ledger, slow := newLedger("ledger", nil), newLedger("ledger", nil)
	s.scribble(s.Context(), s.book, chance(1), newNotebooks(3), 10)
	s.catchUp(0, ledger)
	evolve := slow.Evolve
	var entered sync.Once
	inside, goOn := make(chan struct{}), make(chan struct{})
	slow.Evolve = func(row ledgerRow, id daybook.UUID, e daybook.ProjectedEvent) (ledgerRow, bool) {
		entered.Do(func() { close(inside) })
		<-goOn
		return evolve(row, id, e)
	}
	first := make(chan error, 1)
	go func() {
		_, err := s.books[0].Rebuild(s.Context(), slow, daybook.RebuildOptions{})
		first <- err
	}()
	<-inside
	looked := &watched{Driver: s.drivers[1], looked: make(chan struct{})}
	other, err := daybook.Open(s.Context(), looked, s.book.Name(), registry)
	if err != nil {
		s.Fatalf("Open: %v", err)
	}
	go func() {
		<-looked.looked
		close(goOn)
	}()
	_, err = other.Rebuild(s.Context(), ledger, daybook.RebuildOptions{})
	s.refused("rebuilding what another one rebuilds", err, daybook.ErrProjectionBusy)
	if err := <-first; err != nil {
		s.Errorf("the first of two rebuilds: %v", err)
	}
	s.sameGenerations("after two rebuilds at once", "ledger", states{"kept": {1}, "live": {2}})
	sameView(s, "after two rebuilds at once", ledger, found(s, ledger, s.book), s.all())
}

// watched is an engine that says when a transaction has been made through it.
type watched struct {
	daybook.Driver
	once   sync.Once
	looked chan struct{}
}

func (w *watched) Transact(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
	err := w.Driver.Transact(ctx, book, lockHead, work)
	w.once.Do(func() { close(w.looked) })
	return err
}

// rebuildTakenOver lets a rebuild hang until another one has taken it over.
func rebuildTakenOver(s *scene) {
	ledger, slow := newLedger("ledger", nil), newLedger("ledger", nil)
	s.scribble(s.Context(), s.book, chance(1), newNotebooks(3), 10)
	s.catchUp(0, ledger)
	evolve := slow.Evolve
	var hung atomic.Bool
	inside, goOn := make(chan struct{}), make(chan struct{})
	slow.Evolve = func(row ledgerRow, id daybook.UUID, e daybook.ProjectedEvent) (ledgerRow, bool) {
		if hung.CompareAndSwap(false, true) {
			close(inside)
			<-goOn
		}
		return evolve(row, id, e)
	}
	first := make(chan error, 1)
	go func() {
		_, err := s.books[0].Rebuild(s.Context(), slow, daybook.RebuildOptions{})
		first <- err
	}()
	<-inside
	if rebuilt := s.rebuild(1, ledger, daybook.RebuildOptions{}); rebuilt.Generation != 2 { // after some seconds of silence
		s.Errorf("what was begun is taken over as %+v", rebuilt)
	}
	s.scribble(s.Context(), s.book, chance(2), newNotebooks(3), 10)
	close(goOn)
	s.refused("a rebuild that wakes up too late", <-first, daybook.ErrProjectionBusy)
	s.catchUp(1, ledger)
	s.sameGenerations("after one was taken over", "ledger", states{"kept": {1}, "live": {2}})
	sameView(s, "after one was taken over", ledger, found(s, ledger, s.book), s.all())
}

// changedDeclarations runs, and opens, what is declared otherwise.
func changedDeclarations(s *scene) {
	ids := newNotebooks(3)
	s.scribble(s.Context(), s.book, chance(1), ids, 10)
	first := newLedger("ledger", nil)
	s.catchUp(0, first)
	byCommand := newLedger("ledger", nil)
	byCommand.Version, byCommand.ByCommand = 1, true
	s.refused("running what waits for a command", s.book.CatchUp(s.Context(), byCommand), daybook.ErrProjectionChanged)
	s.sameGenerations("before a command", "ledger", states{"live": {1}})
	next := newLedger("ledger", nil)
	next.Version = 1
	evolve := next.Evolve
	next.Evolve = func(row ledgerRow, id daybook.UUID, e daybook.ProjectedEvent) (ledgerRow, bool) {
		row, drop := evolve(row, id, e)
		row.Weight = float64(row.Lines) // what the new version makes of it
		return row, drop
	}
	atOnce(2, func(i int) { s.catchUp(i, next) })
	s.sameGenerations("changed", "ledger", states{"kept": {1}, "live": {2}})
	sameView(s, "changed", next, found(s, next, s.book), s.all())
	s.refused("running an older version", s.book.CatchUp(s.Context(), first), daybook.ErrProjectionChanged)
	s.scribble(s.Context(), s.book, chance(2), ids, 5)
	inline := s.open(1, daybook.Inline{next})
	s.sameGenerations("made inline", "ledger", states{"kept": {1}, "live": {2}})
	again := newLedger("ledger", nil)
	again.Version, again.Indexes = 2, []string{"last_at"}
	var opened [2]*daybook.Book
	atOnce(2, func(i int) { opened[i] = s.open(i, daybook.Inline{again}) })
	s.sameGenerations("opened by a newer program", "ledger", states{"kept": {1, 2}, "live": {3}})
	_, err := inline.Append(s.Context(), entry(ids[0], daybook.Any(), "old"))
	s.refused("an append by the older program", err, daybook.ErrProjectionChanged)
	atOnce(2, func(i int) { s.scribble(s.Context(), opened[i], chance(3+i), ids, 5) })
	sameView(s, "by the newer program", again, found(s, again, s.book), s.all())
	byCommand.Version = 3
	waits := s.open(0, daybook.Inline{byCommand})
	_, err = waits.Append(s.Context(), entry(ids[0], daybook.Any(), "early"))
	s.refused("an append before the command", err, daybook.ErrProjectionChanged)
	if _, err := waits.Rebuild(s.Context(), byCommand, daybook.RebuildOptions{}); err != nil {
		s.Fatalf("Rebuild: %v", err)
	}
	s.scribble(s.Context(), waits, chance(5), ids, 5)
	sameView(s, "after the command", byCommand, found(s, byCommand, s.book), s.all())
}
