package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/statement"
)

const (
	// importChunkLines is how many lines become one append: all of them are recorded
	// or none, and no more than these are held in memory.
	importChunkLines = 500
	// importAttempts is how often a chunk is looked at again because somebody else
	// recorded some of it, or opened one of its accounts, at the same moment.
	importAttempts = 20
)

// importNamespace is where the ids of imported events are derived from the mapping's
// source, the kind of file and the bank's own id. Changing it would import every
// file a second time.
var importNamespace = daybook.UUID{0x3d, 0x94, 0x7a, 0x06, 0xe1, 0x5f, 0x4c, 0x7b, 0x86, 0xf0, 0x2b, 0xc8, 0x51, 0xad, 0x19, 0xe3}

// importEventID is the id of the event that a line becomes. Neither a source nor an
// account's handle nor a bank's id can contain a line break, so that no two triples
// have one name.
func importEventID(source string, kind statement.Kind, bankID string) daybook.UUID {
	return importNamespace.Derive(source + "\n" + string(kind) + "\n" + bankID)
}

// importLine is a line of a file, as an event to record or as one that cannot be.
type importLine struct {
	number, last int // last differs where a quoted field goes over several lines

	id         daybook.UUID
	bankID     string
	aggregate  daybook.AggregateID
	handle     string
	event      bank.Event
	currency   bank.Currency
	occurredAt time.Time

	unusable *rejection // by the reader; then the rest is not set
}

// carrier carries lines into a book.
type carrier struct {
	mapping  *statement.Mapping
	metadata daybook.Metadata // of every event, in part
	books    []*daybook.Book  // what is in these is recorded; the last is written to
	accounts accountCache
}

func newCarrier(j *importJob, books []*daybook.Book) *carrier {
	return &carrier{
		mapping: j.mapping, books: books,
		// The correlation id is this import's own: it shows which events one import
		// brought, also to the import itself when another runs beside it.
		metadata: daybook.Metadata{Actor: j.actor, CorrelationID: daybook.NewUUID().String()},
	}
}

func (c *carrier) into() *daybook.Book { return c.books[len(c.books)-1] }

// carry imports one file, chunk by chunk. It calls done for every chunk that is
// settled, with what became of its lines and how much of the file has been read.
func (c *carrier) carry(ctx context.Context, file importFile, done func(chunk []importLine, verdicts []verdict, bytesRead int64)) error {
	reader, err := os.Open(file.path)
	if err != nil {
		return err
	}
	defer reader.Close()
	counted := &countingReader{Reader: reader}
	opened, err := c.mapping.Open(file.path, counted)
	if err != nil {
		return err
	}
	chunk := make([]importLine, 0, importChunkLines)
	settle := func() error {
		if err := errors.Join(ctx.Err(), file.unchanged()); err != nil || len(chunk) == 0 {
			return err
		}
		verdicts, err := c.settle(ctx, chunk)
		if err != nil {
			return fmt.Errorf("%s: lines %d to %d: %w", file.path, chunk[0].number, chunk[len(chunk)-1].last, err)
		}
		done(chunk, verdicts, counted.count)
		chunk = chunk[:0]
		return nil
	}
	for fact, err := range opened.Facts() {
		line, err := c.line(fact, err)
		if err != nil {
			if changed := file.unchanged(); changed != nil {
				return changed
			}
			return err
		}
		if chunk = append(chunk, line); len(chunk) == importChunkLines {
			if err := settle(); err != nil {
				return err
			}
		}
	}
	return settle()
}

// line is what the reader found on a line.
func (c *carrier) line(fact statement.Fact, err error) (importLine, error) {
	var bad *statement.LineError
	if errors.As(err, &bad) {
		reason := bad.Reason
		if bad.Column != "" {
			reason = bad.Value + ": " + reason
		}
		return importLine{number: bad.Line, last: bad.LastLine, unusable: &rejection{column: bad.Column, reason: reason}}, nil
	}
	if err != nil {
		return importLine{}, err
	}
	line := importLine{number: fact.LineNumber(), last: fact.LineNumber()}
	kind := statement.Transactions
	switch fact := fact.(type) {
	case statement.Account:
		kind, line.bankID, line.handle = statement.Accounts, fact.Handle, fact.Handle
		line.currency, line.occurredAt = fact.Currency, fact.OpenedAt
		line.event = bank.AccountOpened{AccountID: fact.Handle, OwnerName: fact.Owner, Currency: fact.Currency}
	case statement.Transaction:
		line.bankID, line.handle = fact.ID, fact.Account
		line.currency, line.occurredAt = fact.Amount.Currency, fact.OccurredAt
		line.event = bank.MoneyWithdrawn{Amount: fact.Amount.Minor, Reference: fact.Reference}
		if fact.Credit {
			line.event = bank.MoneyDeposited{Amount: fact.Amount.Minor, Reference: fact.Reference}
		}
	default:
		return line, fmt.Errorf("line %d: no event for a %T", line.number, fact)
	}
	line.aggregate = bank.AccountID(line.handle)
	line.id = importEventID(c.mapping.Source, kind, line.bankID)
	return line, nil
}

// settle finds out what is to become of the lines of a chunk, and records those that
// are new. All of them are recorded when it returns, or, with an error, none.
func (c *carrier) settle(ctx context.Context, chunk []importLine) ([]verdict, error) {
	var err error
	for range importAttempts {
		var verdicts []verdict
		if verdicts, err = c.judge(ctx, chunk); err != nil {
			return nil, err
		}
		entries := c.entries(chunk, verdicts)
		if len(entries) == 0 {
			return verdicts, nil
		}
		var records []daybook.Recorded
		records, err = c.into().Append(ctx, entries...)
		switch {
		case err == nil && records[0].Metadata.CorrelationID == c.metadata.CorrelationID:
			return verdicts, nil
		case err == nil:
			// Another import recorded exactly these a moment ago: look again, and
			// they are duplicates.
		case !errors.Is(err, daybook.ErrConflict) && !errors.Is(err, daybook.ErrKeyReused):
			return nil, err
		}
		c.accounts = accountCache{} // what was known of some account is no longer true
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return nil, err
}

// entries are the lines that were accepted, gathered by account.
func (c *carrier) entries(chunk []importLine, verdicts []verdict) []daybook.Entry {
	var entries []daybook.Entry
	places := map[daybook.AggregateID]int{}
	for i, line := range chunk {
		if verdicts[i].outcome != accepted {
			continue
		}
		place, there := places[line.aggregate]
		if !there {
			place = len(entries)
			places[line.aggregate] = place
			entry := daybook.Entry{Aggregate: line.aggregate, Expected: daybook.Any()}
			if _, opening := line.event.(bank.AccountOpened); opening {
				entry.Expected = daybook.NoEvents()
			}
			entries = append(entries, entry)
		}
		metadata := c.metadata
		metadata.Extra = map[string]string{bank.MetadataSource: c.mapping.Source, "source_id": line.bankID}
		entries[place].Events = append(entries[place].Events,
			daybook.Event{ID: line.id, Data: line.event, OccurredAt: line.occurredAt, Metadata: metadata})
	}
	return entries
}
