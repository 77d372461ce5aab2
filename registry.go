package daybook

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Registry maps stored event types to Go types, in both directions and through
// every schema version. Make it once, at start; it is safe for concurrent use.
type Registry struct {
	byName map[string]*eventType
	byType map[reflect.Type]*eventType
}

// eventType is one registered event: its shapes and decoders by schema version, the
// oldest first.
type eventType struct {
	name     string
	goType   reflect.Type
	shapes   []reflect.Type
	decoders []func(payload []byte) (any, error)
}

func (t *eventType) schemaVersion() int { return len(t.decoders) }

// NewRegistry gathers event types, each made by [Type]. It panics when a name or
// Go type is registered twice: that is a mistake in the program.
func NewRegistry(types ...EventType) *Registry {
	r := &Registry{byName: map[string]*eventType{}, byType: map[reflect.Type]*eventType{}}
	for _, t := range types {
		entry := t.entry
		if entry == nil {
			panic("daybook.NewRegistry: an EventType that daybook.Type did not make")
		}
		if r.byName[entry.name] != nil {
			panic(fmt.Sprintf("daybook.NewRegistry: the event type %q is registered twice", entry.name))
		}
		if other := r.byType[entry.goType]; other != nil {
			panic(fmt.Sprintf("daybook.NewRegistry: %v is registered as %q and as %q", entry.goType, other.name, entry.name))
		}
		r.byName[entry.name], r.byType[entry.goType] = entry, entry
	}
	return r
}

// TypeVersion is a registered event type and the schema version it is written at.
type TypeVersion struct {
	// Name is the stored name.
	Name string
	// SchemaVersion is the present one; all from 1 up to it can be read.
	SchemaVersion int
}

// Types returns what is registered, sorted by name: for tests and documentation
// that must not forget one.
func (r *Registry) Types() []TypeVersion {
	types := make([]TypeVersion, 0, len(r.byName))
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		types = append(types, TypeVersion{Name: name, SchemaVersion: r.byName[name].schemaVersion()})
	}
	return types
}

// EventType is one entry of a [Registry], made by [Type].
type EventType struct{ entry *eventType }

// Upcaster turns one schema version of an event into the next, made by [Upcast].
type Upcaster struct {
	from, to reflect.Type
	decode   func(payload []byte) (any, error)
	apply    func(any) any
}

// Type registers the struct T under the name that is stored with every event.
// The name is for ever; the Go type may be renamed at will.
//
// The schema version of what is written is 1 + the number of upcasters. Upcasters
// are listed from the oldest: the first turns version 1 into version 2, and so
// on, the last one makes a T. Any change of T's JSON shape needs a new version;
// keep the old shape as an unexported type and add an upcaster.
//
// Payloads are JSON as github.com/go-json-experiment/json writes it: `json:"name"`
// tags, nil slices and maps as [] and {}, omitzero to leave a zero value out (then
// the member may be missing). A time.Duration needs a format tag or, better, whole
// units in an int64. What [Book.Append] refuses besides, no reader of JSON would keep:
// integers beyond ±(2^53−1), U+0000 in text.
//
// It panics on misuse: no name, T not a struct or not to be written as JSON,
// upcasters that do not join up.
func Type[T any](name string, upcasters ...Upcaster) EventType {
	goType := reflect.TypeFor[T]()
	switch {
	case !isName(name):
		panic(fmt.Sprintf("daybook.Type[%v]: %q is not a name: %s", goType, name, nameRule))
	case goType.Kind() != reflect.Struct:
		panic(fmt.Sprintf("daybook.Type[%v](%q): an event is a struct, so that its payload is a JSON object", goType, name))
	}
	if _, err := encodeJSON(reflect.New(goType).Elem().Interface()); err != nil {
		panic(fmt.Sprintf("daybook.Type[%v](%q): an event of this type cannot be written: %v", goType, name, err))
	}
	entry := &eventType{name: name, goType: goType}
	for i, up := range upcasters {
		if up.apply == nil {
			panic(fmt.Sprintf("daybook.Type[%v](%q): upcaster %d was not made by daybook.Upcast", goType, name, i+1))
		}
		next := goType
		if i+1 < len(upcasters) {
			next = upcasters[i+1].from
		}
		if up.to != next {
			panic(fmt.Sprintf("daybook.Type[%v](%q): upcaster %d makes a %v, but schema version %d is a %v", goType, name, i+1, up.to, i+2, next))
		}
		entry.shapes = append(entry.shapes, up.from)
		entry.decoders = append(entry.decoders, up.chain(upcasters[i+1:]))
	}
	entry.shapes = append(entry.shapes, goType)
	entry.decoders = append(entry.decoders, jsonDecoder[T]())
	return EventType{entry}
}

// Upcast makes an [Upcaster] of a pure function from one shape to the next.
func Upcast[From, To any](f func(From) To) Upcaster {
	from := reflect.TypeFor[From]()
	if f == nil || from.Kind() != reflect.Struct {
		panic(fmt.Sprintf("daybook.Upcast[%v, %v]: an upcaster is a function from the struct that an event was", from, reflect.TypeFor[To]()))
	}
	return Upcaster{
		from:   from,
		to:     reflect.TypeFor[To](),
		decode: jsonDecoder[From](),
		apply:  func(old any) any { return f(old.(From)) },
	}
}

// chain decodes the shape u starts from and applies u and the later upcasters.
func (u Upcaster) chain(later []Upcaster) func([]byte) (any, error) {
	steps := slices.Concat([]Upcaster{u}, later)
	return func(payload []byte) (any, error) {
		value, err := u.decode(payload)
		if err != nil {
			return nil, err
		}
		for _, step := range steps {
			value = step.apply(value)
		}
		return value, nil
	}
}

// encode returns how data is stored: its event type, schema version and payload.
func (r *Registry) encode(data any) (entry *eventType, payload []byte, err error) {
	entry = r.byType[reflect.TypeOf(data)]
	if entry == nil {
		return nil, nil, invalid("event.data", "%T is not in the registry: register it with daybook.Type and pass it by value", data)
	}
	payload, err = encodeJSON(data)
	if err != nil {
		return nil, nil, fmt.Errorf("event type %s: %w", entry.name, err)
	}
	return entry, payload, nil
}

// Decode turns a recorded event into a value of its registered Go type, through
// the upcasters where it was stored at an older schema version. The error is
// [ErrUnknownEvent] for a type or a version that is not registered and
// [ErrDecode] for a payload that does not fit; an upcaster that panics is the latter.
func (r *Registry) Decode(rec Recorded) (value any, err error) {
	entry := r.byName[rec.EventType]
	switch {
	case entry == nil:
		return nil, fmt.Errorf("%w: no event type %s is registered", ErrUnknownEvent, quote(rec.EventType))
	case rec.SchemaVersion < 1 || rec.SchemaVersion > entry.schemaVersion():
		return nil, fmt.Errorf("%w: %s is registered up to schema version %d: was this written by a newer program?", ErrUnknownEvent, rec.EventType, entry.schemaVersion())
	}
	defer func() {
		if p := recover(); p != nil {
			value, err = nil, fmt.Errorf("%w: an upcaster panicked: %v", ErrDecode, p)
		}
	}()
	if value, err = entry.decoders[rec.SchemaVersion-1](rec.Payload); err != nil {
		return nil, err
	}
	return value, nil
}
