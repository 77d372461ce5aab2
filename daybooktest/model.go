package daybooktest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// model is a book as a plain slice, written as plainly as can be and without any of
// the library's own judgement: what it answers, every engine must answer.
type model struct {
	log     []daybook.Recorded // RecordedAt is zero, and OccurredAt where it equals it
	drafts  [][]draft          // what was tried, to be tried again
	counter int                // of ids
}

// draft is what goes to one aggregate, in the model's own terms.
type draft struct {
	aggregate daybook.AggregateID
	believes  string // "none", "exactly", "exists" or "any"
	number    int64  // for "exactly"
	lines     []draftLine
}

type draftLine struct {
	id       daybook.UUID
	text     string
	occurred time.Time
}

// append answers as a book would: the records, or the error.
func (m *model) append(drafts []draft) ([]daybook.Recorded, error) {
	if records, known, err := m.known(drafts); known {
		return records, err
	}
	for _, d := range drafts {
		last, kind := int64(0), d.aggregate.Type
		for _, rec := range m.log {
			if rec.Aggregate.ID == d.aggregate.ID {
				last, kind = last+1, rec.Aggregate.Type
			}
		}
		if kind != d.aggregate.Type {
			return nil, &daybook.InvalidError{Field: "aggregate.type"}
		}
		if d.believes == "none" && last != 0 || d.believes == "exactly" && last != d.number || d.believes == "exists" && last == 0 {
			return nil, &daybook.ConflictError{Aggregate: d.aggregate, Expected: d.expected(), Actual: last}
		}
	}
	var records []daybook.Recorded
	for _, d := range drafts {
		for _, l := range d.lines {
			rec := daybook.Recorded{Position: 1 + int64(len(m.log)), Aggregate: d.aggregate, SequenceNumber: 1,
				EventID: l.id, EventType: "Noted", SchemaVersion: 1, Payload: l.payload(), OccurredAt: l.occurred}
			for _, before := range m.log {
				if before.Aggregate.ID == d.aggregate.ID {
					rec.SequenceNumber++
				}
			}
			m.log, records = append(m.log, rec), append(records, rec)
		}
	}
	return records, nil
}

// known answers an append of which some ids are there.
func (m *model) known(drafts []draft) (records []daybook.Recorded, known bool, err error) {
	missing := false
	for _, d := range drafts {
		for _, l := range d.lines {
			i := slices.IndexFunc(m.log, func(rec daybook.Recorded) bool { return rec.EventID == l.id })
			if i < 0 {
				missing = true
				continue
			}
			original := m.log[i]
			records = append(records, original)
			same := original.Aggregate == d.aggregate && string(original.Payload) == string(l.payload()) &&
				(l.occurred.IsZero() || l.occurred.Equal(original.OccurredAt))
			if !same && err == nil {
				err = &daybook.KeyReusedError{EventID: l.id, Position: original.Position}
			}
		}
	}
	switch {
	case len(records) == 0:
		return nil, false, nil
	case err == nil && missing:
		err = &daybook.KeyReusedError{EventID: records[0].EventID, Position: records[0].Position}
	}
	if err != nil {
		records = nil
	}
	return records, true, err
}

func (d draft) expected() daybook.Expected {
	switch d.believes {
	case "exactly":
		return daybook.Exactly(d.number)
	case "exists":
		return daybook.Exists()
	case "any":
		return daybook.Any()
	default:
		return daybook.NoEvents()
	}
}

func (l draftLine) payload() []byte { return fmt.Appendf(nil, `{"text":%q}`, l.text) }

// entries are drafts as a program appends them.
func entries(drafts []draft) (out []daybook.Entry) {
	for _, d := range drafts {
		e := daybook.Entry{Aggregate: d.aggregate, Expected: d.expected()}
		for _, l := range d.lines {
			e.Events = append(e.Events, daybook.Event{ID: l.id, Data: noted{Text: l.text}, OccurredAt: l.occurred})
		}
		out = append(out, e)
	}
	return out
}

// encoded are drafts as an engine gets them.
func encoded(drafts []draft) (out daybook.Append) {
	for _, d := range drafts {
		e := daybook.EncodedEntry{Aggregate: d.aggregate, Expected: d.expected()}
		for _, l := range d.lines {
			e.Events = append(e.Events, daybook.Recorded{EventID: l.id, EventType: "Noted", SchemaVersion: 1, Payload: l.payload(), OccurredAt: l.occurred})
		}
		out.Entries = append(out.Entries, e)
	}
	return out
}

// modelAggregates are what the random appends are about. The last is the first
// one's id under another type.
var modelAggregates = []daybook.AggregateID{
	{Type: "notebook", ID: daybook.UUID{15: 1}}, {Type: "notebook", ID: daybook.UUID{15: 2}},
	{Type: "ledger", ID: daybook.UUID{15: 3}}, {Type: "notebook", ID: daybook.UUID{15: 3}},
}

// draw draws an append: something new, or something tried before, as it was or with
// a change.
func (m *model) draw(t *rapid.T) []draft {
	if len(m.drafts) > 0 && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
		return m.drawAgain(t)
	}
	var drafts []draft
	taken := map[daybook.UUID]bool{}
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(modelAggregates), 1, 3, rapid.ID[daybook.AggregateID]).Draw(t, "aggregates") {
		if taken[id.ID] {
			continue
		}
		taken[id.ID] = true
		d := draft{aggregate: id}
		d.believes = rapid.SampledFrom([]string{"any", "any", "exactly", "exactly", "none", "exists"}).Draw(t, "believes")
		if d.believes == "exactly" {
			d.number = max(0, m.number(id)+int64(rapid.SampledFrom([]int{0, 0, 0, 0, -1, 1}).Draw(t, "off by")))
		}
		for range rapid.IntRange(1, 3).Draw(t, "events") {
			d.lines = append(d.lines, m.drawLine(t))
		}
		drafts = append(drafts, d)
	}
	m.drafts = append(m.drafts, drafts)
	return drafts
}

