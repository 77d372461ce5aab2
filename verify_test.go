package daybook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// countersFile is a file with a book of so many counters, each with a few events, in
// no order, whose events may be changed by way of tamper.
func countersFile(t *testing.T, number, events int) (book *daybook.Book, tamper func(statement string)) {
	t.Helper()
	path := newFile(t)
	book, err := daybook.Open(t.Context(), openFile(t, path), "main", fragileEvents)
	if err != nil {
		t.Fatal(err)
	}
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: the same chance every time is wanted
	for left := events; left > 0; {
		entries := map[int]daybook.Entry{} // some in one append where there are many: a commit takes its time
		for range min(left, max(1, events/100)) {
			i := chance.IntN(number)
			e := entries[i]
			e.Aggregate, e.Expected = counterAfter(i), daybook.Any()
			e.Events = append(e.Events, daybook.Event{Data: added{1 + chance.IntN(9)}})
			entries[i] = e
			left--
		}
		var together []daybook.Entry
		for _, i := range slices.Sorted(maps.Keys(entries)) {
			together = append(together, entries[i])
		}
		if _, err := book.Append(t.Context(), together...); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tamper = func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	tamper("DROP TRIGGER events_never_updated")
	tamper("DROP TRIGGER events_never_deleted")
	return book, tamper
}

// counterAfter is counter i+1.
func counterAfter(i int) daybook.AggregateID {
	return counter(byte(1 + i)) //nolint:gosec // G115: there are fewer than 100
}

// positive is the rule that everything added is more than zero.
func positive() daybook.Check {
	return daybook.Rule("positive", counters, func(s daybook.Step[int, counterEvent]) error {
		if s.After <= s.Before {
			return fmt.Errorf("%d after %d", s.After, s.Before)
		}
		return nil
	})
}

// sums is a read model of counters in memory.
type sums struct {
	position int64
	rows     []daybook.Row
}

func (s *sums) Pin(context.Context) (daybook.PinnedRows, error) { return s, nil }
func (s *sums) Position() int64                                 { return s.position }
func (s *sums) Close() error                                    { return nil }
func (s *sums) Rows(context.Context) iter.Seq2[daybook.Row, error] {
	return func(yield func(daybook.Row, error) bool) {
		for _, row := range s.rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// check compares sums with the events.
func (s *sums) check() daybook.Check {
	return &daybook.RowCheck[int]{
		Table: "sums", Model: s,
		Keys: func(e *daybook.CheckedEvent) ([]string, error) {
			_, err := e.Data()
			return []string{e.Aggregate.ID.String()}, err
		},
		Evolve: func(sum int, _ string, e *daybook.CheckedEvent) (int, bool) {
			data, _ := e.Data()
			return counters.Evolve(sum, data.(counterEvent)), false
		},
		Fields: func(sum int) []daybook.Field { return []daybook.Field{{Name: "sum", Value: strconv.Itoa(sum)}} },
	}
}

// newSums is the read model as it must be.
func newSums(t *testing.T, book *daybook.Book) *sums {
	t.Helper()
	s := &sums{position: head(t, book)}
	totals := map[string]int{}
	for rec, err := range book.Read(t.Context(), daybook.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		data, err := book.Decode(rec)
		if err != nil {
			t.Fatal(err)
		}
		totals[rec.Aggregate.ID.String()] += data.(added).By
	}
	for key, sum := range totals {
		s.rows = append(s.rows, daybook.Row{Key: key, Fields: []daybook.Field{{Name: "sum", Value: strconv.Itoa(sum)}}})
	}
	return s
}

func verify(t *testing.T, book *daybook.Book, o daybook.VerifyOptions) *daybook.Verification {
	t.Helper()
	v, err := daybook.Verify(t.Context(), book, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func texts(v *daybook.Verification) (all []string) {
	for _, f := range v.Findings {
		all = append(all, f.String())
	}
	return all
}

// However few aggregates are kept at once, the findings are those of one pass.
func TestVerifyInSeveralPassesFindsTheSame(t *testing.T) {
	t.Parallel()
	book, tamper := countersFile(t, 40, 400)
	model := newSums(t, book)
	proved := verify(t, book, daybook.VerifyOptions{Checks: []daybook.Check{positive(), model.check()}, MaxHeld: 9})
	if !proved.Proved() || proved.Passes < 5 || proved.Aggregates != 40 || proved.Events != 400 {
		t.Fatalf("%+v", proved)
	}
	tamper(`DELETE FROM events WHERE position IN (17, 100, 101, 400)`)
	tamper(`UPDATE events SET payload = '{"By":-3}' WHERE position % 37 = 0`)
	tamper(`UPDATE events SET recorded_at = recorded_at - 3600000000 WHERE position IN (50, 60)`)
	tamper(`UPDATE events SET event_type = 'Multiplied' WHERE position = 70`)
	tamper(`UPDATE events SET sequence_number = sequence_number + 1000 WHERE position IN (80, 333)`)
	model.rows = model.rows[1:]
	model.rows[3].Fields[0].Value = "1"
	model.rows = append(model.rows, daybook.Row{Key: "nobody"})

	options := daybook.VerifyOptions{Checks: []daybook.Check{positive(), model.check()}}
	want := verify(t, book, options)
	if want.Passes != 1 || want.Proved() || len(want.Findings) < 25 {
		t.Fatalf("one pass: %d passes, findings:\n%s", want.Passes, strings.Join(texts(want), "\n"))
	}
	for _, held := range []int{1, 2, 3, 7, 20, 79, 80, 1000} {
		options.MaxHeld = held
		got := verify(t, book, options)
		if diff := cmp.Diff(texts(want), texts(got)); diff != "" {
			t.Errorf("with %d held at once (-one pass +%d):\n%s", held, got.Passes, diff)
		}
		if diff := cmp.Diff(want.Checks, got.Checks); diff != "" {
			t.Errorf("with %d held at once, the checks (-one pass +%d):\n%s", held, got.Passes, diff)
		}
		if got.Aggregates != want.Aggregates || got.Events != want.Events || (got.Passes > 1) != (held < 80) {
			t.Errorf("with %d held at once: %d aggregates, %d events, %d passes", held, got.Aggregates, got.Events, got.Passes)
		}
	}
}

// A sample is a part of the aggregates, the same one every time; every aggregate is in
// one of some sample; and the book itself is looked at as a whole.
func TestVerifySample(t *testing.T) {
	t.Parallel()
	book, tamper := countersFile(t, 60, 300)
	tamper(`UPDATE events SET sequence_number = sequence_number + 100 WHERE sequence_number = 1`)
	tamper(`DELETE FROM events WHERE position = 300`)
	all := verify(t, book, daybook.VerifyOptions{})
	for _, sample := range []int{1, 2, 3, 10} {
		got := verify(t, book, daybook.VerifyOptions{Sample: sample})
		if got.Events != 299 || got.Checks[0].Findings != 1 {
			t.Errorf("one in %d: %d events, %+v, want the whole book to be read", sample, got.Events, got.Checks[0])
		}
		want := all.Aggregates / int64(sample)
		if got.Aggregates < want/3 || got.Aggregates > 3*want {
			t.Errorf("one in %d: %d aggregates of %d", sample, got.Aggregates, all.Aggregates)
		}
		for _, text := range texts(got) {
			if !slices.Contains(texts(all), text) {
				t.Errorf("one in %d: %s is no finding of the whole", sample, text)
			}
		}
		again := verify(t, book, daybook.VerifyOptions{Sample: sample, MaxHeld: 5})
		if diff := cmp.Diff(texts(got), texts(again)); diff != "" {
			t.Errorf("one in %d, again (-first +second):\n%s", sample, diff)
		}
	}
}

func TestVerifyUntil(t *testing.T) {
	t.Parallel()
	book, tamper := countersFile(t, 5, 50)
	var times []time.Time
	for rec, err := range book.Read(t.Context(), daybook.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, rec.RecordedAt)
	}
	tamper(`UPDATE events SET payload = '{}' WHERE position = 31`)
	for name, one := range map[string]struct {
		until  daybook.Point
		events int64
		proved bool
	}{
		"nothing":                    {daybook.AtPosition(0), 0, true},
		"a position before it":       {daybook.AtPosition(30), 30, true},
		"the position":               {daybook.AtPosition(31), 31, false},
		"the last position":          {daybook.AtPosition(50), 50, false},
		"a time before all":          {daybook.AsOf(times[0].Add(-time.Hour)), 0, true},
		"the time of the one before": {daybook.AsOf(times[29]), 30, true},
		"the time":                   {daybook.AsOf(times[30]), 31, false},
		"now":                        {daybook.Point{}, 50, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := verify(t, book, daybook.VerifyOptions{Until: one.until})
			if got.Events != one.events || got.Position != one.events || got.Proved() != one.proved || got.Head != 50 {
				t.Errorf("%+v", got)
			}
			if one.events > 0 != got.RecordedAt.Equal(times[max(one.events, 1)-1]) {
				t.Errorf("recorded at %v", got.RecordedAt)
			}
		})
	}
	for name, until := range map[string]daybook.Point{
		"a sequence number": daybook.AtSequence(3), "a time of occurring": daybook.AsOfOccurred(times[3]), "a negative position": daybook.AtPosition(-1),
	} {
		if _, err := daybook.Verify(t.Context(), book, daybook.VerifyOptions{Until: until}); !errors.Is(err, daybook.ErrInvalid) {
			t.Errorf("until %s: %v", name, err)
		}
	}
	if _, err := daybook.Verify(t.Context(), book, daybook.VerifyOptions{Until: daybook.AtPosition(51)}); !errors.Is(err, daybook.ErrNotThere) {
		t.Errorf("until beyond the head: %v", err)
	}
}

// Of one aggregate nothing but its events is read, and what is about the book is not
// looked at.
func TestVerifyOneAggregate(t *testing.T) {
	t.Parallel()
	book, tamper := countersFile(t, 5, 60)
	tamper(`UPDATE events SET payload = '{"By":-1}' WHERE position = (SELECT max(position) FROM events WHERE aggregate_id LIKE '%03')`)
	for n := range byte(6) {
		o := daybook.VerifyOptions{Aggregate: counter(n), Checks: []daybook.Check{positive(), newSums(t, book).check()}}
		if n == 0 {
			o.Aggregate = counter(77) // nobody
		}
		got := verify(t, book, o)
		if got.Proved() != (n != 3) || (got.Events == 0) != (n == 0) || got.Passes != 1 {
			t.Errorf("counter %d: %+v", n, got)
		}
		for _, i := range []int{0, 6} {
			if got.Checks[i].Skipped == "" || got.Checks[i].Looked != 0 {
				t.Errorf("counter %d: %+v was looked at", n, got.Checks[i])
			}
		}
	}
}

func TestVerifySmallBooks(t *testing.T) {
	t.Parallel()
	repository, book := newCounters(t)
	if got := verify(t, book, daybook.VerifyOptions{Checks: []daybook.Check{positive()}}); !got.Proved() || got.Events != 0 || got.Passes != 1 || !got.RecordedAt.IsZero() {
		t.Errorf("an empty book: %+v", got)
	}
	if _, err := repository.Execute(t.Context(), counter(1), add{1}); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, book, daybook.VerifyOptions{Checks: []daybook.Check{positive()}}); !got.Proved() || got.Events != 1 || got.RecordedAt.IsZero() {
		t.Errorf("a book of one event: %+v", got)
	}
}

type fragile struct{ By int }

type fragileV1 struct{ By int }

func (fragileV1) upcast() fragile { panic("this was never to happen") }

var fragileEvents = daybook.NewRegistry(daybook.Type[added]("Added", daybook.Upcast(addedV1.upcast)),
	daybook.Type[elsewhere]("Elsewhere"), daybook.Type[fragile]("Fragile", daybook.Upcast(fragileV1.upcast)))

// An event that cannot be read is a finding, once; what comes behind it in its
// aggregate is not judged by rules, and all the rest is.
func TestVerifyEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct{ set, want string }{
		"an unknown type":               {`event_type = 'Nothing'`, "events: position 10"},
		"a newer schema version":        {`schema_version = 3`, "events: position 10"},
		"an upcaster that panics":       {`event_type = 'Fragile', schema_version = 1`, "an upcaster panicked: this was never to happen"},
		"an event of another decider's": {`event_type = 'Elsewhere', schema_version = 1, payload = '{}'`, "is no event of counter"},
		"metadata that is none":         {`metadata = '7'`, "its metadata is no object of strings"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			book, tamper := countersFile(t, 1, 20)
			tamper(`UPDATE events SET payload = '{"By":-1}' WHERE position IN (5, 15)`)
			tamper(`UPDATE events SET ` + one.set + ` WHERE position = 10`)
			got := verify(t, book, daybook.VerifyOptions{Checks: []daybook.Check{positive()}})
			text := strings.Join(texts(got), "\n")
			want := 2 // and the rule at 15 only where the state is known
			if strings.HasPrefix(one.set, "metadata") {
				want = 3
			}
			if len(got.Findings) != want || !strings.Contains(text, one.want) || !strings.Contains(text, "positive: position 5") {
				t.Errorf("%d findings:\n%s", len(got.Findings), text)
			}
		})
	}
}

