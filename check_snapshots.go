package daybook

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// snapshotsCheck: every snapshot, whatever its fold, is as it was written, and none is
// of what is not recorded yet.
type snapshotsCheck struct{}

func (snapshotsCheck) Name() string { return "snapshots" }

func (snapshotsCheck) Begin(_ context.Context, p *Pass) (Look, error) {
	if p.Number() > 1 {
		return nil, nil
	}
	p.Looked(0, "snapshot")
	return snapshotsLook{p}, nil
}

type snapshotsLook struct{ *Pass }

func (snapshotsLook) Event(*CheckedEvent) {}

// End looks at all of them. They are written behind the events that are in them: so
// the head is asked for afterwards.
func (l snapshotsLook) End(ctx context.Context) error {
	var furthest Snapshot
	for s, err := range l.Book().Snapshots(ctx, SnapshotQuery{Aggregate: l.run.options.Aggregate, States: true}) {
		if err != nil {
			return err
		}
		l.Looked(1, "snapshot")
		fault := s.sound(l.Book().id, s.Aggregate, s.Fold)
		if fault == nil {
			fault = s.stateSound()
		}
		if fault != nil {
			l.Report(findingIn(s, "%v", fault))
			continue
		}
		if s.Position > furthest.Position {
			furthest, furthest.State = s, nil
		}
	}
	head, err := l.Book().Head(ctx)
	if err != nil {
		return err
	}
	if furthest.Position > head.Position {
		f := findingIn(furthest, "the snapshot is ahead of the book: was the book restored from a backup?")
		f.Found, f.Expected = strconv.FormatInt(furthest.Position, 10), fmt.Sprintf("at most %d", head.Position)
		l.Report(f)
	}
	return nil
}

// findingIn is a finding at a snapshot's place.
func findingIn(s Snapshot, format string, args ...any) Finding {
	return Finding{Position: s.Position, Aggregate: s.Aggregate, SequenceNumber: s.SequenceNumber, Problem: fmt.Sprintf(format, args...)}
}

// SnapshotCheck returns a [Check] that compares every snapshot of a decider's states
// with the replay of the events up to the one it names. Those of another fold, which
// no repository with this decider uses, and those of events behind the position that
// is verified are counted as ignored.
func SnapshotCheck[S, C, E any](decider Decider[S, C, E]) Check {
	decider.check()
	return statesCheck[S, C, E]{decider}
}

type statesCheck[S, C, E any] struct{ decider Decider[S, C, E] }

func (c statesCheck[S, C, E]) Name() string { return "snapshots of " + c.decider.Type }

// Begin lists the snapshots of this share without their states, whose hashes will do.
func (c statesCheck[S, C, E]) Begin(ctx context.Context, p *Pass) (Look, error) {
	l := &statesLook[S, C, E]{pass: p, folds: NewFolds(p, c.decider), kept: map[UUID]*keptStates{}}
	l.fold = foldOf(c.decider.Type, c.decider.FoldVersion, reflect.TypeFor[S](), p.Book().registry)
	l.next = func(id AggregateID, kept *keptStates) error { return l.list(ctx, id, kept) }
	p.Looked(0, "snapshot")
	one := p.run.options.Aggregate
	for s, err := range p.Book().Snapshots(ctx, SnapshotQuery{Aggregate: one}) {
		switch {
		case err != nil:
			return nil, err
		case s.Aggregate.Type != c.decider.Type, one.IsZero() && !p.owns(hashUUID(s.Aggregate.ID)):
			continue
		case s.Fold != l.fold:
			p.Ignored(1)
			continue
		}
		if l.kept[s.Aggregate.ID] == nil {
			l.kept[s.Aggregate.ID] = &keptStates{}
		}
		if l.kept[s.Aggregate.ID].add(p, s) && p.full() {
			return l, nil // the pass is given up
		}
	}
	return l, nil
}

// keptStates are the next snapshots of one aggregate, by sequence number.
type keptStates struct {
	states []keptState
	last   int64 // the number of the last one that was added
	more   bool  // there are others behind it
}

// keptState is what is remembered of a snapshot.
type keptState struct {
	sequence, position   int64
	recorded, occurredBy time.Time
	hash                 [sha256.Size]byte
}

// maxKeptStates bounds how many snapshots of one aggregate are kept at once.
const maxKeptStates = 1_000

// add reports whether there was room for s.
func (k *keptStates) add(p *Pass, s Snapshot) bool {
	if k.more = len(k.states) == maxKeptStates; k.more {
		return false
	}
	k.last = s.SequenceNumber
	if s.sound(p.Book().id, s.Aggregate, s.Fold) != nil {
		return false // it has been reported, and nobody uses it
	}
	k.states = append(k.states, keptState{s.SequenceNumber, s.Position, s.RecordedAt, s.OccurredMax, s.StateHash})
	p.Hold()
	return true
}

type statesLook[S, C, E any] struct {
	pass     *Pass
	fold     Fold
	folds    *Folds[S, C, E]
	kept     map[UUID]*keptStates
	occurred []time.Time // the latest so far, by index
	next     func(AggregateID, *keptStates) error
	failed   error // of next
	wrong    []wrongState
}

// wrongState is a snapshot whose state is not text, which is what the replay has; nil
// where it is too large to be shown.
type wrongState struct {
	Recorded
	hash [sha256.Size]byte
	text []byte
}

// list adds the snapshots behind the last one.
func (l *statesLook[S, C, E]) list(ctx context.Context, id AggregateID, kept *keptStates) error {
	q := SnapshotQuery{Aggregate: id, Fold: l.fold, After: Snapshot{Aggregate: id, Fold: l.fold, SequenceNumber: kept.last}}
	kept.more = false
	for s, err := range l.pass.Book().Snapshots(ctx, q) {
		if err != nil {
			return err
		}
		if kept.add(l.pass, s); kept.more {
			break
		}
	}
	return nil
}

