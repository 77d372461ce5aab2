package daybooktest

import (
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// Scenario is what has happened to one aggregate, as the beginning of a
// specification of its decider. It is made by [Given] and is never changed: several
// specifications may share one.
type Scenario[S, C, E any] struct {
	decider daybook.Decider[S, C, E]
	history []E
}

// Given starts a specification of a decider, with an aggregate that nothing has
// happened to. Nothing is stored; there is no I/O.
//
//	given := daybooktest.Given(bank.Accounts)
//	given.Events(opened, deposited).When(bank.Withdraw{…}).ThenRefused(t, bank.ErrInsufficientFunds)
func Given[S, C, E any](decider daybook.Decider[S, C, E]) Scenario[S, C, E] {
	return Scenario[S, C, E]{decider: decider}
}

// Events adds to what has happened.
func (s Scenario[S, C, E]) Events(events ...E) Scenario[S, C, E] {
	history := make([]E, 0, len(s.history)+len(events))
	s.history = append(append(history, s.history...), events...)
	return s
}

// State returns what has happened, folded.
func (s Scenario[S, C, E]) State() S {
	return s.decider.Fold(s.decider.Initial(), s.history...)
}

// When runs a command on the aggregate. It runs it twice, so that a decider that
// depends on anything else, or changes the state it is given, is found out.
func (s Scenario[S, C, E]) When(command C) Decision[S, C, E] {
	d := Decision[S, C, E]{scenario: s}
	state := s.State()
	d.events, d.err = s.decider.Decide(state, command)
	if diff := cmp.Diff(s.State(), state, everyField); diff != "" {
		d.impure = "the decider changed the state it was given (-before +after):\n" + diff
		return d
	}
	events, err := s.decider.Decide(state, command)
	if diff := cmp.Diff(d.events, events, everyField); diff != "" {
		d.impure = "the same command on the same state causes other events the second time (-first +second):\n" + diff
	} else if answer(d.err) != answer(err) {
		d.impure = "the same command on the same state is answered " + answer(d.err) + " and then " + answer(err)
	}
	return d
}

// Decision is what became of a command, made by [Scenario.When].
type Decision[S, C, E any] struct {
	scenario Scenario[S, C, E]
	events   []E
	err      error
	impure   string
}

// Err returns the decider's error, for a closer look with errors.As.
func (d Decision[S, C, E]) Err() error { return d.err }

// ThenEvents fails the test unless the command caused exactly these events; none:
// unless there was nothing to do.
func (d Decision[S, C, E]) ThenEvents(t testing.TB, want ...E) {
	t.Helper()
	if !d.granted(t) {
		return
	}
	if len(want) == 0 && len(d.events) == 0 {
		return // nil and empty say the same
	}
	if diff := cmp.Diff(want, d.events, everyField); diff != "" {
		t.Errorf("the command caused other events (-want +got):\n%s", diff)
	}
}

// ThenState fails the test unless the command was granted and its events, on top
// of the history, lead to this state.
func (d Decision[S, C, E]) ThenState(t testing.TB, want S) {
	t.Helper()
	if !d.granted(t) {
		return
	}
	if diff := cmp.Diff(want, d.scenario.Events(d.events...).State(), everyField); diff != "" {
		t.Errorf("the command leads to another state (-want +got):\n%s", diff)
	}
}

// ThenRefused fails the test unless the decider refused the command with an error
// that is target, by errors.Is, and caused no events.
func (d Decision[S, C, E]) ThenRefused(t testing.TB, target error) {
	t.Helper()
	switch {
	case d.impure != "":
		t.Error(d.impure)
	case d.err == nil:
		t.Errorf("the command was granted, want it refused with: %v\nit caused: %+v", target, d.events)
	case !errors.Is(d.err, target):
		t.Errorf("the command was refused with: %v\nwant: %v", d.err, target)
	case len(d.events) > 0:
		t.Errorf("the command was refused with: %v\nand caused events all the same: %+v", d.err, d.events)
	}
}

// granted fails the test unless the command was granted by a pure decider.
func (d Decision[S, C, E]) granted(t testing.TB) bool {
	t.Helper()
	switch {
	case d.impure != "":
		t.Error(d.impure)
	case d.err != nil:
		t.Errorf("the command was refused: %v", d.err)
	default:
		return true
	}
	return false
}

// everyField compares unexported fields as well: a state may well have some.
var everyField = cmp.Exporter(func(reflect.Type) bool { return true })

func answer(err error) string {
	if err == nil {
		return "without an error"
	}
	return err.Error()
}