func (m *model) drawLine(t *rapid.T) draftLine {
	m.counter++
	l := draftLine{id: daybook.UUID{15: 1}.Derive(fmt.Sprint(m.counter))} // every case has a book of its own
	l.text = rapid.StringMatching(`[a-c]{0,2}`).Draw(t, "text")
	if rapid.Bool().Draw(t, "occurred") {
		l.occurred = time.Date(2020, 1, 1, 0, 0, 0, 1000*rapid.IntRange(0, 2).Draw(t, "microseconds"), time.UTC)
	}
	return l
}

// drawAgain repeats an append, sometimes with other content, sometimes with more.
func (m *model) drawAgain(t *rapid.T) []draft {
	var drafts []draft
	for _, d := range rapid.SampledFrom(m.drafts).Draw(t, "which") {
		d.lines = slices.Clone(d.lines)
		drafts = append(drafts, d)
	}
	d := &drafts[rapid.IntRange(0, len(drafts)-1).Draw(t, "entry")]
	l := &d.lines[rapid.IntRange(0, len(d.lines)-1).Draw(t, "event")]
	switch rapid.SampledFrom([]string{"", "", "", "believes", "text", "occurred", "aggregate", "more", "part"}).Draw(t, "change") {
	case "believes":
		d.believes, d.number = "exactly", 99
	case "text":
		l.text += "!"
	case "occurred":
		l.occurred = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	case "aggregate":
		d.aggregate = daybook.AggregateID{Type: "notebook", ID: daybook.UUID{15: 9}}
	case "more":
		d.lines = append(d.lines, m.drawLine(t))
	case "part":
		drafts = drafts[:1]
	}
	return drafts
}

func (m *model) number(id daybook.AggregateID) (last int64) {
	for _, rec := range m.log {
		if rec.Aggregate == id {
			last = rec.SequenceNumber
		}
	}
	return last
}

// timeless makes records comparable with the model's, which has no clock.
func timeless(records []daybook.Recorded) []daybook.Recorded {
	out := canonical(records)
	for i := range out {
		if out[i].OccurredAt.Equal(out[i].RecordedAt) {
			out[i].OccurredAt = time.Time{}
		}
		out[i].RecordedAt = time.Time{}
	}
	return out
}

// answers fails the test unless an append was answered as the model answers it.
func (s *scene) answers(records []daybook.Recorded, err error, want []daybook.Recorded, wantErr error) {
	s.Helper()
	if got, want := particulars(err), particulars(wantErr); got != want {
		s.Fatalf("the append was answered with %s, want %s (%v)", got, want, err)
	}
	if diff := cmp.Diff(canonical(want), timeless(records)); diff != "" {
		s.Fatalf("the append was answered with other records (-want +got):\n%s", diff)
	}
}

// particulars is what engines must agree on in an error: all but its wording.
func particulars(err error) string {
	var conflict *daybook.ConflictError
	var reused *daybook.KeyReusedError
	var invalid *daybook.InvalidError
	switch {
	case errors.As(err, &conflict):
		return conflict.Error()
	case errors.As(err, &reused):
		return fmt.Sprintf("key %s reused, position %d", reused.EventID, reused.Position)
	case errors.As(err, &invalid):
		return "invalid " + invalid.Field
	default:
		return fmt.Sprint(err)
	}
}

func agreesWithModel(s *scene) {
	rapid.Check(s, func(t *rapid.T) {
		r, m := s.again(t), &model{}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				drafts := m.draw(t)
				want, wantErr := m.append(drafts)
				records, err := r.books[rapid.IntRange(0, 1).Draw(t, "handle")].Append(t.Context(), entries(drafts)...)
				r.answers(records, err, want, wantErr)
			},
			"batch": func(t *rapid.T) {
				var batch []daybook.Append
				var check []func(daybook.Outcome)
				for range rapid.IntRange(1, 4).Draw(t, "appends") {
					drafts, size := m.draw(t), len(m.log)
					want, wantErr := m.append(drafts)
					again := wantErr == nil && len(m.log) == size
					batch = append(batch, encoded(drafts))
					check = append(check, func(got daybook.Outcome) {
						r.answers(got.Records, got.Err, want, wantErr)
						if got.Duplicate != again {
							r.Fatalf("the outcome %+v is a duplicate: %v, want %v", got, got.Duplicate, again)
						}
					})
				}
				for i, outcome := range r.batch(batch...) {
					check[i](outcome)
				}
			},
			"bad append": func(t *rapid.T) {
				bad := rapid.SampledFrom(badEntries).Draw(t, "bad")
				_, err := r.book.Append(t.Context(), bad.make()...)
				r.answers(nil, err, nil, &daybook.InvalidError{Field: bad.field})
			},
			"read": func(t *rapid.T) {
				q := library{m.log, modelAggregates}.drawQuery(t)
				q.Limit = rapid.IntRange(1, 10).Draw(t, "limit")
				if diff := cmp.Diff(canonical(filter(m.log, q)), timeless(r.read(q))); diff != "" {
					t.Fatalf("reading %+v (-want +got):\n%s", q, diff)
				}
			},
			"": func(t *rapid.T) {
				if got := r.head().Position; got != int64(len(m.log)) {
					t.Fatalf("the head is at position %d, want %d", got, len(m.log))
				}
			},
		})
		if diff := cmp.Diff(canonical(m.log), timeless(r.all())); diff != "" {
			t.Fatalf("the book is not the model's (-want +got):\n%s", diff)
		}
		r.audit()
	})
}
