package daybooktest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daybook-go/daybook"
)

// Lines at which the projections of the suite fail, each in another function, as long
// as they are not healed.
const (
	poisonKeys   = "poison for Keys"
	poisonEvolve = "poison for Evolve"
	poisonRow    = "poison for the row"
	poisonHand   = "poison for Apply"
)

// ledgerRow is what a ledger knows of a notebook. It shows every event that is left out,
// doubled or out of order. A Marked removes it.
type ledgerRow struct {
	Lines        int64 `db:"lines,index"`
	Digest       string
	LastPosition int64
	LastAt       time.Time
	LastLine     *string // nil where that was a number
	Weight       float64
}

type ledgerView = daybook.View[daybook.UUID, ledgerRow]

// newLedger is a view of ledger rows. healed, where set and true, takes all lines.
func newLedger(name string, healed *atomic.Bool) *ledgerView {
	hurts := func(e daybook.ProjectedEvent, how string) bool {
		text, ok := e.Data.(noted)
		return ok && text.Text == how && (healed == nil || !healed.Load())
	}
	return &ledgerView{
		Name: name, Key: "notebook",
		Keys: func(e daybook.ProjectedEvent) []daybook.UUID {
			if hurts(e, poisonKeys) {
				panic(poisonKeys)
			}
			return daybook.PerAggregate(e)
		},
		Evolve: func(row ledgerRow, _ daybook.UUID, e daybook.ProjectedEvent) (ledgerRow, bool) {
			if hurts(e, poisonEvolve) {
				panic(poisonEvolve)
			}
			text := line(e.Data)
			digest := sha256.Sum256([]byte(row.Digest + text))
			row.Lines++
			row.Digest = hex.EncodeToString(digest[:8])
			row.LastPosition, row.LastAt, row.LastLine = e.Position, e.RecordedAt, &text
			if number, ok := e.Data.(weighed); ok {
				row.LastLine, row.Weight = nil, row.Weight+number.Fraction
			}
			if hurts(e, poisonRow) {
				row.Weight = math.NaN()
			}
			_, drop := e.Data.(marked)
			return row, drop
		},
		Aggregates: func(id daybook.UUID) []daybook.AggregateID {
			return []daybook.AggregateID{{Type: notebooks.Type, ID: id}}
		},
	}
}

// ledgerColumns are those of a ledger, as an engine keeps them.
var ledgerColumns = []daybook.Column{
	{Name: "notebook", Type: daybook.UUIDColumn}, {Name: "lines", Type: daybook.IntegerColumn}, {Name: "digest", Type: daybook.TextColumn},
	{Name: "last_position", Type: daybook.IntegerColumn}, {Name: "last_at", Type: daybook.TimeColumn},
	{Name: "last_line", Type: daybook.TextColumn, Null: true}, {Name: "weight", Type: daybook.RealColumn},
}

// ledgerOf reads a ledger as an engine keeps it.
func ledgerOf(rows [][]any) map[daybook.UUID]ledgerRow {
	out := map[daybook.UUID]ledgerRow{}
	for _, row := range rows {
		var r ledgerRow
		id, _ := row[0].(daybook.UUID)
		r.Lines, _ = row[1].(int64)
		r.Digest, _ = row[2].(string)
		r.LastPosition, _ = row[3].(int64)
		r.LastAt, _ = row[4].(time.Time)
		if text, ok := row[5].(string); ok {
			r.LastLine = &text
		}
		r.Weight, _ = row[6].(float64)
		out[id] = r
	}
	return out
}

// wordKey is a key of two columns. An event touches as many words as it has.
type wordKey struct {
	Word string
	Even bool // by the event's position
}

type wordRow struct {
	Events int64
	First  daybook.UUID
}

type wordView = daybook.View[wordKey, wordRow]

// newWords is a view with many rows an event, which go when they are three and come back.
func newWords(name string) *wordView {
	return &wordView{
		Name: name, EventTypes: []string{"Noted"}, Indexes: []string{"events, first"}, Workers: 3,
		Keys: func(e daybook.ProjectedEvent) (keys []wordKey) {
			seen := map[string]bool{}
			text, _ := e.Data.(noted)
			for word := range strings.FieldsSeq(text.Text) {
				if !seen[word] {
					keys = append(keys, wordKey{word, e.Position%2 == 0})
				}
				seen[word] = true
			}
			return keys
		},
		Evolve: func(row wordRow, _ wordKey, e daybook.ProjectedEvent) (wordRow, bool) {
			if row.Events == 0 {
				row.First = e.EventID
			}
			row.Events++
			return row, row.Events == 3
		},
	}
}

type momentView = daybook.View[time.Time, momentRow]

type momentRow struct{ Events, FirstPosition int64 }

// newMoments is a view of when something was recorded: its keys are known when it is.
func newMoments(name string) *momentView {
	return &momentView{
		Name: name, Key: "at",
		Keys: func(e daybook.ProjectedEvent) []time.Time { return []time.Time{e.RecordedAt} },
		Evolve: func(row momentRow, at time.Time, e daybook.ProjectedEvent) (momentRow, bool) {
			if !at.Equal(e.RecordedAt) {
				panic(fmt.Sprintf("a row of %v, and an event of %v", at, e.RecordedAt))
			}
			if row.Events == 0 {
				row.FirstPosition = e.Position
			}
			row.Events++
			return row, false
		},
	}
}

