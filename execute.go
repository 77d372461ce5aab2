package daybook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// executeAttempts bounds how often one call is decided again after losing a race.
const executeAttempts = 100

// Result is what became of a command.
type Result[S any] struct {
	// Loaded is the aggregate right after Events. Where nothing was to be done it
	// is the aggregate as the command found it.
	Loaded[S]
	// Events are what the command caused on this aggregate; for a repeated key,
	// what it caused then.
	Events []Recorded
}

// Addressed is a command and the aggregate it is for.
type Addressed[C any] struct {
	Aggregate AggregateID
	Command   C
}

// Execute loads the aggregate, lets the decider decide and appends what comes of
// it; when another writer was first, all of it again, at most 100 times, and then
// it returns the [*ConflictError]. A refusal of the decider is returned as it is.
// Other errors are those of Load and Append.
func (r *Repository[S, C, E]) Execute(ctx context.Context, id AggregateID, command C, opts ...Option) (Result[S], error) {
	return first(r.ExecuteAll(ctx, []Addressed[C]{{id, command}}, opts...))
}

// ExecuteAll is Execute for commands on several aggregates, in one append: all
// take effect or none. Results are in the order of commands. Each aggregate may be
// there once.
func (r *Repository[S, C, E]) ExecuteAll(ctx context.Context, commands []Addressed[C], opts ...Option) ([]Result[S], error) {
	if r.decider.Decide == nil {
		return nil, invalid("decider.decide", "the decider of %s has no Decide: use Update, or give it one", r.decider.Type)
	}
	tasks := make([]task[S, E], len(commands))
	for i, c := range commands {
		tasks[i] = task[S, E]{c.Aggregate, func(state S) ([]E, error) { return r.decider.Decide(state, c.Command) }}
	}
	return r.run(ctx, tasks, opts)
}

// Update is Execute without a command type: decide gets the state and returns the
// events. It must be pure, because it is called again after a lost race.
func (r *Repository[S, C, E]) Update(ctx context.Context, id AggregateID, decide func(S) ([]E, error), opts ...Option) (Result[S], error) {
	return first(r.run(ctx, []task[S, E]{{id, decide}}, opts))
}

func first[S any](results []Result[S], err error) (Result[S], error) {
	if err != nil {
		return Result[S]{}, err
	}
	return results[0], nil
}

// task is a decision to be made on one aggregate.
type task[S, E any] struct {
	id     AggregateID
	decide func(S) ([]E, error)
}

