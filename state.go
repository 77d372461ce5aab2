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

var errNotTheSame = errors.New("it does not come back from JSON as it was")

// keepable returns a state as it is kept, as canonical JSON, if it comes back from there as it is.
func keepable[S any](state S) (text []byte, hash [sha256.Size]byte, err error) {
	plain, err := marshalState(state)
	if err != nil {
		return nil, hash, err
	}
	if err := checkTokens("state", plain); err != nil {
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
	return text, sha256.Sum256(text), nil
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
