package daybook

import (
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

type (
	personV1 struct {
		Name string `json:"name"`
	}
	personV2 struct {
		First string `json:"first"`
		Last  string `json:"last"`
	}
	person struct {
		First string  `json:"first"`
		Last  string  `json:"last"`
		Title *string `json:"title"`
	}
	loose struct {
		Any     any     `json:"any,omitzero"`
		Integer int64   `json:"integer,omitzero"`
		Float   float64 `json:"float,omitzero"`
		Text    string  `json:"text,omitzero"`
	}
)

func (p personV1) upcast() personV2 {
	first, last, found := strings.Cut(p.Name, " ")
	if !found {
		panic("one name only")
	}
	return personV2{first, last}
}

func (p personV2) upcast() person { return person{First: p.First, Last: p.Last} }

func people() *Registry {
	return NewRegistry(Type[person]("Person", Upcast(personV1.upcast), Upcast(personV2.upcast)), Type[loose]("Loose"))
}

func TestMisuseOfTheRegistryPanicsAtStart(t *testing.T) {
	t.Parallel()
	for name, misuse := range map[string]func(){
		"no name":                         func() { Type[person]("") },
		"a name with a space":             func() { Type[person]("a b") },
		"nothing JSON can hold":           func() { Type[struct{ C chan int }]("Channel") },
		"a duration without a format":     func() { Type[struct{ D time.Duration }]("Duration") },
		"nothing exported":                func() { Type[struct{ hidden int }]("Hidden") },
		"not a struct":                    func() { Type[int]("Int") },
		"a pointer":                       func() { Type[*person]("Person") },
		"a nil upcaster":                  func() { Upcast[personV1, person](nil) },
		"an upcaster made by hand":        func() { Type[person]("Person", Upcaster{}) },
		"the last upcaster makes another": func() { Type[person]("Person", Upcast(personV1.upcast)) },
		"upcasters in the wrong order":    func() { Type[person]("Person", Upcast(personV2.upcast), Upcast(personV1.upcast)) },
		"one name twice":                  func() { NewRegistry(Type[person]("Person"), Type[loose]("Person")) },
		"one type twice":                  func() { NewRegistry(Type[person]("Person"), Type[person]("Human")) },
		"an event type made by hand":      func() { NewRegistry(EventType{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			misuse()
		})
	}
}

func TestEverySchemaVersionDecodesToTodaysType(t *testing.T) {
	t.Parallel()
	registry := people()
	want := person{First: "Ada", Last: "Lovelace"}
	for version, payload := range map[int]string{
		1: `{"name":"Ada Lovelace"}`,
		2: `{"last": "Lovelace", "first": "Ada"}`,
		3: `{"first":"Ada","last":"Lovelace","title":null}`,
	} {
		got, err := registry.Decode(Recorded{EventType: "Person", SchemaVersion: version, Payload: []byte(payload)})
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("version %d: %+v, %v", version, got, err)
		}
	}
	entry, _, err := registry.encode(want)
	if err != nil || entry.schemaVersion() != 3 {
		t.Errorf("two upcasters must give schema version 3: %v, %v", entry, err)
	}
}

func TestWhatCannotBeDecodedIsAnErrorOfItsKind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		eventType string
		version   int
		payload   string
		want      error
	}{
		"an unknown type":             {"Alien", 1, `{}`, ErrUnknownEvent},
		"schema version 0":            {"Person", 0, `{}`, ErrUnknownEvent},
		"schema version -1":           {"Person", -1, `{}`, ErrUnknownEvent},
		"schema version 99":           {"Person", 99, `{}`, ErrUnknownEvent},
		"an upcaster that panics":     {"Person", 1, `{"name":"Plato"}`, ErrDecode},
		"a member that is not there":  {"Person", 2, `{"first":"Ada","middle":"Q"}`, ErrDecode},
		"a member of another case":    {"Person", 2, `{"First":"Ada"}`, ErrDecode},
		"a member twice":              {"Person", 2, `{"first":"Ada","first":"Eve"}`, ErrDecode},
		"null where no null can be":   {"Person", 2, `{"first":null,"last":"x"}`, ErrDecode},
		"null in an old version":      {"Person", 1, `{"name":null}`, ErrDecode},
		"null instead of the object":  {"Person", 2, `null`, ErrDecode},
		"another kind of value":       {"Person", 2, `{"first":1}`, ErrDecode},
		"an array":                    {"Person", 2, `[]`, ErrDecode},
		"no JSON":                     {"Person", 2, `{"first"`, ErrDecode},
		"nothing":                     {"Person", 2, ``, ErrDecode},
		"an integer that cannot fit":  {"Loose", 1, `{"integer":9223372036854775808}`, ErrDecode},
		"a fraction for an integer":   {"Loose", 1, `{"integer":1.5}`, ErrDecode},
		"invalid UTF-8":               {"Loose", 1, "{\"text\":\"\xff\"}", ErrDecode},
		"an object, and then another": {"Loose", 1, `{}{}`, ErrDecode},
		"a member that is missing":    {"Person", 3, `{"first":"Ada","title":"x"}`, ErrDecode},
		"a member missing in an old":  {"Person", 2, `{"last":"Lovelace"}`, ErrDecode},
		"nothing but braces":          {"Person", 1, ` { } `, ErrDecode},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, err := people().Decode(Recorded{EventType: c.eventType, SchemaVersion: c.version, Payload: []byte(c.payload)})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, %v; want %v", value, err, c.want)
			}
		})
	}
}

