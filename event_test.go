package daybook

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAUUIDHasOneSpelling(t *testing.T) {
	t.Parallel()
	const good = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
	id, err := ParseUUID(good)
	if err != nil || id.String() != good {
		t.Fatalf("%v, %v", id, err)
	}
	for name, bad := range map[string]string{
		"35 characters": good[1:], "37 characters": good + "0", "braces": "{" + good + "}", "urn": "urn:uuid:" + good,
		"no dashes": strings.ReplaceAll(good, "-", ""), "capitals": strings.ToUpper(good), "nothing": "",
		"the nil UUID": "00000000-0000-0000-0000-000000000000", "a word": "alice", "10 MB": strings.Repeat("x", 10<<20),
	} {
		if _, err := ParseUUID(bad); !errors.Is(err, ErrInvalid) || len(err.Error()) > 500 {
			t.Errorf("%s: %.600v", name, err)
		}
	}
	if a, b := id.Derive("x"), id.Derive("x"); a != b || a == id.Derive("y") || a[6]>>4 != 5 {
		t.Errorf("derived ids: %v %v", a, b)
	}
}

func TestNewUUIDsSortByTheTimeTheyWereMade(t *testing.T) {
	t.Parallel()
	first := NewUUID()
	time.Sleep(2 * time.Millisecond)
	if second := NewUUID(); first[6]>>4 != 7 || first.String() >= second.String() {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestExpected(t *testing.T) {
	t.Parallel()
	if (Expected{}) != NoEvents() || Exactly(0) != NoEvents() {
		t.Error("the zero value must be NoEvents")
	}
	for _, c := range []struct {
		expected Expected
		holds    []int64
		not      []int64
		words    string
	}{
		{NoEvents(), []int64{0}, []int64{1, math.MaxInt64}, "no events"},
		{Exactly(3), []int64{3}, []int64{0, 2, 4}, "3"},
		{Exists(), []int64{1, math.MaxInt64}, []int64{0}, "at least one event"},
		{Any(), []int64{0, 1, math.MaxInt64}, nil, "any"},
	} {
		for _, n := range c.holds {
			if !c.expected.Holds(n) {
				t.Errorf("%s must hold at %d", c.expected, n)
			}
		}
		for _, n := range c.not {
			if c.expected.Holds(n) {
				t.Errorf("%s must not hold at %d", c.expected, n)
			}
		}
		if c.expected.String() != c.words {
			t.Errorf("%q, want %q", c.expected, c.words)
		}
	}
	if err := Exactly(-2).check(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "-2") {
		t.Errorf("Exactly(-2): %v", err)
	}
}

func TestMetadataIsOneFlatObject(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`[a-zA-Z0-9 äöü🐎"\\]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		m := Metadata{CorrelationID: text.Draw(t, "correlation"), CausationID: text.Draw(t, "causation"), Actor: text.Draw(t, "actor")}
		if extra := rapid.MapOf(rapid.StringMatching(`x[a-z_.-]{0,5}`), text).Draw(t, "extra"); len(extra) > 0 {
			m.Extra = extra
		}
		if err := m.check(); err != nil {
			t.Fatal(err)
		}
		data, err := m.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back Metadata
		if err := back.UnmarshalJSON(data); err != nil || !cmp.Equal(m, back) {
			t.Fatalf("%s gives %+v, %v; was %+v", data, back, err, m)
		}
	})
}

// The quick way to read metadata says what the thorough one says.
func TestMetadataIsReadTheSameEitherWay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Metadata{
		`{}`:                              {},
		` { } `:                           {},
		`{"actor": "a"}`:                  {Actor: "a"},
		`{"actor":"","causation_id":"c"}`: {CausationID: "c"},
		`{"actor": "a", "causation_id": "c", "correlation_id": "k"}`: {Actor: "a", CausationID: "c", CorrelationID: "k"},
		`{"correlation_id" : "k" , "actor" : "a" }`:                  {Actor: "a", CorrelationID: "k"},
		`{"actor":"a\u0062\"}"}`:                                     {Actor: `ab"}`},
		"{\t\"actor\":\n\"a\"}":                                      {Actor: "a"},
		`{"actor":"a","x":"y"}`:                                      {Actor: "a", Extra: map[string]string{"x": "y"}},
		`{"\u0061ctor":"a"}`:                                         {Actor: "a"},
		`{"actor":"🐎, \u007b"}`:                                      {Actor: "🐎, {"},
	} {
		var m Metadata
		if err := m.UnmarshalJSON([]byte(text)); err != nil || !cmp.Equal(want, m) {
			t.Errorf("%s: %+v, %v, want %+v", text, m, err, want)
		}
	}
	for _, text := range []string{``, `{`, `[]`, `{"actor"}`, `{"actor":}`, `{"actor":1}`, `{"actor":"a",}`, `{"actor":"a"`, `{"actor":"a"}}`, `{"actor":"a"} x`, `{"actor":"a","actor":"b"}`, `{"actor":"a" "x":"y"}`, "{\"actor\":\"a\xff\"}", "{\"actor\":\"a\nb\"}"} {
		var m Metadata
		if err := m.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%q was read as %+v", text, m)
		}
	}
}

