package daybook

import (
	"context"
	"fmt"
	"strings"
)

// Check is something that must hold for a book, for [Verify]. [Rule] and [RowCheck]
// make the usual ones. A check is one verification's at a time.
type Check interface {
	// Name is what the check is called in the report, such as "transfers".
	Name() string
	// Begin returns what looks at the events of one pass, or nil where the check has
	// nothing to look at in it. Whatever it has of an earlier verification ends with
	// pass 1; and as a pass that turns out to be too large is given up and begun anew,
	// nothing of a pass counts before its [Look.End]. An error is as in End.
	Begin(ctx context.Context, p *Pass) (Look, error)
}

// SkippedCheck is a check of that name which looks at nothing, and says why.
func SkippedCheck(name, reason string) Check { return skippedCheck{name, reason} }

type skippedCheck struct{ name, reason string }

func (c skippedCheck) Name() string { return c.name }

func (c skippedCheck) Begin(_ context.Context, p *Pass) (Look, error) {
	p.Skip("%s", c.reason)
	return nil, nil
}

// Look looks at the events of one pass, on one goroutine.
type Look interface {
	// Event is called for every event of the book up to the position that is verified,
	// in order. It must not keep e.
	Event(e *CheckedEvent)
	// End is called behind the last event. An error is for what cannot be looked at,
	// and ends the verification; what differs goes to [Pass.Report].
	End(ctx context.Context) error
}

// CheckedEvent is an event in a pass.
type CheckedEvent struct {
	Recorded
	// Own says that the event's aggregate is in this pass's share: all its events
	// come as own ones in one pass, and in no other.
	Own bool
	// Index counts the aggregates of the share, 0, 1, 2 … in the order of their first
	// events, for keeping something about each in a slice. -1 where Own is false.
	Index int

	book    *Book
	decoded bool
	data    any
	err     error
}

// Data returns the event as a value of its registered Go type, or the [*DecodeError]
// that Verify itself reports.
func (e *CheckedEvent) Data() (any, error) {
	if !e.decoded {
		e.data, e.err = e.book.Decode(e.Recorded)
		e.decoded = true
	}
	return e.data, e.err
}

// Pass is one reading of the book by [Verify], for one check.
type Pass struct {
	*reading
	result   CheckResult // of this pass
	findings []Finding
	pinned   PinnedRows // of a RowCheck
}

// Number is 1, 2 …: a book with more aggregates than are kept in memory at once is
// read several times. What concerns the book and not its aggregates is to be looked
// at in pass 1.
func (p *Pass) Number() int { return p.number }

// Last reports, in [Look.End], whether no other pass follows.
func (p *Pass) Last() bool { return p.run.left == 1 }

// Whole reports whether the events are those of the whole book, and not of one
// aggregate only.
func (p *Pass) Whole() bool { return p.run.options.Aggregate.IsZero() }

// Sampled reports whether only some of the aggregates are in any share.
func (p *Pass) Sampled() bool { return p.run.options.Sample > 1 }

// Book is the book that is verified.
func (p *Pass) Book() *Book { return p.run.book }

// Until is the position up to which the book is verified.
func (p *Pass) Until() int64 { return p.run.head.Position }

// Cut reports whether there is an event behind Until that was recorded at the same
// moment as the one there, so that they may belong together.
func (p *Pass) Cut() bool { return p.run.cut }

// Owns reports whether what has this key, such as a row of a read model, is in this
// pass's share: every key is in the share of one pass, and in no other.
func (p *Pass) Owns(key string) bool { return p.owns(hashText(key)) }

// Hold counts one more thing that is kept in memory until the pass ends, a row
// perhaps. Aggregates are counted already.
func (p *Pass) Hold() { p.held++ }

// Looked counts what has been looked at; what is one of it, such as "event" or "row".
func (p *Pass) Looked(n int64, what string) {
	p.result.Looked += n
	p.result.What = what
}

// Ignored counts what was there and was not held against anything.
func (p *Pass) Ignored(n int64) { p.result.Ignored += n }

// Skip says why the check looks at nothing.
func (p *Pass) Skip(format string, args ...any) { p.result.Skipped = fmt.Sprintf(format, args...) }

// Report notes a finding. The check's name is added to it.
func (p *Pass) Report(f Finding) {
	f.Check = p.result.Check
	p.result.Findings++
	if len(p.findings) < p.run.options.MaxFindings {
		p.findings = append(p.findings, f)
	}
}

// Finding is something that does not hold, and where.
type Finding struct {
	// Check is the name of the check that found it.
	Check string
	// Position, Aggregate and SequenceNumber are where in the book; zero where it is
	// at no such place.
	Position       int64
	Aggregate      AggregateID
	SequenceNumber int64
	// Table, Row and Field are where in a read model; empty where it is not in one.
	Table, Row, Field string
	// Problem says what is wrong, in words.
	Problem string
	// Found and Expected are what differs, where it is one thing.
	Found, Expected string
}

// FindingAt returns a finding at an event's place.
func FindingAt(rec Recorded, format string, args ...any) Finding {
	return Finding{Position: rec.Position, Aggregate: rec.Aggregate, SequenceNumber: rec.SequenceNumber, Problem: fmt.Sprintf(format, args...)}
}

// Place names the place in words, such as "position 7, account/… number 3" or
// "table balances, row 720a…, field balance".
func (f Finding) Place() string {
	var parts []string
	if f.Position > 0 {
		parts = append(parts, fmt.Sprintf("position %d", f.Position))
	}
	switch {
	case !f.Aggregate.IsZero() && f.SequenceNumber > 0:
		parts = append(parts, fmt.Sprintf("%s number %d", f.Aggregate, f.SequenceNumber))
	case !f.Aggregate.IsZero():
		parts = append(parts, f.Aggregate.String())
	}
	for _, one := range []struct{ what, name string }{{"table", f.Table}, {"row", f.Row}, {"field", f.Field}} {
		if one.name != "" {
			parts = append(parts, one.what+" "+one.name)
		}
	}
	return strings.Join(parts, ", ")
}

// String says all of it on one line.
func (f Finding) String() string {
	text := f.Check + ": "
	if place := f.Place(); place != "" {
		text += place + ": "
	}
	text += f.Problem
	if f.Found != "" || f.Expected != "" {
		text += fmt.Sprintf(": found %s, expected %s", f.Found, f.Expected)
	}
	return text
}
