package daybooktest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// pastViews asks for views at every position and at times, with copies and without.
func pastViews(s *scene) {
	ids := newNotebooks(4)
	ledger, copied, words := newLedger("ledger", nil), newLedger("copied", nil), newWords("words")
	copied.CopyEvery = 7
	book := s.open(0, daybook.Inline{words})
	for n := range 16 { // under -short too: fewer make no copies
		s.scribble(s.Context(), book, chance(600+n), ids, 2)
		if n%3 == 0 {
			s.catchUp(n%2, copied) // which makes its copies on the way
		}
		if n == 5 {
			s.catchUp(0, ledger)
		}
		if n%5 == 4 {
			if _, err := book.CopyView(s.Context(), words); err != nil {
				s.Errorf("CopyView of what is inline: %v", err)
			}
		}
	}
	records := s.all()
	for position := range int64(len(records) + 1) {
		point, prefix := daybook.AtPosition(position), records[:position]
		samePast(s, ledger, book, point, prefix, position)
		samePast(s, copied, book, point, prefix, position)
		samePast(s, words, s.books[1], point, prefix, position)
		if position == 0 {
			continue
		}
		at := records[position-1].RecordedAt
		recorded := slices.DeleteFunc(slices.Clone(records), func(rec daybook.Recorded) bool { return rec.RecordedAt.After(at) })
		samePast(s, copied, book, daybook.AsOf(at), recorded, int64(len(recorded)))
		before := slices.DeleteFunc(slices.Clone(records), func(rec daybook.Recorded) bool { return !rec.RecordedAt.Before(at) })
		samePast(s, words, book, daybook.AsOf(at.Add(-time.Microsecond)), before, int64(len(before)))
		for key, want := range folded(s, ledger, prefix) {
			got, there, err := ledger.GetAt(s.Context(), book, key, point)
			if err != nil || !there || got.Digest != want.Digest {
				s.Errorf("GetAt(%v) of %s: %+v, %v, %v, want %+v", point, key, got, there, err, want)
			}
		}
	}
	for _, occurred := range []time.Time{time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2021, 6, 1, 0, 0, 0, 0, time.UTC), records[len(records)/2].RecordedAt} {
		for _, position := range []int64{1, int64(len(records) / 2), int64(len(records))} {
			want := slices.DeleteFunc(slices.Clone(records[:position]), func(rec daybook.Recorded) bool { return rec.OccurredAt.After(occurred) })
			samePast(s, copied, book, daybook.AtPosition(position).OccurredBy(occurred), want, position)
			samePast(s, words, book, daybook.AtPosition(position).OccurredBy(occurred), want, position)
		}
	}
	_, err := ledger.At(s.Context(), book, daybook.AtPosition(int64(len(records))+1))
	s.refused("a view beyond the end", err, daybook.ErrNotThere)
	_, err = ledger.At(s.Context(), book, daybook.AtSequence(1))
	s.refused("a view at a sequence number", err, daybook.ErrInvalid)
	future, err := ledger.At(s.Context(), book, daybook.AsOf(now().Add(time.Hour)))
	if err != nil || !future.Future || future.Position != int64(len(records)) {
		s.Errorf("a view in the future: %+v, %v, want it to be that of now, and to say so", future, err)
	}
	if n := len(s.generationsOf("copied")[daybook.GenerationCopied]); n < 2 {
		s.Errorf("there are %d copies of one in which they are to be made", n)
	}
}

// samePast fails the test unless a view at a point is the fold of events, in the order of its
// keys.
func samePast[K comparable, R any](s *scene, v *daybook.View[K, R], book *daybook.Book, point daybook.Point, records []daybook.Recorded, position int64) {
	s.Helper()
	past, err := v.At(s.Context(), book, point)
	if err != nil {
		s.Errorf("%s at %v: %v", v.Name, point, err)
		return
	}
	sameView(s, fmt.Sprintf("at %v, from %d", point, past.From), v, byKey(past.Rows), records)
	if past.Position != position || past.From > position || past.Future {
		s.Errorf("%s at %v is at %d, from %d, in the future: %v; want it at %d", v.Name, point, past.Position, past.From, past.Future, position)
	}
}

