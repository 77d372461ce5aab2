package daybooktest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// payloads are JSON objects that some engine or driver might change.
var payloads = []string{
	`{}`,
	`{"":"","a":null,"b":true,"c":false,"d":[],"e":{}}`,
	`{"z":1,"a":{"z":1,"a":[{"b":2,"a":1}]},"Z":3,"é":4,"\ud83d\ude00":5}`,
	`{"whole":9007199254740991,"negative":-9007199254740991,"zero":0,"minus":-0}`,
	`{"tenth":0.1,"third":0.3333333333333333,"tiny":5e-324,"small":1e-7,"exponent":1.5e10,"trailing":1.500,"most":9007199254740990.0}`,
	`{"escapes":"\" \\ \/ \b \f \n \r \t \u0001 \u001f \u007f \u0080","lines":"\u2028\u2029","html":"<a href='x'>&amp;</a>"}`,
	`{"text":"Zoë 金 \ud83c\udf81 e\u0301 \u202eabc \ufeff \uffff","quote":"'; DROP TABLE events; --","dollar":"$1 $$ ?1 :a @b"}`,
	`{"long":"` + strings.Repeat("ab ", 5000) + `"}`,
	` { "white" : [ 1 , 2 ,	3 ] } `,
}

func payloadsAreKept(s *scene) {
	id := newAggregate()
	var events []daybook.Recorded
	for _, payload := range payloads {
		event := rawEvent("")
		event.EventType, event.Payload = "Foreign", []byte(payload)
		events = append(events, event)
	}
	written := s.place(raw(id, daybook.NoEvents(), events...))
	ids := make([]daybook.UUID, len(events))
	for i, event := range events {
		ids[i] = event.EventID
	}
	looked, err := s.driver.Lookup(s.Context(), s.id, ids)
	if err != nil {
		s.Fatalf("Driver.Lookup: %v", err)
	}
	slices.SortFunc(looked, func(a, b daybook.Recorded) int { return int(a.Position - b.Position) })
	again := s.batch(raw(id, daybook.NoEvents(), events...))[0]
	if again.Err != nil || !again.Duplicate {
		s.Errorf("a retry of all payloads: %v, want a duplicate", again.Err)
	}
	for name, records := range map[string][]daybook.Recorded{"appended": written, "read": s.all(), "looked up": looked, "retried": again.Records} {
		for i, rec := range records {
			if diff := cmp.Diff(canon(s, []byte(payloads[i])), canon(s, rec.Payload)); diff != "" {
				s.Errorf("payload %d as %s (-want +got):\n%s", i, name, diff)
			}
		}
	}
	values := []any{
		noted{Text: "Zoë \"金\" \U0001F381\u2028\t"}, noted{}, marked{},
		weighed{Whole: 1<<53 - 1, Fraction: 0.1}, weighed{Whole: -(1<<53 - 1), Fraction: -5e-324},
	}
	for _, value := range values {
		rec := s.append(daybook.Entry{Aggregate: id, Expected: daybook.Any(), Events: []daybook.Event{{Data: value}}})[0]
		for _, rec := range []daybook.Recorded{rec, s.read(daybook.Query{AfterPosition: rec.Position - 1, Limit: 1})[0]} {
			if got, err := s.book.Decode(rec); err != nil || got != value {
				s.Errorf("%+v came back as %+v, %v", value, got, err)
			}
		}
	}
}

func canon(s *scene, payload []byte) string {
	s.Helper()
	out, err := daybook.CanonicalJSON(payload)
	if err != nil {
		s.Errorf("%q: %v", payload, err)
	}
	return string(out)
}

// maxDepth is how deep JSON may be nested: the library's decoder goes no further.
const maxDepth = 10_000

func deepPayloads(s *scene) {
	for _, depth := range []int{100, 1_000, maxDepth} {
		event := rawEvent("")
		event.Payload = []byte(`{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`)
		outcomes, err := s.driver.Append(s.Context(), s.id, []daybook.Append{raw(newAggregate(), daybook.NoEvents(), event)}, daybook.InlineWork{})
		if err != nil || outcomes[0].Err != nil {
			s.Errorf("a payload nested %d deep: %v %v, want it recorded", depth, outcomes, err)
			continue
		}
		if back := s.read(daybook.Query{Reverse: true, Limit: 1}); canon(s, back[0].Payload) != string(event.Payload) {
			s.Errorf("a payload nested %d deep came back changed", depth)
		}
	}
}

func metadataIsKept(s *scene) {
	id := newAggregate()
	for _, metadata := range []daybook.Metadata{
		{},
		{CorrelationID: "c", CausationID: "k", Actor: "Zoë \"金\" \U0001F381\n\u2028"},
		{Extra: map[string]string{"ip": "::1", "Trace.id-1_x": "", "empty": " "}},
		{Actor: "a", Extra: map[string]string{}},
	} {
		want := metadata
		want.Extra = maps.Clone(metadata.Extra)
		if len(want.Extra) == 0 {
			want.Extra = nil
		}
		event := daybook.Event{Data: marked{}, Metadata: metadata}
		rec := s.append(daybook.Entry{Aggregate: id, Expected: daybook.Any(), Events: []daybook.Event{event}})[0]
		for _, rec := range []daybook.Recorded{rec, s.read(daybook.Query{Reverse: true, Limit: 1})[0]} {
			if diff := cmp.Diff(want, rec.Metadata); diff != "" {
				s.Errorf("metadata (-want +got):\n%s", diff)
			}
		}
	}
}

