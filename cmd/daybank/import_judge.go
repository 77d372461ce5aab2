package main

import (
	"context"
	"fmt"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// importOutcome is what becomes of a line.
type importOutcome int

const (
	accepted importOutcome = iota
	duplicate
	rejected
)

// verdict is what becomes of a line, and why where it is rejected.
type verdict struct {
	outcome importOutcome
	rejection
}

// rejection says why a line was not recorded.
type rejection struct {
	column string // empty where the line as a whole is at fault
	reason string
}

// fact is what is recorded under an event's id, or will be by an earlier line.
type fact struct {
	aggregate  daybook.AggregateID
	event      any
	occurredAt time.Time
	where      string // in words, for a message
}

// judge says what is to become of every line of a chunk, in order, each one seeing
// those before it. It writes nothing.
func (c *carrier) judge(ctx context.Context, chunk []importLine) ([]verdict, error) {
	facts, err := c.recorded(ctx, chunk)
	if err != nil {
		return nil, err
	}
	verdicts := make([]verdict, len(chunk))
	for i, line := range chunk {
		if line.unusable != nil {
			verdicts[i] = verdict{rejected, *line.unusable}
			continue
		}
		if earlier, there := facts[line.id]; there {
			verdicts[i] = c.compare(line, earlier)
			continue
		}
		known, err := c.account(ctx, line.aggregate)
		if err != nil {
			return nil, err
		}
		if verdicts[i] = c.admit(line, known); verdicts[i].outcome != accepted {
			continue
		}
		facts[line.id] = fact{line.aggregate, line.event, line.occurredAt, fmt.Sprintf("line %d", line.number)}
		if opening, ok := line.event.(bank.AccountOpened); ok {
			// From here on it is open: settle forgets it again when it is not recorded.
			c.accounts.put(line.aggregate, knownAccount{opening: opening, status: bank.StatusOpen, started: true})
		}
	}
	return verdicts, nil
}

// recorded returns those of the chunk's events that are in the books.
func (c *carrier) recorded(ctx context.Context, chunk []importLine) (map[daybook.UUID]fact, error) {
	ids := make([]daybook.UUID, 0, len(chunk))
	for _, line := range chunk {
		if line.unusable == nil {
			ids = append(ids, line.id)
		}
	}
	facts := map[daybook.UUID]fact{}
	for _, book := range c.books {
		records, err := book.Lookup(ctx, ids...)
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			value, err := book.Decode(rec)
			if err != nil {
				return nil, err
			}
			where := fmt.Sprintf("position %d", rec.Position)
			if book != c.books[0] {
				where = "an earlier line" // of a rehearsal, whose positions mean nothing
			}
			facts[rec.EventID] = fact{rec.Aggregate, value, rec.OccurredAt, where}
		}
	}
	return facts, nil
}

// admit judges a line whose id is new by its account.
func (c *carrier) admit(line importLine, known knownAccount) verdict {
	refuse := func(column, reason string) verdict {
		return verdict{rejected, rejection{column, reason}}
	}
	if _, opening := line.event.(bank.AccountOpened); opening {
		reason, again := line.refuseOpening(known)
		switch {
		case reason != "":
			return refuse(c.mapping.Accounts.Account.String(), reason)
		case again:
			return verdict{outcome: duplicate}
		}
		return verdict{outcome: accepted}
	}
	if reason := line.refuseMovement(known); reason != "" {
		return refuse(c.mapping.Transactions.Account.String(), reason)
	}
	return verdict{outcome: accepted}
}

// compare judges a line whose id is there already: the same again, or something
// else under the same id.
func (c *carrier) compare(line importLine, earlier fact) verdict {
	difference := line.difference(earlier)
	if difference == "" {
		return verdict{outcome: duplicate}
	}
	column := ""
	if _, opening := line.event.(bank.AccountOpened); opening {
		column = c.mapping.Accounts.Account.String()
	} else {
		column = c.mapping.Transactions.ID.String()
	}
	return verdict{rejected, rejection{column, fmt.Sprintf("id %q is already recorded (%s) with %s", shorten(line.bankID), earlier.where, difference)}}
}

// difference says in words what is recorded otherwise than the line says, or "".
func (l importLine) difference(earlier fact) string {
	if earlier.aggregate != l.aggregate {
		return "another account"
	}
	switch recorded := earlier.event.(type) {
	case bank.AccountOpened:
		now, _ := l.event.(bank.AccountOpened)
		switch {
		case recorded.OwnerName != now.OwnerName:
			return fmt.Sprintf("another owner, %q", shorten(recorded.OwnerName))
		case recorded.Currency != now.Currency:
			return fmt.Sprintf("another currency, %s", recorded.Currency)
		case recorded != now:
			return fmt.Sprintf("another handle, %q", shorten(recorded.AccountID))
		}
	case bank.MoneyDeposited:
		now, same := l.event.(bank.MoneyDeposited)
		if !same {
			return "another direction: there the money came, here it goes"
		}
		if reason := l.differentMovement(recorded.Amount, now.Amount, recorded.Reference, now.Reference); reason != "" {
			return reason
		}
	case bank.MoneyWithdrawn:
		now, same := l.event.(bank.MoneyWithdrawn)
		if !same {
			return "another direction: there the money went, here it comes"
		}
		if reason := l.differentMovement(recorded.Amount, now.Amount, recorded.Reference, now.Reference); reason != "" {
			return reason
		}
	default:
		return fmt.Sprintf("another kind of event, %T", recorded)
	}
	if !earlier.occurredAt.Equal(l.occurredAt) {
		return fmt.Sprintf("another date, %s", earlier.occurredAt.Format(time.RFC3339))
	}
	return ""
}

func (l importLine) differentMovement(amount, amountNow int64, reference, referenceNow string) string {
	switch {
	case amount != amountNow:
		return fmt.Sprintf("another amount, %s", bank.Money{Minor: amount, Currency: l.currency}.Decimal())
	case reference != referenceNow:
		return fmt.Sprintf("another reference, %q", shorten(reference))
	}
	return ""
}
