package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// comparison is what has become of holding snapshots against events.
type comparison struct {
	compared, wrong, corrupt int64
	first                    string // the first that is wrong, in words
}

// String says it in the cell of a table.
func (c comparison) String() string {
	text := fmt.Sprint(c.compared)
	if c.wrong > 0 {
		text += fmt.Sprintf(", of them WRONG: %d", c.wrong)
	}
	if c.corrupt > 0 {
		text += fmt.Sprintf(" (and %d corrupt, which are not used)", c.corrupt)
	}
	return text
}

// compareSnapshots folds an account once more, and compares the state at each snapshot
// that this program would use with what the snapshot holds. Both are read in the order
// of their numbers, so that memory stays the same however many there are.
func (s *session) compareSnapshots(ctx context.Context, handle string) (c comparison, err error) {
	q := daybook.SnapshotQuery{Aggregate: bank.AccountID(handle), Fold: s.accounts.Fold(), States: true}
	next, stop := iter.Pull2(s.book.Snapshots(ctx, q))
	defer stop()
	one, err, more := next()
	if err != nil || !more {
		return c, err
	}
	_, err = s.fold(ctx, handle, func(at account) error {
		if !more || one.SequenceNumber != at.SequenceNumber {
			return nil
		}
		if err := s.compare(ctx, &c, one, at); err != nil {
			return err
		}
		var err error
		one, err, more = next()
		return err
	})
	// What is left names events that are not there, or have come meanwhile.
	for ; more && err == nil; one, err, more = next() {
		fault := s.book.CheckSnapshot(ctx, one)
		switch {
		case errors.Is(fault, daybook.ErrSnapshotCorrupt):
			c.corrupt++
		case fault != nil:
			return c, fault
		}
	}
	return c, err
}

// compare holds a snapshot against the account at the same number.
func (s *session) compare(ctx context.Context, c *comparison, one daybook.Snapshot, at account) error {
	err := s.book.CheckSnapshot(ctx, one)
	if errors.Is(err, daybook.ErrSnapshotCorrupt) {
		c.corrupt++
		return nil
	}
	if err != nil {
		return err
	}
	c.compared++
	kept, err := accountOf(one.State)
	if err == nil && kept == at.State {
		return nil
	}
	if c.wrong++; c.wrong == 1 {
		c.first = fmt.Sprintf("%d: it holds %s, the events give %s", one.SequenceNumber, stateText(kept), stateText(at.State))
	}
	return nil // a state that cannot be read is a wrong one
}
