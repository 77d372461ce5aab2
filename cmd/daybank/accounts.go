package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

func newAccounts(a *app) *cobra.Command {
	var at pointFlags
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "List all accounts, now or at any moment of the past",
		Long:  "List all accounts, by handle, as they are at one and the same position of the book.",
		Args:  needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				c, err := a.cut(ctx, s, daybook.AggregateID{}, at)
				if err != nil {
					return err
				}
				accounts, unreadable, err := s.everyAccount(ctx, c)
				if err != nil {
					return err
				}
				l := a.listing(accountColumns(), false)
				for _, one := range accounts {
					if err := l.add(accountRowOf(one)); err != nil {
						return err
					}
				}
				// An account that cannot be read hides no other, and is not
				// passed over in silence either.
				return errors.Join(l.close(), errors.Join(unreadable...))
			})
		},
	}
	at.addForBook(cmd)
	return cmd
}

// everyAccount folds the whole book in one pass, and returns the accounts that the cut
// shows in order of their handles. Memory grows with the accounts, not with the events.
// Where an event cannot be decoded or a balance not be counted, unreadable says so and
// the account is left out.
func (s *session) everyAccount(ctx context.Context, c cut) (accounts []account, unreadable []error, err error) {
	q, any := c.query(daybook.AggregateID{})
	if !any {
		return nil, nil, nil
	}
	states := map[daybook.UUID]*account{}
	broken := map[daybook.UUID]bool{}
	for rec, err := range s.book.Read(ctx, q) {
		if err != nil {
			return nil, nil, err
		}
		id := rec.Aggregate.ID
		if broken[id] || !c.includes(rec) {
			continue
		}
		if states[id] == nil {
			states[id] = &account{Aggregate: rec.Aggregate, State: bank.Accounts.Initial()}
		}
		if err := s.apply(states[id], rec); err != nil {
			broken[id] = true
			delete(states, id)
			unreadable = append(unreadable, err)
		}
	}
	for _, one := range slices.SortedFunc(maps.Values(states), byHandle) {
		if err := countable(*one); err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		accounts = append(accounts, *one)
	}
	return accounts, unreadable, nil
}

// byHandle orders accounts; those that were not opened come first, by their ids.
func byHandle(x, y *account) int {
	if x.State.Handle != y.State.Handle {
		return strings.Compare(x.State.Handle, y.State.Handle)
	}
	return strings.Compare(x.Aggregate.ID.String(), y.Aggregate.ID.String())
}
