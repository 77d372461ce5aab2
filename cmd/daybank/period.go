package main

import (
	"errors"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
)

// period is a stretch of time in the life of an account, both ends included, on one of
// two time lines. Where an end is not given, it goes on to the first or the last event.
type period struct {
	from, to bound
	by       timeline
	known    pointFlags // the position or recorded time that the book is looked at
}

func (p *period) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&p.from, "from", "the first `DAY` or time (default: from the beginning)")
	flags.Var(&p.to, "to", "the last `DAY` or time (default: to the end)")
	flags.Var(&p.by, "by", "which time counts: occurred, or recorded")
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions([]string{string(byOccurred), string(byRecorded)}, cobra.ShellCompDirectiveNoFileComp))
	flags.Var(&p.known.position, "at-position", "as the book knew it after position `P`")
	flags.Var(&p.known.asOf, "as-of", "as the book knew it at `TIME` (RFC 3339 with a zone)")
	oneOf(cmd, "at-position", "as-of")
}

// check refuses what contradicts itself.
func (p *period) check() error {
	switch {
	case p.from.given && p.to.given && p.end().Before(p.begin()):
		return usage("--from %s is after --to %s: the earlier one comes first", p.from.text, p.to.text)
	case p.by == byRecorded && (p.known.asOf.given || p.known.position.given):
		return usage("--as-of and --at-position say what the book knew, and with --by recorded so does --to: give that")
	}
	return nil
}

// point is the moment at the end of the period. What an account has there is the
// period's closing balance.
func (p *period) point() pointFlags {
	at := p.known
	if p.to.given && p.by == byRecorded {
		at.asOf = instant{p.end(), true}
	} else if p.to.given {
		at.asOfOccurred = instant{p.end(), true}
	}
	return at
}

// begin is the first microsecond of the period, or zero.
func (p *period) begin() time.Time { return p.from.value.Truncate(time.Microsecond) }

// end is the last microsecond of the period. That of a day is its last one.
func (p *period) end() time.Time {
	if p.to.day {
		return p.to.value.Add(24*time.Hour - time.Microsecond)
	}
	return p.to.value.Truncate(time.Microsecond)
}

// timeline says which of an event's two times counts; the zero value is byOccurred.
type timeline string

const (
	byOccurred timeline = "occurred"
	byRecorded timeline = "recorded"
)

func (t *timeline) Type() string { return "occurred|recorded" }

func (t *timeline) String() string {
	if *t == "" {
		return string(byOccurred)
	}
	return string(*t)
}

// Set reads what the user gave.
func (t *timeline) Set(text string) error {
	if text != string(byOccurred) && text != string(byRecorded) {
		return errors.New("write occurred (when it happened) or recorded (when the book wrote it down)")
	}
	*t = timeline(text)
	return nil
}

// of is the time of an event that counts.
func (t *timeline) of(rec daybook.Recorded) time.Time {
	if *t == byRecorded {
		return rec.RecordedAt
	}
	return rec.OccurredAt
}

// bound is a flag's value that is an end of a period: a day in UTC, or a moment.
type bound struct {
	instant
	day  bool
	text string
}

var dayForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

func (b *bound) Type() string   { return "day" }
func (b *bound) String() string { return b.text }

// Set reads what the user gave; the error says what to write instead.
func (b *bound) Set(text string) error {
	b.day, b.text = dayForm.MatchString(text), text
	if !b.day {
		if err := b.instant.Set(text); err != nil {
			return errors.New("write a day, as in 2026-11-24, or a time with a zone, as in " + instantExample)
		}
		return nil
	}
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return errors.New("there is no such day")
	}
	return b.instant.Set(text + "T00:00:00Z")
}
