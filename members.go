package daybook

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// requiredMembers returns the names of the JSON members that encoding a struct
// always writes: those of its fields without omitzero or omitempty. Embedded and
// inlined fields, and types that encode themselves, are left out: what they write
// cannot be told from their type.
func requiredMembers(t reflect.Type) []string {
	for _, custom := range []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[json.UnmarshalerFrom](), reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()} {
		if reflect.PointerTo(t).Implements(custom) {
			return nil
		}
	}
	var required []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || field.Anonymous || name == "-" || strings.HasPrefix(name, "'") {
			continue
		}
		listed := strings.Split(options, ",")
		if slices.Contains(listed, "omitzero") || slices.Contains(listed, "omitempty") || slices.Contains(listed, "inline") || slices.Contains(listed, "embed") || slices.Contains(listed, "unknown") {
			continue
		}
		if name == "" {
			name = field.Name
		}
		required = append(required, name)
	}
	return required
}

// checkMembers returns an error unless payload, which is a valid JSON object, has
// every required member. A decoder would leave the zero value where one is
// missing: a forgotten schema version would read as "nothing there".
func checkMembers(payload []byte, required []string) error {
	if len(required) == 0 {
		return nil
	}
	missing := len(required)
	for name := range topLevelNames(payload) {
		if containsName(required, name) {
			missing-- // names are unique: the decoder has seen to that
		}
	}
	if missing == 0 {
		return nil
	}
	for name := range topLevelNames(payload) {
		required = slices.DeleteFunc(slices.Clone(required), func(r string) bool { return r == string(name) })
	}
	return fmt.Errorf("%w: the member %q is missing: a new member needs a new schema version and an upcaster", ErrDecode, required[0])
}

// containsName is slices.Contains without making a string of name.
func containsName(names []string, name []byte) bool {
	for _, n := range names {
		if n == string(name) {
			return true
		}
	}
	return false
}

// topLevelNames yields the names of an object's own members. It relies on payload
// being valid JSON, and so needs to know no more than strings and depth.
func topLevelNames(payload []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		depth, isName := 0, false
		for i := 0; i < len(payload); i++ {
			switch payload[i] {
			case '{', '[':
				depth++
				isName = depth == 1
			case '}', ']':
				depth--
			case ',':
				isName = depth == 1
			case '"':
				start := i
				for i++; payload[i] != '"'; i++ {
					if payload[i] == '\\' {
						i++
					}
				}
				if !isName {
					continue
				}
				isName = false
				if !yield(unquoteName(payload[start : i+1])) {
					return
				}
			}
		}
	}
}

func unquoteName(quoted []byte) []byte {
	if slices.Contains(quoted, '\\') {
		if plain, err := jsontext.AppendUnquote(nil, quoted); err == nil {
			return plain
		}
	}
	return quoted[1 : len(quoted)-1]
}

// isNested reports whether a value of type t, a struct, can hold further structs
// whose members requiredMembers does not list.
func isNested(t reflect.Type) bool {
	for i := range t.NumField() {
		if field := t.Field(i); field.IsExported() && holdsStruct(field.Type, map[reflect.Type]bool{}) {
			return true
		}
	}
	return false
}

func holdsStruct(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return holdsStruct(t.Elem(), seen)
	case reflect.Struct:
		return t != reflect.TypeFor[time.Time]()
	default:
		return false
	}
}

// checkSameShape returns an error unless the stored payload has every member that
// the value it was decoded into is encoded with, and null where that has null.
func checkSameShape(stored, again []byte) error {
	var was, is any
	if err := errors.Join(json.Unmarshal(stored, &was), json.Unmarshal(again, &is)); err != nil {
		return fmt.Errorf("%w: %w", ErrDecode, err)
	}
	return compareShapes("", was, is)
}

func compareShapes(place string, was, is any) error {
	switch is := is.(type) {
	case map[string]any:
		members, ok := was.(map[string]any)
		if !ok {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(is)) {
			member, there := members[name]
			if !there {
				return fmt.Errorf("%w: the member %q is missing: a new member needs a new schema version and an upcaster", ErrDecode, place+name)
			}
			if err := compareShapes(place+name+"/", member, is[name]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		elements, ok := was.([]any)
		if !ok || len(elements) != len(is) {
			break
		}
		for i := range is {
			if err := compareShapes(fmt.Sprint(place, i, "/"), elements[i], is[i]); err != nil {
				return err
			}
		}
		return nil
	default:
		if (was == nil) == (is == nil) {
			return nil
		}
	}
	return fmt.Errorf("%w: null for %q, which cannot be null", ErrDecode, strings.TrimSuffix(place, "/"))
}
