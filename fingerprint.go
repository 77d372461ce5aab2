package daybook

import (
	"crypto/sha256"
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// foldOf returns the fingerprint of what turns the events of registry into states of
// type state: the hash of a text that says everything about it that can be known
// without running it.
func foldOf(aggregateType string, version int, state reflect.Type, registry *Registry) Fold {
	return sha256.Sum256([]byte(foldText(aggregateType, version, state, registry)))
}

// foldText has a line for each thing that a state depends on.
func foldText(aggregateType string, version int, state reflect.Type, registry *Registry) string {
	var text strings.Builder
	fmt.Fprintf(&text, "format %d\naggregate %s\nfold version %d\nstate %s\n", snapshotFormat, aggregateType, version, shapeOf(state))
	for _, name := range slices.Sorted(maps.Keys(registry.byName)) {
		for i, shape := range registry.byName[name].shapes {
			fmt.Fprintf(&text, "event %s %d %s\n", name, i+1, shapeOf(shape))
		}
	}
	return text.String()
}

// shapeOf says a type in words, down to its last field: names, kinds and tags.
func shapeOf(t reflect.Type) string {
	var text strings.Builder
	writeShape(&text, t, map[reflect.Type]bool{})
	return text.String()
}

func writeShape(text *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	if t.Name() != "" {
		text.WriteString(t.String())
		if seen[t] {
			return
		}
		seen[t] = true
	}
	text.WriteString(" " + t.Kind().String())
	switch t.Kind() {
	case reflect.Array:
		fmt.Fprintf(text, "[%d]", t.Len())
		writeInner(text, t.Elem(), seen)
	case reflect.Map:
		writeInner(text, t.Key(), seen)
		writeInner(text, t.Elem(), seen)
	case reflect.Pointer, reflect.Slice:
		writeInner(text, t.Elem(), seen)
	case reflect.Struct:
		text.WriteString("{")
		for i := range t.NumField() {
			field := t.Field(i)
			fmt.Fprintf(text, "%s %q ", field.Name, field.Tag.Get("json"))
			writeShape(text, field.Type, seen)
			text.WriteString(";")
		}
		text.WriteString("}")
	default: // has nothing in it
	}
}

func writeInner(text *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	text.WriteString("(")
	writeShape(text, t, seen)
	text.WriteString(")")
}

// marshalsItself reports whether values of type t have a JSON form of their own, out
// and in.
func marshalsItself(t reflect.Type) bool {
	to := reflect.PointerTo(t)
	out := to.Implements(reflect.TypeFor[json.Marshaler]()) || to.Implements(reflect.TypeFor[json.MarshalerTo]()) || to.Implements(reflect.TypeFor[encoding.TextMarshaler]())
	in := to.Implements(reflect.TypeFor[json.Unmarshaler]()) || to.Implements(reflect.TypeFor[json.UnmarshalerFrom]()) || to.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	return out && in
}

// uncarried says why JSON cannot carry all of a value of type t there and back, or
// nothing. place names the value.
func uncarried(t reflect.Type, place string, seen map[reflect.Type]bool) string {
	if seen[t] || marshalsItself(t) {
		return ""
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return place + " is an interface, " + t.String() + ": the type behind it is lost"
	case reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return place + " is a " + t.Kind().String()
	case reflect.Map:
		if kind := t.Key().Kind(); kind != reflect.String && (kind < reflect.Int || reflect.Uint64 < kind) && !marshalsItself(t.Key()) {
			return place + " is a map with keys of type " + t.Key().String() + ", which are no text"
		}
		return uncarried(t.Elem(), place+"[]", seen)
	case reflect.Array, reflect.Pointer, reflect.Slice:
		return uncarried(t.Elem(), place+"[]", seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if reason := uncarriedField(t.Field(i), place, seen); reason != "" {
				return reason
			}
		}
	default: // is carried as it is
	}
	return ""
}

func uncarriedField(field reflect.StructField, place string, seen map[reflect.Type]bool) string {
	tag := field.Tag.Get("json")
	place += "." + field.Name
	switch {
	case !field.IsExported() && !field.Anonymous:
		return place + " is not exported"
	case tag == "-":
		return place + ` is left out by its tag json:"-"`
	case field.Type == reflect.TypeFor[time.Duration]() && !strings.Contains(tag, "format:"):
		return place + " is a time.Duration, which needs a format in its json tag"
	}
	return uncarried(field.Type, place, seen)
}