func TestMetadataNobodyCanReadHidesNoEvent(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`[]`, `{"actor":5}`, `null and void`} {
		m := StoredMetadata([]byte(text))
		if m.Extra["daybook.unreadable"] != text || m.Actor != "" {
			t.Errorf("%s was read as %+v", text, m)
		}
		if _, err := m.MarshalJSON(); err != nil {
			t.Errorf("%s cannot be shown: %v", text, err)
		}
	}
	if m := StoredMetadata([]byte(`{"actor":"a"}`)); !cmp.Equal(m, Metadata{Actor: "a"}) {
		t.Errorf("%+v", m)
	}
}

func TestMetadataThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]Metadata{
		"a reserved name":      {Extra: map[string]string{"actor": "x"}},
		"another":              {Extra: map[string]string{"correlation_id": "x"}},
		"a third":              {Extra: map[string]string{"causation_id": "x"}},
		"the reserved prefix":  {Extra: map[string]string{"daybook_key": "x"}},
		"no name":              {Extra: map[string]string{"": "x"}},
		"a name with U+0000":   {Extra: map[string]string{"a\x00": "x"}},
		"a value with U+0000":  {Extra: map[string]string{"a": "\x00"}},
		"an actor with U+0000": {Actor: "a\x00"},
		"invalid UTF-8":        {CorrelationID: "\xff"},
	} {
		if err := m.check(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "metadata.") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTimesAreTruncatedOnceAndRangeChecked(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("somewhere", 5*3600+1800)
	in := time.Date(2026, 11, 24, 3, 0, 0, 999_999_999, zone)
	got, err := normalTime("x", in)
	if want := time.Date(2026, 11, 23, 21, 30, 0, 999_999_000, time.UTC); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	if none, err := normalTime("x", time.Time{}); err != nil || !none.IsZero() {
		t.Errorf("the zero time means none: %v, %v", none, err)
	}
	for name, bad := range map[string]time.Time{
		"year 1":           time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		"year 999":         time.Date(999, 12, 31, 23, 59, 59, 0, time.UTC),
		"year 9999":        time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		"year 9000":        time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC),
		"before year 0":    time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
		"beyond year 9999": time.Date(292_000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if _, err := normalTime("event.occurred_at", bad); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "event.occurred_at") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorsSayTheSubjectAndTheNumbers(t *testing.T) {
	t.Parallel()
	alice := AggregateID{"account", UUID{15: 7}}
	rec := Recorded{Position: 12, Aggregate: alice, SequenceNumber: 3, EventType: "Alien", SchemaVersion: 2}
	for want, err := range map[string]error{
		"daybook: account/00000000-0000-0000-0000-000000000007 is at sequence number 21, expected 3":                                                                                 &ConflictError{alice, Exactly(3), 21},
		"daybook: 10001 events in one append, the limit is 10000":                                                                                                                    &TooLargeError{"events in one append", 10_000, 10_001},
		"daybook: book main, position 12: Alien 3 of account/00000000-0000-0000-0000-000000000007 (schema version 2): daybook: unknown event: no event type \"Alien\" is registered": &DecodeError{"main", rec, mustFail(people().Decode(rec))},
		"daybook: book main ends at position 4, there is no 5":                                                                                                                       &NotThereError{"position", 5, 4, "book main"},
	} {
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
}

func mustFail(_ any, err error) error { return err }