// All findings are counted, and the first of each check kept.
func TestVerifyKeepsSoManyFindings(t *testing.T) {
	t.Parallel()
	book, tamper := countersFile(t, 7, 100)
	tamper(`UPDATE events SET payload = '{"By":-1}', event_type = CASE WHEN position % 2 = 0 THEN 'Nothing' ELSE event_type END`)
	for _, held := range []int{0, 3} {
		got := verify(t, book, daybook.VerifyOptions{Checks: []daybook.Check{positive()}, MaxFindings: 4, MaxHeld: held})
		if want := 4 + int(min(4, got.Checks[5].Findings)); len(got.Findings) != want || want == 4 {
			t.Errorf("%d findings are kept:\n%s", len(got.Findings), strings.Join(texts(got), "\n"))
		}
		if got.Checks[2].Findings != 50 || got.Findings[3].Position != 8 {
			t.Errorf("%d findings are counted, the fourth is %s", got.Checks[2].Findings, got.Findings[3])
		}
	}
}

// What cannot be looked at is an error, and no proof.
func TestVerifyThatCannotLook(t *testing.T) {
	t.Parallel()
	book, _ := countersFile(t, 3, 30)
	cancelled, cancel := context.WithCancel(t.Context())
	o := daybook.VerifyOptions{Checks: []daybook.Check{daybook.Rule("stop", counters, func(s daybook.Step[int, counterEvent]) error {
		if s.Position == 20 {
			cancel()
		}
		return nil
	})}}
	if _, err := daybook.Verify(cancelled, book, o); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
	panics := daybook.Rule("panics", counters, func(s daybook.Step[int, counterEvent]) error { panic("at the disco") })
	if _, err := daybook.Verify(t.Context(), book, daybook.VerifyOptions{Checks: []daybook.Check{panics}}); err == nil || !strings.Contains(err.Error(), "position 1: Added") || !strings.Contains(err.Error(), "at the disco") {
		t.Errorf("a check that panics: %v", err)
	}
	for name, model := range map[string]daybook.ReadModel{"pin": failing{pin: errNoTable}, "rows": failing{rows: errNoTable}} {
		check := (&sums{}).check().(*daybook.RowCheck[int])
		check.Model = model
		if _, err := daybook.Verify(t.Context(), book, daybook.VerifyOptions{Checks: []daybook.Check{check}}); !errors.Is(err, errNoTable) {
			t.Errorf("a read model whose %s fail: %v", name, err)
		}
	}
	for name, o := range map[string]daybook.VerifyOptions{
		"a negative sample": {Sample: -1}, "a negative bound": {MaxHeld: -1}, "a negative number of findings": {MaxFindings: -1},
		"an aggregate without a type": {Aggregate: daybook.AggregateID{ID: daybook.UUID{1}}},
	} {
		if _, err := daybook.Verify(t.Context(), book, o); !errors.Is(err, daybook.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errNoTable = errors.New("no such table")

// failing is a read model that cannot be read.
type failing struct{ pin, rows error }

func (f failing) Pin(context.Context) (daybook.PinnedRows, error) { return f, f.pin }
func (failing) Position() int64                                   { return 1 }
func (failing) Close() error                                      { return nil }
func (f failing) Rows(context.Context) iter.Seq2[daybook.Row, error] {
	return func(yield func(daybook.Row, error) bool) { yield(daybook.Row{}, f.rows) }
}

// A read model is compared as far as it has come, and field by field.
func TestVerifyReadModels(t *testing.T) {
	t.Parallel()
	book, _ := countersFile(t, 3, 30)
	key := func(n byte) string { return counter(n).ID.String() }
	for name, one := range map[string]struct {
		change func(*sums)
		want   []string
	}{
		"as it must be":         {change: func(*sums) {}},
		"a field":               {func(s *sums) { s.row(key(2)).Fields[0].Value = "0" }, []string{"table sums, row " + key(2) + ", field sum: the field differs: found \"0\""}},
		"a field too many":      {func(s *sums) { s.row(key(2)).Fields = append(s.row(key(2)).Fields, daybook.Field{Name: "x"}) }, []string{"field x: the field differs: found \"\", expected no such field"}},
		"a field too few":       {func(s *sums) { s.row(key(2)).Fields = nil }, []string{"field sum: the field differs: found no such field"}},
		"a row too few":         {func(s *sums) { s.rows = s.rows[1:] }, []string{"the row is missing"}},
		"a row too many":        {func(s *sums) { s.rows = append(s.rows, daybook.Row{Key: "x"}) }, []string{"row x: the row is there"}},
		"a row twice":           {func(s *sums) { s.rows = append(s.rows, s.rows[0]) }, []string{"the row is there"}},
		"behind what it says":   {func(s *sums) { s.position = 29 }, []string{"the field differs"}},
		"ahead of the book":     {func(s *sums) { s.position = 31 }, []string{"it is ahead of the book: was the book restored from a backup?: found 31, expected at most 30"}},
		"nothing, from nothing": {func(s *sums) { *s = sums{} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			model := newSums(t, book)
			one.change(model)
			got := verify(t, book, daybook.VerifyOptions{Checks: []daybook.Check{model.check()}})
			if len(got.Findings) != len(one.want) {
				t.Fatalf("findings:\n%s", strings.Join(texts(got), "\n"))
			}
			for i, want := range one.want {
				if text := got.Findings[i].String(); !strings.Contains(text, want) {
					t.Errorf("the finding is %s, want %s", text, want)
				}
			}
		})
	}
	got := verify(t, book, daybook.VerifyOptions{Until: daybook.AtPosition(20), Checks: []daybook.Check{newSums(t, book).check()}})
	if !got.Proved() || got.Checks[5].Skipped == "" {
		t.Errorf("a read model beyond what is verified: %+v", got.Checks[5])
	}
}

func (s *sums) row(key string) *daybook.Row {
	for i := range s.rows {
		if s.rows[i].Key == key {
			return &s.rows[i]
		}
	}
	return nil
}

// A progress that only grows and ends at its total.
func TestVerifyTellsItsProgress(t *testing.T) {
	t.Parallel()
	book, _ := countersFile(t, 30, 100)
	id := counter(99)
	for range 4 {
		entry := daybook.Entry{Aggregate: id, Expected: daybook.Any()}
		for range 1_000 {
			entry.Events = append(entry.Events, daybook.Event{Data: added{1}})
		}
		if _, err := book.Append(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	var calls, last int64
	verify(t, book, daybook.VerifyOptions{MaxHeld: 8, Progress: func(done, total int64) {
		calls++
		if done < last || done > total || total < 4_100 {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	}})
	if calls < 10 || last < 3*4_100 {
		t.Errorf("%d calls, the last %d", calls, last)
	}
}
