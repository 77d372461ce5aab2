package daybook

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Folds replays the own aggregates of a pass that are of one decider's type: what a
// check of states is made with.
type Folds[S, C, E any] struct {
	pass    *Pass
	decider Decider[S, C, E]
	states  []folded[S] // by index
}

// folded is the state of one aggregate.
type folded[S any] struct {
	state S
	// known says that there is one, unreadable that an event could not be folded into
	// it, so that it is not the aggregate's any more.
	known, unreadable bool
}

// NewFolds begins the replay. It panics where the decider is none, as
// [NewRepository] does.
func NewFolds[S, C, E any](p *Pass, decider Decider[S, C, E]) *Folds[S, C, E] {
	decider.check()
	return &Folds[S, C, E]{pass: p, decider: decider}
}

// Step is an event between the states before and after it.
type Step[S, E any] struct {
	*CheckedEvent
	Before, After S
	Event         E
}

// Next folds e. It reports false where there is nothing to fold: the event is of an
// aggregate of another share or of another type, or comes behind one that cannot be
// read, which is reported once, by Verify itself or here.
func (f *Folds[S, C, E]) Next(e *CheckedEvent) (step Step[S, E], ok bool) {
	if !e.Own || e.Aggregate.Type != f.decider.Type {
		return step, false
	}
	for e.Index >= len(f.states) {
		f.states = append(f.states, folded[S]{})
	}
	own := &f.states[e.Index]
	if !own.known {
		own.known, own.state = true, f.decider.Initial()
	}
	data, err := e.Data()
	if own.unreadable = own.unreadable || err != nil; own.unreadable {
		return step, false
	}
	event, ok := data.(E)
	if !ok {
		own.unreadable = true
		f.pass.Report(FindingAt(e.Recorded, "%T is registered, but is no event of %s", data, f.decider.Type))
		return step, false
	}
	step = Step[S, E]{CheckedEvent: e, Before: own.state, Event: event}
	own.state = f.decider.Evolve(own.state, event)
	step.After = own.state
	return step, true
}

// All returns the aggregates that could be read so far, with their states.
func (f *Folds[S, C, E]) All() iter.Seq2[AggregateID, S] {
	return func(yield func(AggregateID, S) bool) {
		for i, one := range f.states {
			if one.known && !one.unreadable && !yield(f.pass.aggregates[i].AggregateID, one.state) {
				return
			}
		}
	}
}

// Rule is a [Check] that every aggregate of a decider's type is replayed for, and
// every event asked about: an error of holds is a finding at its place. holds must not
// keep the step.
//
//	daybook.Rule("never below zero", shelves, func(s daybook.Step[Shelf, ShelfEvent]) error { … })
func Rule[S, C, E any](name string, decider Decider[S, C, E], holds func(Step[S, E]) error) Check {
	decider.check()
	if name == "" || holds == nil {
		panic(fmt.Sprintf("daybook.Rule(%q, %s): a rule needs a name and a function", name, decider.Type))
	}
	return rule[S, C, E]{name, decider, holds}
}

type rule[S, C, E any] struct {
	name    string
	decider Decider[S, C, E]
	holds   func(Step[S, E]) error
}

func (r rule[S, C, E]) Name() string { return r.name }

func (r rule[S, C, E]) Begin(_ context.Context, p *Pass) (Look, error) {
	p.Looked(0, "event")
	return &ruleLook[S, C, E]{NewFolds(p, r.decider), r.holds}, nil
}

type ruleLook[S, C, E any] struct {
	*Folds[S, C, E]
	holds func(Step[S, E]) error
}

func (l *ruleLook[S, C, E]) Event(e *CheckedEvent) {
	step, ok := l.Next(e)
	if !ok {
		return
	}
	l.pass.Looked(1, "event")
	if err := l.holds(step); err != nil {
		l.pass.Report(FindingAt(e.Recorded, "%v", err))
	}
}

func (l *ruleLook[S, C, E]) End(context.Context) error { return nil }

// cause is what stands in the way of decoding e, without the place, which a finding
// names itself.
func (e *CheckedEvent) cause() error {
	_, err := e.Data()
	var failed *DecodeError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