// ownWrites reads what it has just written, behind and inline, while others write.
func ownWrites(s *scene) {
	ledger := newLedger("ledger", nil)
	s.catchUp(0, ledger)
	s.refused("waiting for what is not there", s.book.WaitFor(s.Context(), "nothing", 1), daybook.ErrInvalid)
	stop := s.during(s.books[0], ledger)
	defer stop()
	atOnce(6, func(i int) {
		book, id := s.books[i%2], newAggregate()
		for n := range times(12) {
			records, err := book.Append(s.Context(), entry(id, daybook.Any(), fmt.Sprint(n)))
			if err != nil {
				s.Errorf("Append: %v", err)
				return
			}
			if err := book.WaitFor(s.Context(), "ledger", records[0].Position); err != nil {
				s.Errorf("WaitFor: %v", err)
				return
			}
			row, there, err := ledger.Get(s.Context(), book, id.ID)
			if err != nil || !there || row.Lines != int64(n+1) {
				s.Errorf("after waiting for line %d the row is %+v, %v, %v", n+1, row, there, err)
			}
		}
	})
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Millisecond)
	defer cancel()
	s.refused("waiting for what nobody appends", s.book.WaitFor(ctx, "ledger", s.head().Position+1), context.DeadlineExceeded)
}

// waitsForTheFirst waits for a projection while its first generation is being made.
func waitsForTheFirst(s *scene) {
	s.append(entry(newAggregate(), daybook.Any(), "first"))
	hand := newByHand(nil)
	entered, wake := make(chan struct{}), make(chan struct{})
	var once sync.Once
	setup := hand.Setup
	hand.Setup = func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
		once.Do(func() {
			close(entered)
			<-wake
		})
		return setup(ctx, tx, g)
	}
	stop := s.during(s.books[0], hand)
	defer stop()
	<-entered
	s.refused("waiting for what only another one runs", s.books[1].WaitFor(s.Context(), hand.Name, 1), daybook.ErrInvalid)
	s.refused("waiting for another one than that which runs", s.books[0].WaitFor(s.Context(), "nothing", 1), daybook.ErrInvalid)
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Millisecond)
	defer cancel()
	s.refused("waiting for what is being made", s.books[0].WaitFor(ctx, hand.Name, 1), context.DeadlineExceeded)
	close(wake)
	if err := s.books[0].WaitFor(s.Context(), hand.Name, 1); err != nil {
		s.Errorf("WaitFor: %v", err)
	}
	s.sameByHand("after waiting", hand)
}

// colour is a type with a text form of its own.
type colour struct{ name string }

func (c colour) MarshalText() ([]byte, error) { return []byte("colour " + c.name), nil }

func (c *colour) UnmarshalText(text []byte) error {
	c.name = strings.TrimPrefix(string(text), "colour ")
	return nil
}

// mixedKey and mixedRow have a field of every kind that a view keeps.
type mixedKey struct {
	Name  string       `db:"key_name"`
	Whole int32        `db:"key_whole"`
	Flag  bool         `db:"key_flag"`
	ID    daybook.UUID `db:"key_id"`
	At    time.Time    `db:"key_at"`
}

type mixedRow struct {
	Text    string
	Whole   int64 `db:"number,index"`
	Small   uint8
	Real    float64
	Single  float32
	Flag    bool
	ID      daybook.UUID
	At      time.Time
	Colour  colour
	MayText *string
	MayAt   *time.Time
	MayReal *float64
	List    []string
	Tags    map[string]int64
	hidden  int `db:"-"` //nolint:unused // it is what the tag is for
}

// change is what becomes of one row by an event.
type change struct {
	key  mixedKey
	row  mixedRow
	drop bool
}

