package daybook

// Decider is the pure heart of an aggregate type: what may happen, and what comes
// of it. S is the state, C the commands, E the events; C and E are usually sealed
// interfaces. The functions must depend on nothing but their arguments: no clock,
// no random numbers, no I/O, and they must not change the state they are given.
//
// The form is Jérémie Chassaing's, "Functional Event Sourcing Decider" (2021).
type Decider[S, C, E any] struct {
	// Type is the aggregate type, as it is stored.
	Type string
	// Initial is the state of an aggregate that nothing has happened to.
	Initial func() S
	// Decide returns the events a command causes in a state, or refuses it with an
	// error of the domain. No events and no error: there is nothing to do. It may
	// be nil where only Update is used.
	Decide func(S, C) ([]E, error)
	// Evolve returns the state after an event. It cannot fail: what is recorded
	// has happened.
	Evolve func(S, E) S
	// FoldVersion is to be raised whenever Evolve or Initial comes to mean something
	// else, or an upcaster does, so that states kept as snapshots are not taken for
	// what would come of the events now. What changes in the shape of S, or in what
	// events are registered, is noticed without it.
	FoldVersion int
}

// Fold returns the state after events, starting from state.
func (d Decider[S, C, E]) Fold(state S, events ...E) S {
	for _, event := range events {
		state = d.Evolve(state, event)
	}
	return state
}

func (d Decider[S, C, E]) check() {
	switch {
	case !isName(d.Type):
		panic("daybook.Decider: Type " + quote(d.Type) + " is not a name: " + nameRule)
	case d.Initial == nil || d.Evolve == nil:
		panic("daybook.Decider " + d.Type + ": Initial and Evolve are needed")
	case d.FoldVersion < 0:
		panic("daybook.Decider " + d.Type + ": FoldVersion counts up from 0")
	}
}