// handColumns are those of a hand-written projection: every event it was called for, and how
// often.
var handColumns = []daybook.Column{
	{Name: "position", Type: daybook.IntegerColumn}, {Name: "applied", Type: daybook.IntegerColumn},
	{Name: "notebook", Type: daybook.TextColumn}, {Name: "line", Type: daybook.TextColumn},
}

// handView is what readers see of a projection by hand.
func handView(book, name string) string { return fmt.Sprintf(`"%s_%s"`, book, name) }

// newByHand is a projection in SQL, of a name that nobody else has. It may be run in several
// books.
func newByHand(healed *atomic.Bool) *daybook.Projection {
	name := "h" + strings.ReplaceAll(daybook.NewUUID().String()[19:], "-", "")
	exec := func(ctx context.Context, tx daybook.Tx, statements ...string) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
	table := func(g daybook.Generation) string { return fmt.Sprintf(`"%s_%s_g%d"`, g.Book, name, g.Number) }
	return &daybook.Projection{
		Name: name,
		Setup: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
			return exec(ctx, tx, `CREATE TABLE `+table(g)+` (position BIGINT PRIMARY KEY, applied BIGINT NOT NULL, notebook TEXT NOT NULL, line TEXT NOT NULL)`)
		},
		Switch: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
			return exec(ctx, tx, `DROP VIEW IF EXISTS `+handView(g.Book, name), `CREATE VIEW `+handView(g.Book, name)+` AS SELECT * FROM `+table(g))
		},
		Drop: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
			if g.Live {
				return exec(ctx, tx, `DROP VIEW `+handView(g.Book, name), `DROP TABLE `+table(g))
			}
			return exec(ctx, tx, `DROP TABLE `+table(g))
		},
		Apply: func(ctx context.Context, tx daybook.Tx, page daybook.Page) error {
			for _, e := range page.Events {
				text := line(e.Data)
				if text == poisonHand && (healed == nil || !healed.Load()) {
					return errors.New(poisonHand)
				}
				_, err := tx.ExecContext(ctx, `INSERT INTO `+table(page.Generation)+` AS there (position, applied, notebook, line) VALUES ($1, 1, $2, $3)
ON CONFLICT (position) DO UPDATE SET applied = there.applied + 1`, e.Position, e.Aggregate.ID.String(), text)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// models are read models of one book.
type models struct {
	ledger  *ledgerView
	words   *wordView
	moments *momentView
	hand    *daybook.Projection
}

func newModels() *models {
	return &models{newLedger("ledger", nil), newWords("words"), newMoments("moments"), newByHand(nil)}
}

func (m *models) all() []daybook.Projector {
	return []daybook.Projector{m.ledger, m.words, m.moments, m.hand}
}

// open opens the book of the scene once more, through one of the handles.
func (s *scene) open(handle int, options ...daybook.OpenOption) *daybook.Book {
	s.Helper()
	book, err := daybook.Open(s.Context(), s.drivers[handle], s.book.Name(), registry, options...)
	if err != nil {
		s.Fatalf("Open with %d options: %v", len(options), err)
	}
	return book
}

// holds fails the test unless the models, which are up to date, equal the fold of all
// events, as their readers see them and as Verify does.
func (m *models) holds(s *scene, book *daybook.Book, when string) {
	s.Helper()
	records := s.all()
	sameView(s, when, m.ledger, found(s, m.ledger, book), records)
	sameView(s, when, m.words, found(s, m.words, book), records)
	sameView(s, when, m.moments, found(s, m.moments, book), records)
	s.sameByHand(when, m.hand)
	s.proved(book, daybook.VerifyOptions{Checks: []daybook.Check{checkOf(s, m.ledger, book), checkOf(s, m.words, book), checkOf(s, m.moments, book)}})
}

func checkOf[K comparable, R any](s *scene, v *daybook.View[K, R], book *daybook.Book) daybook.Check {
	s.Helper()
	check, err := v.Check(book)
	if err != nil {
		s.Fatalf("Check of %s: %v", v.Name, err)
	}
	return check
}

// found are all rows of a view, as they are now.
func found[K comparable, R any](s *scene, v *daybook.View[K, R], book *daybook.Book) map[K]R {
	s.Helper()
	rows, err := v.Find(s.Context(), book, daybook.ViewQuery{})
	if err != nil {
		s.Fatalf("Find in %s: %v", v.Name, err)
	}
	return byKey(rows)
}

func byKey[K comparable, R any](rows []daybook.ViewRow[K, R]) map[K]R {
	out := make(map[K]R, len(rows))
	for _, row := range rows {
		out[row.Key] = row.Row
	}
	return out
}

// folded is a view as its declaration has it, worked out as plainly as can be.
func folded[K comparable, R any](s *scene, v *daybook.View[K, R], records []daybook.Recorded) map[K]R {
	s.Helper()
	out := map[K]R{}
	for _, e := range s.projected(records, v.EventTypes) {
		for _, key := range v.Keys(e) {
			next, drop := v.Evolve(out[key], key, e)
			if out[key] = next; drop {
				delete(out, key)
			}
		}
	}
	return out
}

// projected are events as projections get them, of some types or, where none is named, all.
func (s *scene) projected(records []daybook.Recorded, types []string) (events []daybook.ProjectedEvent) {
	s.Helper()
	for _, rec := range records {
		if len(types) > 0 && rec.EventType != types[0] {
			continue
		}
		data, err := s.book.Decode(rec)
		if err != nil {
			s.Fatalf("Decode: %v", err)
		}
		events = append(events, daybook.ProjectedEvent{Recorded: rec, Data: data})
	}
	return events
}

// sameView fails the test unless rows are the fold of events.
func sameView[K comparable, R any](s *scene, when string, v *daybook.View[K, R], got map[K]R, records []daybook.Recorded) {
	s.Helper()
	sameRowsByKey(s, fmt.Sprintf("%s, view %s of %d events", when, v.Name, len(records)), got, folded(s, v, records))
}

func sameRowsByKey[K comparable, R any](s *scene, what string, got, want map[K]R) {
	s.Helper()
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("%s (-want +got):\n%.3000s", what, diff)
	}
}

// sameByHand fails the test unless a hand-written projection, which is up to date, was called
// once for each event, at a moment when nothing is appended.
func (s *scene) sameByHand(when string, p *daybook.Projection) {
	s.Helper()
	var got [][]any
	var records []daybook.Recorded
	err := s.driver.Transact(s.Context(), s.id, true, func(ctx context.Context, tx daybook.DriverTx) (err error) {
		if records, err = eventsIn(ctx, tx); err != nil {
			return err
		}
		got, err = rowsByHand(ctx, tx.SQL(), handView(s.book.Name(), p.Name))
		return err
	})
	if err != nil {
		s.Errorf("%s, rows of %s: %v", when, p.Name, err)
		return
	}
	var want [][]any
	for _, e := range s.projected(records, p.EventTypes) {
		want = append(want, []any{e.Position, int64(1), e.Aggregate.ID.String(), line(e.Data)})
	}
	s.sameRows(when+", "+p.Name, handColumns, got, want)
}

func rowsByHand(ctx context.Context, tx daybook.Tx, view string) (out [][]any, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT position, applied, notebook, line FROM `+view+` ORDER BY position`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var position, applied int64
		var notebook, text string
		if err := rows.Scan(&position, &applied, &notebook, &text); err != nil {
			return nil, err
		}
		out = append(out, []any{position, applied, notebook, text})
	}
	return out, rows.Err()
}

// eventsIn are all events in a snapshot or transaction.
func eventsIn(ctx context.Context, r daybook.TablesReader) (all []daybook.Recorded, err error) {
	for {
		q := daybook.Query{Limit: 1000}
		if len(all) > 0 {
			q.AfterPosition = all[len(all)-1].Position
		}
		records, err := r.Read(ctx, q)
		if all = append(all, records...); err != nil || len(records) == 0 {
			return all, err
		}
	}
}

// chance is what a writer of a check does; who tells them apart.
func chance(who int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(who), 11)) //nolint:gosec // not a secret, and to be repeated
}

var scribbles = []string{"one", "two", "one two", "three four one", "five", "two two", "Ä ä", "one 日本"}

// scribble appends n times to some of the notebooks, anything that projections take.
func (s *scene) scribble(ctx context.Context, book *daybook.Book, r *rand.Rand, ids []daybook.AggregateID, n int) {
	s.Helper()
	for range n {
		entries := map[daybook.AggregateID]daybook.Entry{}
		for range 1 + r.IntN(2) {
			id := ids[r.IntN(len(ids))]
			e := daybook.Entry{Aggregate: id, Expected: daybook.Any()}
			for range 1 + r.IntN(3) {
				event := daybook.Event{Data: noted{scribbles[r.IntN(len(scribbles))]}}
				switch r.IntN(10) {
				case 0:
					event.Data = marked{}
				case 1, 2:
					event.Data = weighed{Whole: r.Int64N(100), Fraction: r.Float64()}
				case 3:
					event.OccurredAt = time.Date(2020, 1, 1+r.IntN(1000), 0, 0, 0, 0, time.UTC)
				}
				e.Events = append(e.Events, event)
			}
			entries[id] = e
		}
		if _, err := book.Append(ctx, values(entries)...); err != nil {
			if ctx.Err() == nil {
				s.Errorf("Append: %v", err)
			}
			return
		}
	}
}

func values[K comparable, V any](m map[K]V) (out []V) {
	for v := range maps.Values(m) {
		out = append(out, v)
	}
	return out
}

func newNotebooks(n int) (ids []daybook.AggregateID) {
	for range n {
		ids = append(ids, newAggregate())
	}
	return ids
}
