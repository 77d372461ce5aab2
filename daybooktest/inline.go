package daybooktest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/daybook-go/daybook"
)

// readModel is two tables that are written together with the events: a row for each
// notebook, that shows every event left out, doubled or out of order, and one for the
// whole book, that all appends write to. A Marked removes the row of its notebook.
type readModel struct {
	notebooks, totals daybook.Table

	mu             sync.Mutex
	folded         []daybook.Recorded // what Fold was called with
	folds, applies int
	said           *daybook.UUID          // by Before, since the last Fold
	before         map[int64]daybook.UUID // what Before said, by the position that came next
}

func newReadModel(s *scene) *readModel {
	s.Helper()
	m := &readModel{
		before: map[int64]daybook.UUID{},
		notebooks: daybook.Table{Name: newName("t"), Key: 1, Columns: []daybook.Column{
			{Name: "id", Type: daybook.UUIDColumn}, {Name: "lines", Type: daybook.IntegerColumn},
			{Name: "digest", Type: daybook.TextColumn}, {Name: "last_at", Type: daybook.TimeColumn},
		}},
		totals: counters(),
	}
	s.create(m.notebooks, m.totals)
	return m
}

// bookRow is the key of the one row of totals.
const bookRow = "book"

// inline is the model as it goes with an append.
func (m *readModel) inline() daybook.InlineWork {
	return daybook.InlineWork{
		Keys: func(rows []daybook.Recorded) ([]daybook.TableKeys, error) {
			keys := daybook.TableKeys{Table: m.notebooks}
			for id := range idsOf(rows) {
				keys.Keys = append(keys.Keys, []any{id})
			}
			return []daybook.TableKeys{keys, {Table: m.totals, Keys: [][]any{{bookRow}}}}, nil
		},
		Before: func(event daybook.UUID) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.said = &event
		},
		Fold: func(rows []daybook.Recorded, loaded [][][]any) ([]daybook.TableRows, error) {
			m.mu.Lock()
			if m.said != nil {
				m.before[rows[0].Position], m.said = *m.said, nil
			}
			m.folds++
			m.folded = append(m.folded, rows...)
			m.mu.Unlock()
			if len(loaded) != 2 || len(loaded[1]) > 1 {
				return nil, fmt.Errorf("%d tables are loaded, want 2: %v", len(loaded), loaded)
			}
			model, ids := map[daybook.UUID][]any{}, idsOf(rows)
			for _, row := range loaded[0] {
				if !ids[row[0].(daybook.UUID)] {
					return nil, fmt.Errorf("the row %v was not asked for", row)
				}
				model[row[0].(daybook.UUID)] = row
			}
			foldInto(model, rows)
			out, total := daybook.TableRows{Table: m.notebooks, Rows: slices.Collect(maps.Values(model))}, []any{bookRow, int64(0)}
			for id := range ids {
				if model[id] == nil {
					out.Dropped = append(out.Dropped, []any{id})
				}
			}
			if len(loaded[1]) > 0 {
				total = loaded[1][0]
			}
			return []daybook.TableRows{out, {Table: m.totals, Rows: [][]any{{bookRow, total[1].(int64) + int64(len(rows))}}}}, nil
		},
	}
}

// applying is inline with hand-written SQL behind it, which counts its calls.
func (m *readModel) applying(apply func(ctx context.Context, tx daybook.Tx, rows []daybook.Recorded) error) daybook.InlineWork {
	inline := m.inline()
	inline.Apply = func(ctx context.Context, tx daybook.Tx, rows []daybook.Recorded) error {
		m.applies++
		return apply(ctx, tx, rows)
	}
	return inline
}

func idsOf(rows []daybook.Recorded) map[daybook.UUID]bool {
	ids := map[daybook.UUID]bool{}
	for _, rec := range rows {
		ids[rec.Aggregate.ID] = true
	}
	return ids
}

