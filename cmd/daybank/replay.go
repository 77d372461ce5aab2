package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// replayed is the answer of replay.
type replayed struct {
	accountRow `json:",inline"`
	// EventsReplayed is how many events were folded, ElapsedMicroseconds how long
	// reading, decoding and folding them took.
	EventsReplayed      int64 `json:"events_replayed"`
	ElapsedMicroseconds int64 `json:"elapsed_microseconds"`
	// LoadedBalanceMinor is the balance that all other verbs work with, at the
	// same sequence number. Agrees says that it and all the rest is the same.
	LoadedBalanceMinor int64 `json:"loaded_balance_minor"`
	Agrees             bool  `json:"agrees"`
}

func newReplay(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "replay HANDLE",
		Short: "Work an account out again from its first event, and compare",
		Long: `Work an account out again from its first event, and compare the outcome with the
state that the other verbs work with. It is an error when they differ, and when a
sequence number is missing.`,
		Args: needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := bank.CheckHandle(args[0]); err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.replay(ctx, s, args[0])
			})
		},
	}
}

func (a *app) replay(ctx context.Context, s *session, handle string) error {
	began := time.Now()
	state, err := s.fold(ctx, handle)
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	if state.SequenceNumber == 0 {
		return notOpened(handle, a.book, pointFlags{})
	}
	if err := countable(state); err != nil {
		return err
	}
	// At the same number: somebody may have written since.
	loaded, err := s.accounts.LoadAt(ctx, state.Aggregate, daybook.AtSequence(state.SequenceNumber))
	if err != nil {
		return named(err, handle)
	}
	r := replayed{
		accountRow: accountRowOf(state), EventsReplayed: state.SequenceNumber, ElapsedMicroseconds: elapsed.Microseconds(),
		LoadedBalanceMinor: loaded.State.Balance, Agrees: loaded == state,
	}
	agrees := "yes"
	if !r.Agrees {
		agrees = "NO: " + loaded.State.Money().String()
	}
	err = a.show(r, fieldColumns(),
		field{"account", r.Account}, field{"events replayed", strconv.FormatInt(r.EventsReplayed, 10)},
		field{"took", elapsed.Round(time.Microsecond).String()},
		field{"balance", state.State.Money().String()}, field{"agrees with the loaded state", agrees})
	if err == nil && !r.Agrees {
		return fmt.Errorf("%s: replaying %d events gives %s (%s), loading gives %s (%s)", handle, r.EventsReplayed,
			state.State.Money(), state.State.Status, loaded.State.Money(), loaded.State.Status)
	}
	return err
}

// fold works an account out from its events and nothing else.
func (s *session) fold(ctx context.Context, handle string) (account, error) {
	state := account{Aggregate: bank.AccountID(handle), State: bank.Accounts.Initial()}
	for rec, err := range s.book.Read(ctx, daybook.Query{Aggregate: state.Aggregate}) {
		if err != nil {
			return state, err
		}
		if next := state.SequenceNumber + 1; rec.SequenceNumber != next {
			return state, fmt.Errorf("%s: %s comes after sequence number %d: event %d is missing", handle, rec, state.SequenceNumber, next)
		}
		if err := s.apply(&state, rec); err != nil {
			return state, err
		}
	}
	return state, nil
}
