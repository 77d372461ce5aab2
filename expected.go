package daybook

import (
	"fmt"
)

// Expected is what a writer believes of an aggregate when it appends to it. The
// zero value is [NoEvents]: forgetting it is loud, not lossy.
type Expected struct {
	kind   expectedKind
	number int64
}

type expectedKind int8

const (
	expectExactly expectedKind = iota
	expectExists
	expectAny
)

// NoEvents expects that nobody has written to the aggregate. It is Exactly(0).
func NoEvents() Expected { return Expected{} }

// Exactly expects the aggregate to be at sequence number n. A negative n is
// refused by Append.
func Exactly(n int64) Expected { return Expected{kind: expectExactly, number: n} }

// Exists expects at least one event, whatever its number.
func Exists() Expected { return Expected{kind: expectExists} }

// Any expects nothing: the append goes after whatever is there.
func Any() Expected { return Expected{kind: expectAny} }

// Holds reports whether an aggregate at sequence number actual is as expected.
func (e Expected) Holds(actual int64) bool {
	switch e.kind {
	case expectExists:
		return actual > 0
	case expectAny:
		return true
	default:
		return actual == e.number
	}
}

// String says it in words: "no events", "3", "at least one event", "any".
func (e Expected) String() string {
	switch {
	case e.kind == expectExists:
		return "at least one event"
	case e.kind == expectAny:
		return "any"
	case e.number == 0:
		return "no events"
	default:
		return fmt.Sprint(e.number)
	}
}

func (e Expected) check() error {
	if e.number < 0 {
		return invalid("expected", "%d is no sequence number: use 0 (no events) or more", e.number)
	}
	return nil
}