func (l *statesLook[S, C, E]) Event(e *CheckedEvent) {
	step, ok := l.folds.Next(e)
	if !e.Own || len(l.kept) == 0 || l.failed != nil {
		return
	}
	kept := l.kept[e.Aggregate.ID]
	if kept == nil {
		return
	}
	for e.Index >= len(l.occurred) {
		l.occurred = append(l.occurred, time.Time{})
	}
	if e.OccurredAt.After(l.occurred[e.Index]) {
		l.occurred[e.Index] = e.OccurredAt
	}
	i, there := slices.BinarySearchFunc(kept.states, e.SequenceNumber, func(k keptState, n int64) int { return cmp.Compare(k.sequence, n) })
	if !there {
		return
	}
	own := kept.states[i]
	if kept.states = slices.Delete(kept.states, i, i+1); len(kept.states) == 0 && kept.more {
		l.failed = l.next(e.Aggregate, kept)
	}
	if !ok {
		l.pass.Ignored(1) // the events up to there cannot be folded, which is reported
		return
	}
	l.pass.Looked(1, "snapshot")
	l.compare(step, own, l.occurred[e.Index])
}

func (l *statesLook[S, C, E]) compare(step Step[S, E], k keptState, occurred time.Time) {
	differs := func(what, found, expected string) {
		if found != expected {
			f := FindingAt(step.Recorded, "the snapshot has another %s than the replay", what)
			f.Found, f.Expected = found, expected
			l.pass.Report(f)
		}
	}
	differs("position", strconv.FormatInt(k.position, 10), strconv.FormatInt(step.Position, 10))
	differs("recorded time", instantText(k.recorded), instantText(step.RecordedAt))
	differs("latest time of occurring", instantText(k.occurredBy), instantText(occurred))
	text, hash, err := keepable(step.After)
	switch {
	case err != nil:
		l.pass.Report(FindingAt(step.Recorded, "there is a snapshot, and the replayed state is none that can be kept: %v", err))
	case hash != k.hash && len(l.wrong) < maxWrongStates:
		if len(text) > maxShownState {
			text = nil
		}
		l.wrong = append(l.wrong, wrongState{step.Recorded, k.hash, text})
	case hash != k.hash:
		l.pass.Report(FindingAt(step.Recorded, stateDiffers))
	}
}

const (
	stateDiffers = "the state in the snapshot is not the replayed one"
	// maxWrongStates bounds the snapshots of a pass whose states are shown.
	maxWrongStates = 100
	// maxShownState bounds how large a state may be to be compared member by member.
	maxShownState = 64 << 10
)

// End shows what differs in states, and is left with snapshots of events that have not
// come.
func (l *statesLook[S, C, E]) End(ctx context.Context) error {
	if l.failed != nil {
		return l.failed
	}
	for _, w := range l.wrong {
		if err := l.show(ctx, w); err != nil {
			return err
		}
	}
	for id, kept := range l.kept {
		aggregate := AggregateID{Type: l.folds.decider.Type, ID: id}
		for l.left(aggregate, kept); kept.more; l.left(aggregate, kept) {
			kept.states = nil
			if err := l.list(ctx, aggregate, kept); err != nil {
				return err
			}
		}
	}
	return nil
}

// left judges snapshots whose events have not come.
func (l *statesLook[S, C, E]) left(id AggregateID, kept *keptStates) {
	for _, k := range kept.states {
		if k.position > l.pass.Until() {
			l.pass.Ignored(1)
			continue
		}
		l.pass.Looked(1, "snapshot")
		l.pass.Report(Finding{Position: k.position, Aggregate: id, SequenceNumber: k.sequence, Problem: "the snapshot is of an event that is not there"})
	}
}

// show reports each member in which a state differs, where it is still as it was found.
func (l *statesLook[S, C, E]) show(ctx context.Context, w wrongState) error {
	before := Snapshot{Aggregate: w.Aggregate, Fold: l.fold, SequenceNumber: w.SequenceNumber - 1}
	for s, err := range l.pass.Book().Snapshots(ctx, SnapshotQuery{Aggregate: w.Aggregate, Fold: l.fold, After: before, States: true, Limit: 1}) {
		if err != nil {
			return err
		}
		if s.SequenceNumber != w.SequenceNumber || s.StateHash != w.hash || w.text == nil || s.stateSound() != nil {
			break
		}
		for _, d := range differingMembers(s.State, w.text) {
			f := FindingAt(w.Recorded, stateDiffers)
			f.Field, f.Found, f.Expected = d.Field, d.Found, d.Expected
			l.pass.Report(f)
		}
		return nil
	}
	l.pass.Report(FindingAt(w.Recorded, stateDiffers))
	return nil
}

// differingMembers compares two JSON objects member by member, and anything else as a
// whole.
func differingMembers(found, expected []byte) (out []Finding) {
	var a, b map[string]jsontext.Value
	if json.Unmarshal(found, &a) != nil || json.Unmarshal(expected, &b) != nil {
		return []Finding{{Found: cut(string(found)), Expected: cut(string(expected))}}
	}
	names := slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		x, y := memberText(a[name]), memberText(b[name])
		if x != y {
			out = append(out, Finding{Field: name, Found: cut(x), Expected: cut(y)})
		}
	}
	return out
}

func memberText(value jsontext.Value) string {
	if value == nil {
		return "no such member"
	}
	if canonical, err := CanonicalJSON(value); err == nil {
		value = canonical
	}
	return string(value)
}

// cut shortens a text that may be of any length.
func cut(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