// foldInto is what the rows of the notebooks come to with some more events.
func foldInto(model map[daybook.UUID][]any, rows []daybook.Recorded) {
	for _, rec := range rows {
		id := rec.Aggregate.ID
		if rec.EventType == "Marked" {
			delete(model, id)
			continue
		}
		row := model[id]
		if row == nil {
			row = []any{id, int64(0), "", nil}
		}
		payload, _ := daybook.CanonicalJSON(rec.Payload) // engines may keep it in another form
		digest := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %s", row[2], rec.Position, rec.SequenceNumber, payload))
		model[id] = []any{id, row[1].(int64) + 1, hex.EncodeToString(digest[:6]), rec.RecordedAt}
	}
}

// holds fails the test unless the model is the fold of the events that r shows.
func (m *readModel) holds(s *scene, when string, r daybook.TablesReader) daybook.BookState {
	s.Helper()
	ctx := s.Context()
	all := func(t daybook.Table) [][]any {
		rows, err := r.SelectRows(ctx, daybook.RowQuery{Table: t.Name, Columns: t.Columns, Order: keyNames(t)})
		if err != nil {
			s.Fatalf("%s: SelectRows: %v", when, err)
		}
		return rows
	}
	rows, totals := all(m.notebooks), all(m.totals)
	records, err := r.Read(ctx, daybook.Query{Limit: 10_000})
	if err != nil {
		s.Fatalf("%s: Read: %v", when, err)
	}
	state, err := r.State(ctx)
	if err != nil {
		s.Fatalf("%s: State: %v", when, err)
	}
	model := map[daybook.UUID][]any{}
	foldInto(model, records)
	s.sameRows("I10: "+when+", the notebooks", m.notebooks.Columns, rows, ordered(m.notebooks, slices.Collect(maps.Values(model))))
	var total [][]any
	if n := len(records); n > 0 {
		total = [][]any{{bookRow, int64(n)}}
	}
	s.sameRows("I10: "+when+", the whole book", m.totals.Columns, totals, total)
	if state.Position != int64(len(records)) {
		s.Errorf("%s: the head is at %d, and there are %d events", when, state.Position, len(records))
	}
	return state
}

// holdsNow is holds of what there is now.
func (m *readModel) holdsNow(s *scene, when string) {
	s.Helper()
	pin := s.pin(1)
	defer s.unpin(pin)
	m.holds(s, when, pin)
	m.toldBefore(s, when, pin)
}

