package daybook

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
)

// MaxStateBytes is the most bytes a state may have as JSON to be kept as a snapshot.
const MaxStateBytes = 4 << 20

// marshalState writes a state as JSON in which nil and empty are two things.
func marshalState[S any](state S) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // in a marshaller of the state's own
			err = fmt.Errorf("a panic: %v", p)
		}
	}()
	return json.Marshal(&state, json.Deterministic(true), json.FormatNilSliceAsNull(true), json.FormatNilMapAsNull(true))
}

func decodeState[S any](text []byte) (state S, err error) {
	defer func() {
		if p := recover(); p != nil { // in a marshaller of the state's own
			err = fmt.Errorf("a panic: %v", p)
		}
	}()
	err = json.Unmarshal(text, &state, json.RejectUnknownMembers(true))
	return state, err
}

var (
	errNotTheSame = errors.New("it does not come back from JSON as it was")
	errTwoPlaces  = errors.New("it holds one pointer in two places, and from JSON they come back as two")
)

// keepable returns a state as it is kept, as canonical JSON, if it comes back from there as it is.
func keepable[S any](state S) (text []byte, hash [sha256.Size]byte, err error) {
	plain, err := marshalState(state)
	if err != nil {
		return nil, hash, err
	}
	if err := checkTokens("state", plain, true); err != nil {
		return nil, hash, err
	}
	if len(plain) > MaxStateBytes {
		return nil, hash, &TooLargeError{"bytes of state in one snapshot", MaxStateBytes, int64(len(plain))}
	}
	if text, err = CanonicalJSON(plain); err != nil {
		return nil, hash, err
	}
	back, err := decodeState[S](text)
	if err != nil {
		return nil, hash, err
	}
	again, err := marshalState(back)
	if err != nil {
		return nil, hash, err
	}
	// Neither comparison sees all: one does not look at what is not in the JSON, the
	// other takes -0 for 0.
	if !reflect.DeepEqual(state, back) || !bytes.Equal(plain, again) {
		return nil, hash, errNotTheSame
	}
	if twice(reflect.ValueOf(&state).Elem(), map[any]bool{}) { // which are equal to reflect
		return nil, hash, errTwoPlaces
	}
	return text, sha256.Sum256(text), nil
}

// twice reports whether a pointer in v is among seen, or there twice. Types with
// marshallers of their own are left to these.
func twice(v reflect.Value, seen map[any]bool) bool {
	if !leadsOn(v.Kind()) || marshalsItself(v.Type()) {
		return false
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || v.Type().Elem().Size() == 0 { // those are no places
			return false
		}
		key := [2]any{v.Type(), v.UnsafePointer()}
		if seen[key] {
			return true
		}
		seen[key] = true
		return twice(v.Elem(), seen)
	case reflect.Array, reflect.Slice:
		if !leadsOn(v.Type().Elem().Kind()) {
			return false
		}
		for i := range v.Len() {
			if twice(v.Index(i), seen) {
				return true
			}
		}
	case reflect.Map:
		for each := v.MapRange(); each.Next(); {
			if twice(each.Value(), seen) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if twice(v.Field(i), seen) {
				return true
			}
		}
	default: // does not lead on
	}
	return false
}

// leadsOn reports whether a pointer can be within a value of that kind, in a state.
func leadsOn(kind reflect.Kind) bool {
	switch kind {
	case reflect.Array, reflect.Map, reflect.Pointer, reflect.Slice, reflect.Struct:
		return true
	default:
		return false
	}
}

// checkState panics when states of type S can never be kept.
func checkState[S any](aggregateType string, initial S) {
	t := reflect.TypeFor[S]()
	reason := uncarried(t, t.String(), map[reflect.Type]bool{})
	if reason == "" {
		if _, _, err := keepable(initial); err != nil {
			reason = "the initial state: " + err.Error()
		}
	}
	if reason != "" {
		panic(fmt.Sprintf("daybook.NewRepository(%s) with Snapshots: states are kept as JSON, and %s: give the type MarshalJSON and UnmarshalJSON, change it, or leave Snapshots out", aggregateType, reason))
	}
}