func drawKey(t *rapid.T) mixedKey {
	return mixedKey{
		Name: rapid.SampledFrom([]string{"", "a", "A", "ä", "日本"}).Draw(t, "name"), Whole: rapid.SampledFrom([]int32{-1, math.MaxInt32}).Draw(t, "whole"),
		Flag: rapid.Bool().Draw(t, "flag"), ID: daybook.UUID{15: rapid.Byte().Draw(t, "id")%2 + 1}, At: time.Date(2026, 1, 1, 0, 0, rapid.IntRange(0, 1).Draw(t, "at"), 1000, time.UTC),
	}
}

func drawRow(t *rapid.T) mixedRow {
	text := rapid.SampledFrom(texts)
	at := rapid.Int64Range(0, 4e15)
	row := mixedRow{
		Text: text.Draw(t, "text"), Whole: rapid.Int64().Draw(t, "number"), Small: rapid.Uint8().Draw(t, "small"),
		Real: rapid.Float64Range(-1e300, 1e300).Draw(t, "real") + 0, Single: float32(rapid.IntRange(-1000, 1000).Draw(t, "single")) / 7, Flag: rapid.Bool().Draw(t, "flag"),
		ID: daybook.UUID{15: 1}.Derive(text.Draw(t, "id")), At: time.UnixMicro(at.Draw(t, "at")).UTC(), Colour: colour{text.Draw(t, "colour")},
		List: []string{}, Tags: map[string]int64{},
	}
	if rapid.Bool().Draw(t, "null") {
		may, mayAt, mayReal := text.Draw(t, "may"), time.UnixMicro(at.Draw(t, "at")).UTC(), rapid.Float64Range(-1, 1).Draw(t, "real")+0
		row.MayText, row.MayAt, row.MayReal = &may, &mayAt, &mayReal
	}
	for range rapid.IntRange(0, 3).Draw(t, "tags") {
		row.List = append(row.List, text.Draw(t, "item"))
		row.Tags[text.Draw(t, "tag")] = rapid.Int64Range(-1<<53+1, 1<<53-1).Draw(t, "value")
	}
	return row
}

// drawChanges draws what an event does, to each row once.
func drawChanges(t *rapid.T) (changes []change) {
	seen := map[mixedKey]bool{}
	for range rapid.IntRange(0, 5).Draw(t, "keys") {
		c := change{key: drawKey(t), row: drawRow(t), drop: rapid.IntRange(0, 3).Draw(t, "drop") == 0}
		if !seen[c.key] {
			changes, seen[c.key] = append(changes, c), true
		}
	}
	return changes
}