// namesPlace fails the test unless err is of that kind and names the place of rec,
// which cannot be decoded.
func (s *scene) namesPlace(doing string, err error, rec daybook.Recorded, kind error) {
	s.Helper()
	var decode *daybook.DecodeError
	if !errors.As(err, &decode) || !errors.Is(err, kind) {
		s.Errorf("%s: got %v, want a *DecodeError of kind %q", doing, err, kind)
		return
	}
	if decode.Book != s.book.Name() || decode.Record.Position != rec.Position {
		s.Errorf("%s: the error is about %v of book %s, want %v", doing, decode.Record, decode.Book, rec)
	}
	for _, part := range []string{s.book.Name(), fmt.Sprint("position ", rec.Position), rec.EventType, fmt.Sprint("schema version ", rec.SchemaVersion), rec.Aggregate.String()} {
		if !strings.Contains(err.Error(), part) {
			s.Errorf("%s: the message %q does not name %q", doing, err, part)
		}
	}
}

func undecodable(s *scene) {
	for _, c := range []struct {
		name, eventType string
		version         int
		payload         string
		kind            error
	}{
		{"an unknown type", "Unheard", 1, `{"text":"x"}`, daybook.ErrUnknownEvent},
		{"a newer schema version", "Noted", 2, `{"text":"x"}`, daybook.ErrUnknownEvent},
		{"schema version 99 of an upcast type", "Grown", 99, `{}`, daybook.ErrUnknownEvent},
		{"a member nobody knows", "Noted", 1, `{"text":"x","more":1}`, daybook.ErrDecode},
		{"a member of another kind", "Noted", 1, `{"text":7}`, daybook.ErrDecode},
		{"a null where none can be", "Noted", 1, `{"text":null}`, daybook.ErrDecode},
		{"a member in other case", "Noted", 1, `{"Text":"x"}`, daybook.ErrDecode},
		{"an old version that does not fit", "Grown", 1, `{"Words":[]}`, daybook.ErrDecode},
	} {
		id, other := newAggregate(), newAggregate()
		event := rawEvent("")
		event.EventType, event.SchemaVersion, event.Payload = c.eventType, c.version, []byte(c.payload)
		records := s.place(raw(id, daybook.NoEvents(), rawEvent("good"), event, rawEvent("good")))
		s.append(entry(other, daybook.NoEvents(), "good"))
		bad := records[1]
		_, err := s.notebooks().Load(s.Context(), id)
		s.namesPlace("loading "+c.name, err, bad, c.kind)
		_, err = s.notebooks().Execute(s.Context(), id, note{text: "x"})
		s.namesPlace("executing on "+c.name, err, bad, c.kind)
		_, err = s.notebooks().LoadAt(s.Context(), id, daybook.AtSequence(2))
		s.namesPlace("loading at "+c.name, err, bad, c.kind)
		_, err = s.book.Decode(bad)
		s.namesPlace("decoding "+c.name, err, bad, c.kind)
		s.same("raw, "+c.name, s.collect(s.book, daybook.Query{Aggregate: id}), records)
		if found, err := s.book.Lookup(s.Context(), bad.EventID); err != nil || len(found) != 1 {
			s.Errorf("looking up %s: %v, %v", c.name, found, err)
		}
		if before, err := s.notebooks().LoadAt(s.Context(), id, daybook.AtSequence(1)); err != nil || before.SequenceNumber != 1 {
			s.Errorf("loading what is before %s: %+v, %v", c.name, before, err)
		}
		if loaded, err := s.notebooks().Load(s.Context(), other); err != nil || loaded.SequenceNumber != 1 {
			s.Errorf("another aggregate, beside %s: %+v, %v", c.name, loaded, err)
		}
	}
}

func upcasting(s *scene) {
	id := newAggregate()
	var events []daybook.Recorded
	for i, payload := range []string{`{"Both":"x"}`, `{"First":"y","Second":"z"}`, `{"Words":["v","w"]}`} {
		event := rawEvent("")
		event.EventType, event.SchemaVersion, event.Payload = "Grown", i+1, []byte(payload)
		events = append(events, event)
	}
	written := s.place(raw(id, daybook.NoEvents(), events...))
	want := []string{"grown x x", "grown y z", "grown v w"}
	for range 3 {
		loaded, err := s.notebooks().Load(s.Context(), id)
		if err != nil {
			s.Fatalf("Load: %v", err)
		}
		if diff := cmp.Diff(want, loaded.State); diff != "" {
			s.Errorf("events of three schema versions (-want +got):\n%s", diff)
		}
	}
	rec := s.append(daybook.Entry{Aggregate: id, Expected: daybook.Exactly(3), Events: []daybook.Event{{Data: grown{Words: []string{"new", "one"}}}}})[0]
	if rec.SchemaVersion != 3 {
		s.Errorf("with two upcasters, a new event is written at schema version %d, want 3", rec.SchemaVersion)
	}
	s.same("stored events after upcasting", s.all(), append(written, rec))
	for i, rec := range s.all()[:3] {
		if rec.SchemaVersion != i+1 || canon(s, rec.Payload) != canon(s, events[i].Payload) {
			s.Errorf("after upcasting, %v is stored with %s", rec, rec.Payload)
		}
	}
}

func panickingUpcaster(s *scene) {
	id := newAggregate()
	event := rawEvent("")
	event.EventType, event.SchemaVersion, event.Payload = "Grown", 1, fmt.Appendf(nil, `{"Both":%q}`, panicWord)
	rec := s.place(raw(id, daybook.NoEvents(), event))[0]
	_, err := s.notebooks().Load(s.Context(), id)
	s.namesPlace("loading what an upcaster panics on", err, rec, daybook.ErrDecode)
	if err == nil || !strings.Contains(err.Error(), "panic") {
		s.Errorf("the error %v does not say that an upcaster panicked", err)
	}
}
