package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// pointFlags are the flags that say as of when; none of them means now. They are one of
// the first three, or asOfOccurred, or both: what the book knew at one moment of what
// had happened by another.
type pointFlags struct {
	sequence, position number
	asOf, asOfOccurred instant
}

// add gives a verb about one account the flags.
func (p *pointFlags) add(cmd *cobra.Command) {
	cmd.Flags().Var(&p.sequence, "at-sequence", "as after event `N` of the account; 0 is before the first")
	p.addForBook(cmd)
	oneOf(cmd, "at-sequence", "at-position", "as-of")
}

// addForBook gives a verb about the whole book the flags, which are all but one: a
// sequence number is that of one account.
func (p *pointFlags) addForBook(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&p.position, "at-position", "as after position `P` of the book; 0 is before the first")
	flags.Var(&p.asOf, "as-of", "as the book knew it at `TIME` (RFC 3339 with a zone)")
	flags.Var(&p.asOfOccurred, "as-of-occurred", "as it was in the world at `TIME`, by what is known now, or at the moment that another of these flags gives")
	oneOf(cmd, "at-position", "as-of")
}

func (p *pointFlags) point() (point daybook.Point) {
	switch {
	case p.sequence.given:
		point = daybook.AtSequence(p.sequence.value)
	case p.position.given:
		point = daybook.AtPosition(p.position.value)
	case p.asOf.given:
		point = daybook.AsOf(p.asOf.value)
	}
	if p.asOfOccurred.given {
		point = point.OccurredBy(p.asOfOccurred.value)
	}
	return point
}

// occurredInFuture is by this machine's clock: the book's is not asked, because no
// clock decides what is known to occur.
func (p *pointFlags) occurredInFuture() bool {
	return p.asOfOccurred.given && p.asOfOccurred.value.After(time.Now())
}

// notOpened says that there was no such account at the point.
func notOpened(handle, book string, at pointFlags) error {
	err := &bank.NotOpenedError{Account: handle}
	if at.point() != (daybook.Point{}) {
		return &subjectError{err, fmt.Sprintf("%s was not opened yet %s", handle, at.point())}
	}
	return &hintError{
		&subjectError{err, fmt.Sprintf("%s has not been opened in book %s", handle, book)},
		"daybank accounts lists the accounts there are",
	}
}

// number is a flag's value that counts: 0, 1, 2 … in one spelling each.
type number struct {
	value int64
	given bool
}

func (n *number) Type() string { return "number" }

func (n *number) String() string {
	if !n.given {
		return ""
	}
	return strconv.FormatInt(n.value, 10)
}

// Set reads what the user gave; the error says what to write instead.
func (n *number) Set(text string) error {
	if text == "" || strings.Trim(text, "0123456789") != "" || (len(text) > 1 && text[0] == '0') {
		return errors.New("write a whole number: 0, 1, 2 …")
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return errors.New("the number is too large, there is none above 9223372036854775807")
	}
	n.value, n.given = value, true
	return nil
}

// instant is a flag's value that is a moment in time.
type instant struct {
	value time.Time
	given bool
}

func (i *instant) Type() string { return "time" }

func (i *instant) String() string {
	if !i.given {
		return ""
	}
	return i.value.Format(time.RFC3339Nano)
}

// instantForm is RFC 3339. time.Parse takes liberties with it, such as an hour of
// one digit.
var instantForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,30})?(Z|[+-]\d\d:\d\d)$`)

const instantExample = "2026-11-24T10:00:00Z or 2026-11-24T11:00:00+01:00"

// Set reads RFC 3339 and nothing else. A time without a zone is not guessed at.
func (i *instant) Set(text string) error {
	value, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case instantForm.MatchString(text + "Z"):
		return errors.New("the time has no zone: add Z or an offset, as in " + instantExample)
	case err != nil || !instantForm.MatchString(text):
		return errors.New("write the time as RFC 3339 has it, as in " + instantExample)
	}
	// The library has the same range, and takes the first moment of year 1 for none.
	if year := value.UTC().Year(); year < 1000 || year >= 9000 {
		return fmt.Errorf("the year %d is out of range: use a time from year 1000 up to, not including, year 9000", year)
	}
	i.value, i.given = value, true
	return nil
}