// toldBefore fails the test unless Before was told the right event, wherever it was called.
func (m *readModel) toldBefore(s *scene, when string, r daybook.TablesReader) {
	s.Helper()
	records, err := r.Read(s.Context(), daybook.Query{Limit: 10_000})
	if err != nil {
		s.Fatalf("%s: Read: %v", when, err)
	}
	at := map[int64]daybook.UUID{}
	for _, rec := range records {
		at[rec.Position] = rec.EventID
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for position, event := range m.before {
		if event != at[position-1] {
			s.Errorf("I10: %s: before position %d is event %s, and Before was told %s", when, position, at[position-1], event)
		}
	}
}

// rawMark is a Marked as an engine gets it.
func rawMark() daybook.Recorded {
	return daybook.Recorded{EventID: daybook.NewUUID(), EventType: "Marked", SchemaVersion: 1, Payload: []byte(`{}`)}
}

// inlineSnapshots looks at the model in pins while eight writers append, with
// expectations from which an engine can tell where an append goes and without.
func inlineSnapshots(s *scene) {
	m := newReadModel(s)
	var ids [4]daybook.AggregateID
	for i := range ids {
		ids[i] = newAggregate()
	}
	inline := m.inline()
	done := make(chan struct{})
	var pins sync.WaitGroup
	for handle := range 2 {
		pins.Go(func() {
			last := int64(0)
			for ended := false; !ended; {
				select {
				case <-done:
					ended = true
				default:
				}
				pin := s.pin(handle)
				state := m.holds(s, "while others append", pin)
				s.unpin(pin)
				if state.Position < last {
					s.Errorf("a pin at %d after one at %d", state.Position, last)
				}
				last = state.Position
			}
		})
	}
	atOnce(8, func(writer int) {
		for i := range times(20) {
			var batch []daybook.Append
			for j := range 1 + (i+writer)%3 {
				id := ids[(writer+i+j)%len(ids)]
				switch (writer + i) % 4 {
				case 0:
					batch = append(batch, raw(id, daybook.Any(), rawEvent(fmt.Sprint(writer, i, j)), rawEvent("and another")))
				case 1:
					batch = append(batch, raw(newAggregate(), daybook.NoEvents(), rawEvent(fmt.Sprint(writer, i, j))))
				case 2:
					records, err := s.driver.Read(s.Context(), s.id, daybook.Query{Aggregate: id, Reverse: true, Limit: 1}, nil)
					if err != nil || len(records) == 0 {
						continue
					}
					batch = append(batch, raw(id, daybook.Exactly(records[0].SequenceNumber), rawEvent(fmt.Sprint(writer, i, j))))
				default:
					batch = append(batch, raw(id, daybook.Any(), rawMark()))
				}
			}
			if len(batch) == 0 {
				continue
			}
			if _, err := s.drivers[writer%2].Append(s.Context(), s.id, batch, inline); err != nil {
				s.Errorf("writer %d: %v", writer, err)
				return
			}
		}
	})
	close(done)
	pins.Wait()
	m.holdsNow(s, "in the end")
}

// inlineErrors lets each function fail.
func inlineErrors(s *scene) {
	m := newReadModel(s)
	id := newAggregate()
	if _, err := s.driver.Append(s.Context(), s.id, []daybook.Append{raw(id, daybook.NoEvents(), rawEvent("first"))}, m.inline()); err != nil {
		s.Fatalf("Append: %v", err)
	}
	faults := map[string]func(*daybook.InlineWork){
		"Keys": func(w *daybook.InlineWork) {
			w.Keys = func([]daybook.Recorded) ([]daybook.TableKeys, error) { return nil, errMine }
		},
		"Fold": func(w *daybook.InlineWork) {
			w.Fold = func([]daybook.Recorded, [][][]any) ([]daybook.TableRows, error) { return nil, errMine }
		},
		"Apply": func(w *daybook.InlineWork) {
			w.Apply = func(context.Context, daybook.Tx, []daybook.Recorded) error { return errMine }
		},
		"Apply, after it has written,": func(w *daybook.InlineWork) {
			w.Apply = func(ctx context.Context, tx daybook.Tx, _ []daybook.Recorded) error {
				_, err := tx.ExecContext(ctx, `UPDATE `+m.totals.Name+` SET n = n + $1`, 1000)
				return errors.Join(err, errMine)
			}
		},
	}
	number := int64(1)
	for place, fault := range faults {
		for _, exactly := range []bool{false, true} {
			expected := daybook.Any()
			if exactly {
				expected = daybook.Exactly(number)
			}
			unchanged := s.unchanged()
			a := raw(id, expected, rawEvent(place))
			inline := m.inline()
			fault(&inline)
			if out, err := s.driver.Append(s.Context(), s.id, []daybook.Append{raw(newAggregate(), daybook.NoEvents(), rawEvent("of the same batch")), a}, inline); !errors.Is(err, errMine) {
				s.Errorf("an error of %s, expecting %s: %+v, %v", place, expected, out, err)
			}
			unchanged("an error of " + place)
			m.holdsNow(s, "after an error of "+place)
			out, err := s.drivers[1].Append(s.Context(), s.id, []daybook.Append{a}, m.inline())
			if err != nil || out[0].Err != nil || out[0].Duplicate {
				s.Errorf("the same append without the error of %s: %+v, %v", place, out, err)
			}
			number++
		}
	}
	m.holdsNow(s, "in the end")
}

// inlineSeesWhatIsNew appends duplicates and conflicts, alone and in company.
func inlineSeesWhatIsNew(s *scene) {
	m := newReadModel(s)
	inline := m.applying(func(context.Context, daybook.Tx, []daybook.Recorded) error { return nil })
	id, other := newAggregate(), newAggregate()
	first := raw(id, daybook.NoEvents(), rawEvent("1"), rawEvent("2"))
	for what, c := range []struct {
		batch []daybook.Append
		new   int
	}{
		{[]daybook.Append{first}, 2},
		{[]daybook.Append{first}, 0},
		{[]daybook.Append{raw(id, daybook.NoEvents(), rawEvent("too late"))}, 0},
		{[]daybook.Append{first, raw(id, daybook.Exactly(2), rawEvent("3")), raw(id, daybook.Exactly(2), rawEvent("refused")), raw(other, daybook.Any(), rawEvent("4"), rawEvent("5")), first}, 3},
		{[]daybook.Append{raw(other, daybook.Exactly(7), rawEvent("refused")), raw(id, daybook.Exactly(3), rawMark())}, 1},
		{[]daybook.Append{raw(id, daybook.Any(), rawEvent("again")), {Entries: []daybook.EncodedEntry{{Aggregate: other, Expected: daybook.Exactly(2)}, {Aggregate: id, Expected: daybook.Exactly(5), Events: []daybook.Recorded{rawEvent("guarded")}}}}}, 2},
		{nil, 0},
	} {
		m.folded, m.folds, m.applies = nil, 0, 0
		out, err := s.driver.Append(s.Context(), s.id, c.batch, inline)
		if err != nil {
			s.Fatalf("batch %d: %v", what, err)
		}
		var recorded []daybook.Recorded
		for _, o := range out {
			if !o.Duplicate {
				recorded = append(recorded, o.Records...)
			}
		}
		if len(recorded) != c.new {
			s.Errorf("batch %d has written %d events, want %d: %+v", what, len(recorded), c.new, out)
		}
		if calls := min(1, c.new); m.folds != calls || m.applies != calls {
			s.Errorf("batch %d has called Fold %d times and Apply %d times, want %d: %d events are new", what, m.folds, m.applies, calls, c.new)
		}
		s.same(fmt.Sprintf("what Fold has got of batch %d", what), m.folded, recorded)
		m.holdsNow(s, fmt.Sprintf("after batch %d", what))
	}
}

// inlineRevisions appends for other inline projections than those of the book.
func inlineRevisions(s *scene) {
	m := newReadModel(s)
	id := newAggregate()
	place := func(revision int64, batch ...daybook.Append) error {
		inline := m.inline()
		inline.Revision = revision
		_, err := s.driver.Append(s.Context(), s.id, batch, inline)
		return err
	}
	at := int64(0)
	original := raw(id, daybook.Any(), rawEvent("recorded before"))
	if err := place(0, original); err != nil {
		s.Fatalf("appending: %v", err)
	}
	at++
	for number, revision := range []int64{0, 1, 7} {
		if revision != 0 {
			s.setInline(revision)
		}
		if got := s.state().Inline; got != revision {
			s.Errorf("the revision of the inline projections is %d, want %d", got, revision)
		}
		unchanged := s.unchanged()
		for _, wrong := range []int64{revision - 1, revision + 1, 0} {
			if wrong == revision {
				continue
			}
			for what, batch := range map[string][]daybook.Append{
				"an append whose place can be told":      {raw(id, daybook.Exactly(at), rawEvent("x"))},
				"an append to a new aggregate":           {raw(newAggregate(), daybook.NoEvents(), rawEvent("x"))},
				"an append that expects anything":        {raw(id, daybook.Any(), rawEvent("x"))},
				"an append that is there already":        {original},
				"one that is there, and one that is new": {original, raw(id, daybook.Any(), rawEvent("x"))},
				"a batch":                                {raw(id, daybook.Exactly(at), rawEvent("x")), raw(newAggregate(), daybook.Any(), rawEvent("y"), rawEvent("z"))},
				"an append of two that is refused, too":  {raw(id, daybook.Exactly(at+9), rawEvent("x")), raw(id, daybook.Any(), rawEvent("y"))},
			} {
				if err := place(wrong, batch...); !errors.Is(err, daybook.ErrInlineChanged) {
					s.Errorf("%s for revision %d of the inline projections, which are at %d: %v", what, wrong, revision, err)
				}
				if _, err := s.drivers[1].Append(s.Context(), s.id, batch, daybook.InlineWork{Revision: wrong}); !errors.Is(err, daybook.ErrInlineChanged) {
					s.Errorf("%s for revision %d and without work, at %d: %v", what, wrong, revision, err)
				}
			}
		}
		unchanged(fmt.Sprintf("appends for others than revision %d", revision))
		m.holdsNow(s, "after all that was refused")
		if err := place(revision, raw(id, daybook.Exactly(at), rawEvent(fmt.Sprint(number))), raw(id, daybook.Any(), rawEvent("and more"))); err != nil {
			s.Errorf("appending for revision %d: %v", revision, err)
		}
		at += 2
		m.holdsNow(s, fmt.Sprintf("at revision %d", revision))
	}
	revisionsGoUp(s)
	err := s.driver.Transact(s.Context(), s.id, true, func(ctx context.Context, tx daybook.DriverTx) error {
		if err := tx.SetInline(ctx, 8); err != nil {
			return err
		}
		if state, err := tx.State(ctx); err != nil || state.Inline != 8 {
			s.Errorf("the state after SetInline is %+v, %v", state, err)
		}
		return errMine
	})
	s.refused("a transaction that fails", err, errMine)
	if got := s.state().Inline; got != 7 {
		s.Errorf("after a transaction that has failed the revision is %d, want 7", got)
	}
}

// revisionsGoUp moves the revision of the inline projections, which is 7, in ways that are
// none.
func revisionsGoUp(s *scene) {
	s.Helper()
	for what, c := range map[string]struct {
		lockHead bool
		revision int64
	}{"without the lock of the head": {false, 8}, "to the revision that there is": {true, 7}, "down": {true, 6}} {
		if err := s.driver.Transact(s.Context(), s.id, c.lockHead, func(ctx context.Context, tx daybook.DriverTx) error { return tx.SetInline(ctx, c.revision) }); err == nil {
			s.Errorf("SetInline %s works", what)
		}
		if got := s.state().Inline; got != 7 {
			s.Errorf("after SetInline %s the revision is %d, want 7", what, got)
		}
	}
}

// inlineByHand runs hand-written SQL behind Fold, and by itself.
func inlineByHand(s *scene) {
	m, log := newReadModel(s), counters()
	s.create(log)
	id := newAggregate()
	note := func(ctx context.Context, tx daybook.Tx, rows []daybook.Recorded) error {
		for _, rec := range rows {
			if _, err := tx.ExecContext(ctx, `INSERT INTO `+log.Name+` (name, n) VALUES ($1, $2)`, rec.EventID.String(), rec.Position); err != nil {
				return err
			}
		}
		return nil
	}
	var totals []int64
	inline := m.applying(func(ctx context.Context, tx daybook.Tx, rows []daybook.Recorded) error {
		var n int64
		if err := tx.QueryRowContext(ctx, `SELECT n FROM `+m.totals.Name+` WHERE name = $1`, bookRow).Scan(&n); err != nil {
			return fmt.Errorf("the row that Fold has written: %w", err)
		}
		totals = append(totals, n)
		return note(ctx, tx, rows)
	})
	var want [][]any
	for i, expected := range []daybook.Expected{daybook.NoEvents(), daybook.Any(), daybook.Exactly(4)} {
		work := inline
		if i == 1 {
			work.Keys, work.Fold, work.Apply = nil, nil, note
		}
		out, err := s.driver.Append(s.Context(), s.id, []daybook.Append{raw(id, expected, rawEvent("1"), rawEvent("2"))}, work)
		if err != nil || out[0].Err != nil {
			s.Fatalf("append %d: %+v, %v", i, out, err)
		}
		for _, rec := range out[0].Records {
			want = append(want, []any{rec.EventID.String(), rec.Position})
		}
	}
	if !slices.Equal(totals, []int64{2, 4}) { // the one between had no Fold
		s.Errorf("hand-written SQL has seen the totals %v, want 2 and 4: what Fold wrote just before", totals)
	}
	s.sameRows("what hand-written SQL has noted", log.Columns, s.whole(log), ordered(log, want))
}