func TestTheWordNullInTextIsNoNull(t *testing.T) {
	t.Parallel()
	got, err := people().Decode(Recorded{EventType: "Loose", SchemaVersion: 1, Payload: []byte(`{"text":"null and void"}`)})
	if err != nil || !cmp.Equal(got, loose{Text: "null and void"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestPayloadsAreIJSON(t *testing.T) {
	t.Parallel()
	deep := any("bottom")
	for range 10_001 {
		deep = []any{deep}
	}
	for name, c := range map[string]struct {
		data any
		ok   bool
	}{
		"the largest exact integer":       {loose{Integer: 1<<53 - 1}, true},
		"the smallest exact integer":      {loose{Integer: -(1<<53 - 1)}, true},
		"one more":                        {loose{Integer: 1 << 53}, false},
		"one less":                        {loose{Integer: -(1 << 53)}, false},
		"int64's largest":                 {loose{Integer: math.MaxInt64}, false},
		"a fraction":                      {loose{Float: 0.1}, true},
		"a float beyond exact integers":   {loose{Float: 1e17}, false},
		"the tiniest float":               {loose{Float: math.SmallestNonzeroFloat64}, true},
		"NaN":                             {loose{Float: math.NaN()}, false},
		"infinity":                        {loose{Float: math.Inf(-1)}, false},
		"any Unicode text":                {loose{Text: "Žluťoučký кінь 🐎 \u2028 \\ \" \n"}, true},
		"U+0000":                          {loose{Text: "a\x00b"}, false},
		"U+0000 in a name":                {loose{Any: map[string]int{"\x00": 1}}, false},
		"invalid UTF-8":                   {loose{Text: "\xff"}, false},
		"nesting 10,001 deep":             {loose{Any: deep}, false},
		"a function":                      {loose{Any: func() {}}, false},
		"a type that is not registered":   {personV1{}, false},
		"a pointer to a registered value": {&loose{}, false},
		"nil":                             {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := people().encode(c.data)
			if (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrInvalid)) {
				t.Errorf("got %v, want ok = %v", err, c.ok)
			}
		})
	}
}

func TestEncodingTheSameValueGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	value := loose{Any: map[string]any{"b": 1, "a": 2, "c": map[string]int{"z": 1, "y": 2}}}
	first, err := encodeJSON(value)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if again, _ := encodeJSON(value); string(again) != string(first) {
			t.Fatalf("%s and %s", first, again)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(1, []byte(`{"name":"Ada Lovelace"}`))
	f.Add(3, []byte(`{"first":"Ada","last":null,"title":"x"}`))
	registry := people()
	f.Fuzz(func(t *testing.T, version int, payload []byte) {
		value, err := registry.Decode(Recorded{EventType: "Person", SchemaVersion: version, Payload: payload})
		if (err == nil) == (value == nil) {
			t.Errorf("value %v and error %v", value, err)
		}
		if err != nil && !errors.Is(err, ErrDecode) && !errors.Is(err, ErrUnknownEvent) {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}

func TestTypesAreListedByNameWithTheirPresentVersion(t *testing.T) {
	t.Parallel()
	want := []TypeVersion{{"Loose", 1}, {"Person", 3}}
	if diff := cmp.Diff(want, people().Types()); diff != "" {
		t.Errorf("Types (-want +got):\n%s", diff)
	}
	if got := NewRegistry().Types(); len(got) != 0 {
		t.Errorf("an empty registry lists %v", got)
	}
}

// nested has members that look like its own, one level down and inside text.
type nested struct {
	A     string         `json:"a"`
	B     map[string]any `json:"b"`
	C     []person       `json:"c"`
	Sly   int            `json:"slÿ"`
	Plain int
	Maybe *int `json:",omitempty"`
	None  int  `json:"-"`
}

func TestOnlyAnObjectsOwnMembersCount(t *testing.T) {
	t.Parallel()
	required := requiredMembers(reflect.TypeFor[nested]())
	full, err := encodeJSON(nested{A: `"b":{"c":[]},\\"`, B: map[string]any{"a": 1, "x": []any{map[string]any{"Plain": 1}}}, C: []person{{}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := checkMembers(full, required); err != nil {
		t.Errorf("%s: %v", full, err)
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(full, &members); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name := range topLevelNames(full) {
		got = append(got, string(name))
	}
	if slices.Sort(got); !cmp.Equal(got, slices.Sorted(maps.Keys(members))) {
		t.Errorf("members %q", got)
	}
	for _, name := range required {
		without := maps.Clone(members)
		delete(without, name)
		payload, err := json.Marshal(without)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkMembers(payload, required); !errors.Is(err, ErrDecode) {
			t.Errorf("without %q: %v", name, err)
		}
	}
	if err := checkMembers([]byte(`{"\u0061":1}`), []string{"a"}); err != nil {
		t.Errorf("an escaped name: %v", err)
	}
	if len(required) != 5 {
		t.Errorf("required: %q", required)
	}
}
