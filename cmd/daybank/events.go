package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// historyRow is an event of an account and the balance after it.
type historyRow struct {
	eventRow `json:",inline"`
	// BalanceMinor is null from the first event on that this program cannot read, or
	// by which the balance is more than can be counted.
	BalanceMinor *int64 `json:"balance_minor"`

	balance string
}

func historyColumns() []column {
	return []column{
		{title: "NUMBER", right: true}, {title: "POSITION", right: true}, {title: "OCCURRED AT"}, {title: "RECORDED AT"},
		{title: "EVENT"}, {title: "BALANCE", right: true}, {title: "PAYLOAD"},
	}
}

func (r historyRow) cells() []string {
	return []string{
		strconv.FormatInt(r.SequenceNumber, 10), strconv.FormatInt(r.Position, 10), r.OccurredAt, r.RecordedAt,
		r.EventType, r.balance, shorten(string(r.Payload)),
	}
}

func newHistory(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history HANDLE",
		Short: "List what happened to an account, with the balance after each event",
		Args:  needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := bank.CheckHandle(args[0]); err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.history(ctx, s, args[0])
			})
		},
	}
}

func (a *app) history(ctx context.Context, s *session, handle string) error {
	id := bank.AccountID(handle)
	l := a.listing(historyColumns(), false)
	running := account{Aggregate: id, State: bank.Accounts.Initial()}
	readable := true
	for rec, err := range s.book.Read(ctx, daybook.Query{Aggregate: id}) {
		if err != nil {
			return err
		}
		if readable {
			if err := s.apply(&running, rec); err != nil {
				readable = false
				a.note("from here on the events are shown as they are stored, and balances are not known: %v", err)
			}
		}
		event, err := eventRowOf(rec)
		if err != nil {
			return err
		}
		r := historyRow{eventRow: event, balance: "?"}
		if readable && countable(running) == nil {
			r.BalanceMinor, r.balance = new(running.State.Balance), running.State.Money().Decimal()
		}
		if err := l.add(r); err != nil {
			return err
		}
	}
	if l.count == 0 {
		return notOpened(handle, a.book, pointFlags{})
	}
	return l.close()
}

func newEvents(a *app) *cobra.Command {
	var after, limit number
	var types []string
	var follow, reverse bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List what happened in the whole book, in order",
		Args:  needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := daybook.Query{AfterPosition: after.value, EventTypes: types, Reverse: reverse, Limit: int(limit.value)}
			switch {
			case limit.given && limit.value == 0:
				return usage("--limit 0: write 1 or more, or leave it out")
			case limit.value > maxLimit:
				return usage("--limit %d: at most %d, or leave it out for all of them", limit.value, maxLimit)
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.events(ctx, s, q, follow)
			})
		},
	}
	flags := cmd.Flags()
	flags.Var(&after, "after", "only events after position `P`")
	flags.StringArrayVar(&types, "type", nil, "only events of this `TYPE`, such as MoneyDeposited; may be repeated")
	flags.BoolVar(&follow, "follow", false, "wait for more at the end, until Ctrl-C")
	flags.Var(&limit, "limit", "at most `N` events")
	flags.BoolVar(&reverse, "reverse", false, "the last event first")
	oneOf(cmd, "follow", "reverse")
	return cmd
}

// maxLimit is the largest limit that an int holds everywhere.
const maxLimit = 1<<31 - 1

func (a *app) events(ctx context.Context, s *session, q daybook.Query, follow bool) error {
	read := s.book.Read
	if follow {
		read = s.book.Follow
	}
	l := a.listing(eventColumns(), follow)
	last := q.AfterPosition
	for rec, err := range read(ctx, q) {
		if err != nil && follow && !errors.Is(err, daybook.ErrNotThere) {
			return &hintError{err, fmt.Sprintf("to go on: daybank events --follow --after %d", last)}
		}
		if err != nil {
			return err
		}
		event, err := eventRowOf(rec)
		if err != nil {
			return err
		}
		if err := l.add(event); err != nil {
			return err
		}
		last = rec.Position
	}
	return l.close()
}