// rowsOfAnyKind lets random events write, drop and write again rows of a view that has a
// column of every kind, inline and behind, and compares them with a map.
func rowsOfAnyKind(s *scene) {
	rapid.Check(s, func(t *rapid.T) {
		r := s.again(t)
		var mu sync.Mutex
		changes := map[string][]change{} // by what events say
		newView := func(name string) *daybook.View[mixedKey, mixedRow] {
			return &daybook.View[mixedKey, mixedRow]{
				Name: name, CopyEvery: 4, Indexes: []string{"small, flag"},
				Keys: func(e daybook.ProjectedEvent) (keys []mixedKey) {
					mu.Lock()
					defer mu.Unlock()
					for _, c := range changes[line(e.Data)] {
						keys = append(keys, c.key)
					}
					return keys
				},
				Evolve: func(row mixedRow, key mixedKey, e daybook.ProjectedEvent) (mixedRow, bool) {
					mu.Lock()
					defer mu.Unlock()
					for _, c := range changes[line(e.Data)] {
						if c.key == key {
							next := c.row
							next.Whole += row.Whole // it depends on the row before
							return next, c.drop
						}
					}
					return row, false
				},
			}
		}
		inline, behind := newView("rows_inline"), newView("rows_behind")
		book := r.open(0, daybook.Inline{inline})
		id := newAggregate()
		model, history := map[mixedKey]mixedRow{}, []map[mixedKey]mixedRow{{}}
		for n := range rapid.IntRange(1, 8).Draw(t, "events") {
			text := fmt.Sprint("event ", n)
			for _, c := range drawChanges(t) {
				mu.Lock()
				changes[text] = append(changes[text], c)
				mu.Unlock()
				next := c.row
				next.Whole += model[c.key].Whole
				if model[c.key] = next; c.drop {
					delete(model, c.key)
				}
			}
			history = append(history, maps.Clone(model))
			if _, err := book.Append(r.Context(), entry(id, daybook.Any(), text)); err != nil {
				r.Fatalf("Append: %v", err)
			}
			if rapid.IntRange(0, 3).Draw(t, "catch up") == 0 {
				r.catchUp(n%2, behind)
			}
		}
		r.catchUp(0, behind)
		sameMixed(r, "inline", inline, model)
		sameMixed(r, "behind", behind, model)
		at := rapid.IntRange(0, len(history)-1).Draw(t, "position")
		past, err := behind.At(r.Context(), r.book, daybook.AtPosition(int64(at)))
		if err != nil {
			r.Fatalf("At: %v", err)
		}
		sameMixedRows(r, "in the past", byKey(past.Rows), history[at])
		if rapid.IntRange(0, 7).Draw(t, "rebuild") == 0 {
			r.rebuild(1, inline, daybook.RebuildOptions{})
			sameMixed(r, "rebuilt", inline, model)
		}
	})
}

func sameMixedRows(s *scene, what string, got, want map[mixedKey]mixedRow) {
	s.Helper()
	plainly := func(rows map[mixedKey]mixedRow) map[mixedKey]string {
		out := map[mixedKey]string{}
		for key, row := range rows {
			text := fmt.Sprintf("%q %d %d %v %v %t %s %s %q %q %v", row.Text, row.Whole, row.Small, row.Real, row.Single, row.Flag, row.ID, row.At, row.Colour.name, row.List, row.Tags)
			if row.MayText != nil {
				text += fmt.Sprintf(" %q %s %v", *row.MayText, *row.MayAt, *row.MayReal)
			}
			out[key] = text
		}
		return out
	}
	sameRowsByKey(s, what, plainly(got), plainly(want))
}

// sameMixed compares all rows, in pages, and each by itself, with a map.
func sameMixed(s *scene, what string, v *daybook.View[mixedKey, mixedRow], want map[mixedKey]mixedRow) {
	s.Helper()
	q := daybook.ViewQuery{Order: []string{"small"}, Limit: 2, Where: []daybook.Condition{{Column: "small", Op: daybook.GreaterOrEqual, Value: uint8(0)}}}
	page, err := v.Find(s.Context(), s.books[1], q)
	all := page
	for err == nil && len(page) == q.Limit {
		page, err = v.After(s.Context(), s.books[1], q, page[len(page)-1])
		all = append(all, page...)
	}
	if err != nil {
		s.Fatalf("%s, a page: %v", what, err)
	}
	if !slices.IsSortedFunc(all, func(a, b daybook.ViewRow[mixedKey, mixedRow]) int { return cmp.Compare(a.Row.Small, b.Row.Small) }) || len(all) != len(want) {
		s.Errorf("%s, pages hold %d rows, in order or not, want %d in order", what, len(all), len(want))
	}
	sameMixedRows(s, what+", in pages", byKey(all), want)
	one := map[mixedKey]mixedRow{}
	for key := range want {
		row, there, err := v.Get(s.Context(), s.books[1], key)
		if err != nil || !there {
			s.Errorf("%s, the row of %+v: %v, %v", what, key, there, err)
		}
		one[key] = row
	}
	sameMixedRows(s, what+", one by one", one, want)
	if _, there, err := v.Get(s.Context(), s.books[1], mixedKey{Name: "nobody's", At: time.Unix(0, 0).UTC()}); there || err != nil {
		s.Errorf("%s, a row that was never there: %v, %v", what, there, err)
	}
}
