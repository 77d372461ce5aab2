package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook/bank"
)

// reason is an event that a balance is made of, and the balance after it.
type reason struct {
	movementRow  `json:",inline"`
	Balance      string `json:"balance"`
	BalanceMinor int64  `json:"balance_minor"`
}

func reasonColumns() []column {
	return []column{
		{title: "NUMBER", right: true}, {title: "POSITION", right: true}, {title: "OCCURRED AT"}, {title: "COMMAND"}, {title: "AMOUNT", right: true},
		{title: "BALANCE", right: true}, {title: "ACTOR"}, {title: "CORRELATION"}, {title: "CAUSATION"}, {title: "REFERENCE"},
	}
}

func (r reason) cells() []string {
	return []string{
		strconv.FormatInt(r.SequenceNumber, 10), strconv.FormatInt(r.Position, 10), r.OccurredAt, r.what(), r.movement(),
		r.Balance, shorten(r.Metadata.Actor), shorten(r.Metadata.CorrelationID), shorten(r.Metadata.CausationID), shorten(r.Reference),
	}
}

func newWhy(a *app) *cobra.Command {
	var at pointFlags
	cmd := &cobra.Command{
		Use:   "why HANDLE",
		Short: "Show why an account's balance is what it is: each event, its command, and who caused it",
		Long: `Show why an account's balance is what it is, now or at any moment of the past: the
events that it is the sum of, in the order they were recorded, with the command that
each came from, its actor, and its correlation and causation ids.`,
		Args: needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := bank.CheckHandle(args[0]); err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.why(ctx, s, args[0], at)
			})
		},
	}
	at.add(cmd)
	return cmd
}

func (a *app) why(ctx context.Context, s *session, handle string, at pointFlags) error {
	id := bank.AccountID(handle)
	c, err := a.cut(ctx, s, id, at)
	if err != nil {
		return named(err, handle)
	}
	events, err := s.past(ctx, id, c)
	if err != nil {
		return err
	}
	whole := fold(id, events)
	if whole.State.Status == bank.StatusNotOpened {
		return notOpened(handle, a.book, at)
	}
	if err := countable(whole); err != nil {
		return err
	}
	l := a.listing(reasonColumns(), false)
	running := account{Aggregate: id, State: bank.Account{Currency: whole.State.Currency}}
	for _, p := range events {
		running = p.then(running)
		r, err := p.row(whole.State.Currency)
		if err != nil {
			return err
		}
		if err := l.add(reason{r, running.State.Money().Decimal(), running.State.Balance}); err != nil {
			return err
		}
	}
	return l.close()
}
