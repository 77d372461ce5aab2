package main

import (
	"context"
	"fmt"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// accountsKept is how many accounts an import remembers, at least; twice as many at
// most. Those it has forgotten it reads again.
const accountsKept = 20_000

// knownAccount is what an import needs to know of an account.
type knownAccount struct {
	opening bank.AccountOpened
	// status is whether it was opened, and whether closed since.
	status bank.Status
	// started: there are events, whether or not one of them opened it.
	started bool
}

// accountCache remembers the accounts used last. It has two generations: when the
// younger is full it becomes the older one, and what was in that and not asked for
// since is forgotten.
type accountCache struct {
	young, old map[daybook.AggregateID]knownAccount
}

func (c *accountCache) get(id daybook.AggregateID) (knownAccount, bool) {
	if known, ok := c.young[id]; ok {
		return known, true
	}
	known, ok := c.old[id]
	if ok {
		c.put(id, known)
	}
	return known, ok
}

func (c *accountCache) put(id daybook.AggregateID, known knownAccount) {
	if len(c.young) >= accountsKept || c.young == nil {
		c.young, c.old = map[daybook.AggregateID]knownAccount{}, c.young
	}
	c.young[id] = known
}

// account returns what is known of an account, in any of the books.
func (c *carrier) account(ctx context.Context, id daybook.AggregateID) (knownAccount, error) {
	if known, ok := c.accounts.get(id); ok {
		return known, nil
	}
	var known knownAccount
	for _, book := range c.books {
		if err := readAccount(ctx, book, id, &known); err != nil {
			return known, err
		}
	}
	c.accounts.put(id, known)
	return known, nil
}

// readAccount adds to known what a book knows of an account.
func readAccount(ctx context.Context, book *daybook.Book, id daybook.AggregateID, known *knownAccount) error {
	here := false
	for _, err := range book.Read(ctx, daybook.Query{Aggregate: id, Limit: 1}) {
		if err != nil {
			return err
		}
		here = true
	}
	if !here {
		return nil // as most accounts are when their files are first imported
	}
	known.started = true
	// Not the last event only: a fact may have been recorded after the closing.
	for rec, err := range book.Read(ctx, daybook.Query{Aggregate: id, EventTypes: []string{"AccountOpened", "AccountClosed"}}) {
		if err != nil {
			return err
		}
		value, err := book.Decode(rec)
		if err != nil {
			return err
		}
		switch event := value.(type) {
		case bank.AccountOpened:
			known.opening, known.status = event, bank.StatusOpen
		case bank.AccountClosed:
			known.status = bank.StatusClosed
		}
	}
	return nil
}

// refuseOpening says why an account cannot be opened by a line, or "". again is true
// when it is open already, with the same content, by whatever means.
func (l importLine) refuseOpening(known knownAccount) (reason string, again bool) {
	opening, _ := l.event.(bank.AccountOpened)
	switch {
	case !known.started:
		return "", false
	case known.status == bank.StatusNotOpened:
		return fmt.Sprintf("account %s has events and no opening: it cannot be opened after them", opening.AccountID), false
	case known.opening.OwnerName != opening.OwnerName:
		return fmt.Sprintf("account %s is already opened for another owner, %q", opening.AccountID, shorten(known.opening.OwnerName)), false
	case known.opening.Currency != opening.Currency:
		return fmt.Sprintf("account %s is already opened in another currency, %s", opening.AccountID, known.opening.Currency), false
	}
	return "", true
}

// refuseMovement says why a line cannot be recorded on its account, or "".
func (l importLine) refuseMovement(known knownAccount) string {
	switch {
	case known.status == bank.StatusNotOpened:
		return fmt.Sprintf("account %s is not opened: import a file of accounts with it, or open it first (daybank open)", l.handle)
	case known.status == bank.StatusClosed:
		return fmt.Sprintf("account %s is closed, for ever: nothing more is recorded on it", l.handle)
	case known.opening.Currency != l.currency:
		return fmt.Sprintf("account %s is kept in %s, this line is in %s", l.handle, known.opening.Currency, l.currency)
	}
	return ""
}
