package main

import (
	"errors"
	"fmt"
	"strings"
)

// pointText is a flag's value that is a point of any kind, in one form of text:
//
//	now                      the present
//	12 or #12                after event 12 of the account
//	@345                     after position 345 of the book
//	2026-11-24T10:00:00Z     as the book knew it at that time
//	occurred:TIME            what had occurred by then, as it is known now
//	@345,occurred:TIME       any of the first four, and of that what had occurred by then
type pointText struct {
	pointFlags
	text string
}

// occurredPrefix stands before a time of occurrence, so that nobody takes one time for
// the other.
const occurredPrefix = "occurred:"

const pointForms = "12 (a sequence number), @345 (a position), 2026-11-24T10:00:00Z (recorded by then), occurred:2026-11-24T10:00:00Z (occurred by then), or now"

func (p *pointText) Type() string   { return "point" }
func (p *pointText) String() string { return p.text }

// Set reads what the user gave; the error says what to write instead.
func (p *pointText) Set(text string) error {
	*p = pointText{text: text}
	first, occurred, both := strings.Cut(text, ",")
	if !both && strings.HasPrefix(text, occurredPrefix) {
		first, occurred, both = "now", text, true
	}
	if both {
		moment, ok := strings.CutPrefix(occurred, occurredPrefix)
		if !ok {
			return fmt.Errorf("after the comma stands %sTIME, as in @345,occurred:2026-11-24T10:00:00Z", occurredPrefix)
		}
		if err := p.asOfOccurred.Set(moment); err != nil {
			return fmt.Errorf("the time of occurrence: %w", err)
		}
	}
	return p.setFirst(first)
}

func (p *pointText) setFirst(text string) error {
	position, isPosition := strings.CutPrefix(text, "@")
	sequence, isSequence := strings.CutPrefix(text, "#")
	switch {
	case text == "now":
		return nil
	case isPosition:
		if err := p.position.Set(position); err != nil {
			return fmt.Errorf("after @ stands a position of the book: %w", err)
		}
		return nil
	case isSequence, text != "" && strings.Trim(text, "0123456789") == "":
		return p.sequence.Set(sequence)
	case strings.HasPrefix(text, occurredPrefix):
		return errors.New("there is one occurred:TIME in a point, and it stands last")
	case len(text) >= len("2026-11-24") && text[4] == '-': // meant as a time
		return p.asOf.Set(text)
	}
	return errors.New("write a point as " + pointForms)
}