func (r *Repository[S, C, E]) run(ctx context.Context, tasks []task[S, E], opts []Option) ([]Result[S], error) {
	o, err := gather(opts)
	if err != nil {
		return nil, err
	}
	if len(tasks) == 0 {
		return nil, invalid("commands", "there is nothing to execute: give at least one command")
	}
	seen := map[AggregateID]bool{}
	for _, t := range tasks {
		if err := r.checkID(t.id); err != nil {
			return nil, err
		}
		if seen[t.id] {
			return nil, invalid("commands", "%s is there twice: one command per aggregate in one call", t.id)
		}
		seen[t.id] = true
	}
	pause := &backoff.ExponentialBackOff{InitialInterval: time.Millisecond, RandomizationFactor: 0.5, Multiplier: 1.5, MaxInterval: 20 * time.Millisecond}
	return backoff.Retry(ctx, func() ([]Result[S], error) {
		results, lost, err := r.attempt(ctx, tasks, o)
		if err != nil && !lost {
			err = backoff.Permanent(err)
		}
		return results, err
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(executeAttempts), backoff.WithMaxElapsedTime(0))
}

// attempt runs the tasks once. lost says that the error is a race lost at the
// append, so that another attempt makes sense.
func (r *Repository[S, C, E]) attempt(ctx context.Context, tasks []task[S, E], o options) (results []Result[S], lost bool, err error) {
	if len(tasks) > 1 {
		return r.compete(ctx, tasks, nil, o)
	}
	if !r.fronted {
		return r.inTurn(ctx, tasks, o)
	}
	result, decided, known, err := r.advance(ctx, tasks[0], o)
	if decided {
		return []Result[S]{result}, errors.Is(err, ErrConflict), err
	}
	return r.compete(ctx, tasks, known, o)
}

// compete is attempt on states as they are recorded, in a race with everybody. They
// are loaded unless they have just been.
func (r *Repository[S, C, E]) compete(ctx context.Context, tasks []task[S, E], results []Result[S], o options) (_ []Result[S], lost bool, err error) {
	for _, t := range tasks[len(results):] {
		loaded, err := r.Load(ctx, t.id)
		if err != nil {
			return nil, false, err
		}
		results = append(results, Result[S]{Loaded: loaded})
	}
	if o.keyed {
		// After loading: had the key been used before the states were read, it
		// would be found now, and what it did to them is not decided upon again.
		if original, err := r.book.Lookup(ctx, o.eventID(0)); err != nil {
			return nil, false, err
		} else if len(original) > 0 {
			results, err = r.repeat(ctx, tasks, o, original[0])
			return results, false, err
		}
	}
	if at := results[0].SequenceNumber; o.ifAt != nil && at != *o.ifAt {
		return nil, false, &ConflictError{Aggregate: tasks[0].id, Expected: Exactly(*o.ifAt), Actual: at}
	}
	entries, err := decideAll(tasks, results, o)
	if err != nil || len(entries) == 0 {
		return results, false, err
	}
	encoded, err := r.book.encode(entries)
	if err != nil {
		return nil, false, err
	}
	outcome, err := r.book.commit(ctx, encoded)
	if err == nil {
		err = outcome.Err
	}
	if o.keyed && (outcome.Duplicate || errors.Is(err, ErrKeyReused)) {
		results, err = r.repeated(ctx, tasks, o, encoded, outcome)
		return results, false, err
	}
	if err != nil {
		return nil, errors.Is(err, ErrConflict), err
	}
	err = r.applyAll(results, outcome.Records)
	r.appended(results...)
	return results, false, err
}

// repeated is repeat for a call whose append has found its key used: by somebody who
// was faster and perhaps in another state, or by itself.
func (r *Repository[S, C, E]) repeated(ctx context.Context, tasks []task[S, E], o options, a sizedAppend, outcome Outcome) ([]Result[S], error) {
	results, err := r.repeat(ctx, tasks, o, Recorded{})
	if err != nil && outcome.Duplicate && !errors.Is(err, ErrKeyReused) {
		// Recorded, perhaps by this very call, whose reply was lost. That it cannot be
		// read back now must not look as if nothing was written.
		err = unknown(a.Append, err)
	}
	return results, err
}

// decideAll lets every task decide on its state and returns what is to be appended:
// an entry for every task, and none at all where none has events. An entry without
// events guards the state that its task found nothing to do in.
func decideAll[S, E any](tasks []task[S, E], results []Result[S], o options) ([]Entry, error) {
	var entries []Entry
	number := 0
	for i, t := range tasks {
		events, err := t.decide(results[i].State)
		if err != nil {
			return nil, err
		}
		entry := Entry{Aggregate: t.id, Expected: Exactly(results[i].SequenceNumber)}
		for _, event := range events {
			entry.Events = append(entry.Events, Event{ID: o.eventID(number), Data: event, Metadata: o.stamp.Metadata, OccurredAt: o.stamp.OccurredAt})
			number++
		}
		entries = append(entries, entry)
	}
	if number == 0 {
		return nil, nil
	}
	return entries, nil
}

// applyAll folds each record into the result of its aggregate.
func (r *Repository[S, C, E]) applyAll(results []Result[S], records []Recorded) error {
	for _, rec := range records {
		for i := range results {
			if results[i].Aggregate != rec.Aggregate {
				continue
			}
			if err := r.apply(&results[i].Loaded, rec); err != nil {
				return err
			}
			results[i].Events = append(results[i].Events, rec)
		}
	}
	return nil
}

// repeat answers a call whose key was used before. It decides again on the states
// as they were then: the same events mean the same command, and the original
// records are the answer; anything else is another command under the same key.
// firstRecord may be zero, and is looked up then.
func (r *Repository[S, C, E]) repeat(ctx context.Context, tasks []task[S, E], o options, firstRecord Recorded) ([]Result[S], error) {
	if firstRecord.Position == 0 {
		found, err := r.book.Lookup(ctx, o.eventID(0))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("daybook: the key %s was taken by an event that is not the first of a call: %w", quote(o.key), ErrKeyReused)
		}
		firstRecord = found[0]
	}
	reused := func(reason string) error {
		return &KeyReusedError{Key: o.key, EventID: firstRecord.EventID, Position: firstRecord.Position, Reason: reason}
	}
	if !slices.ContainsFunc(tasks, func(t task[S, E]) bool { return t.id == firstRecord.Aggregate }) {
		return nil, reused(fmt.Sprintf("it belongs to %s, not to %s", firstRecord.Aggregate, tasks[0].id))
	}
	before := firstRecord.Position - 1
	var originals []Recorded
	for rec, err := range r.book.Read(ctx, Query{AfterPosition: before}) {
		if err != nil {
			return nil, err
		}
		if rec.EventID != o.eventID(len(originals)) {
			break
		}
		originals = append(originals, rec)
	}
	results := make([]Result[S], len(tasks))
	for i, t := range tasks {
		var err error
		if results[i].Loaded, err = r.LoadAt(ctx, t.id, AtPosition(before)); err != nil {
			return nil, err
		}
	}
	entries, err := decideAll(tasks, results, o)
	if err != nil {
		return nil, reused("what is asked now would have been refused then: " + err.Error())
	}
	if reason, err := r.compare(entries, originals); err != nil {
		return nil, err
	} else if reason != "" {
		return nil, reused(reason)
	}
	return results, r.applyAll(results, originals)
}

// compare says in words how entries differ from the records of an earlier call, or "".
func (r *Repository[S, C, E]) compare(entries []Entry, originals []Recorded) (string, error) {
	if len(entries) == 0 {
		return "what is asked now would have caused no events then", nil
	}
	encoded, err := r.book.encode(entries)
	if err != nil {
		return "", err
	}
	i := 0
	for _, entry := range encoded.Entries {
		for _, event := range entry.Events {
			if i == len(originals) {
				return fmt.Sprintf("it caused %d events then and would cause more now", len(originals)), nil
			}
			original, err := r.modern(originals[i])
			if err != nil {
				return "", err
			}
			event.Aggregate = entry.Aggregate
			if reason := difference(event, original); reason != "" {
				return reason, nil
			}
			i++
		}
	}
	if i < len(originals) {
		return fmt.Sprintf("it caused %d events then and would cause %d now", len(originals), i), nil
	}
	return "", nil
}

// modern returns rec as it would be written today, so that an original of an older
// schema version can be compared.
func (r *Repository[S, C, E]) modern(rec Recorded) (Recorded, error) {
	event, err := r.decode(rec)
	if err != nil {
		return rec, err
	}
	entry, payload, err := r.book.registry.encode(event)
	if err != nil {
		return rec, err
	}
	rec.SchemaVersion, rec.Payload = entry.schemaVersion(), payload
	return rec, nil
}
