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
	// SnapshotsCompared are those that this program would use: of them
	// SnapshotsWrong hold another state than the events come to. SnapshotsCorrupt are
	// damaged, which is seen before they are used.
	SnapshotsCompared int64 `json:"snapshots_compared"`
	SnapshotsWrong    int64 `json:"snapshots_wrong"`
	SnapshotsCorrupt  int64 `json:"snapshots_corrupt"`
}

func newReplay(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "replay HANDLE",
		Short: "Work an account out again from its first event, and compare",
		Long: `Work an account out again from its first event, and compare the outcome with the
state that the other verbs work with, and with every snapshot on the way; none is used
for the replay itself. It is an error when one differs, and when a sequence number is
missing.`,
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
	state, err := s.fold(ctx, handle, nil)
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
	compared, err := s.compareSnapshots(ctx, handle)
	if err != nil {
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
		SnapshotsCompared: compared.compared, SnapshotsWrong: compared.wrong, SnapshotsCorrupt: compared.corrupt,
	}
	agrees := "yes"
	if !r.Agrees {
		agrees = "NO: " + loaded.State.Money().String()
	}
	err = a.show(r, fieldColumns(),
		field{"account", r.Account}, field{"events replayed", strconv.FormatInt(r.EventsReplayed, 10)},
		field{"took", elapsed.Round(time.Microsecond).String()},
		field{"balance", state.State.Money().String()}, field{"agrees with the loaded state", agrees},
		field{"snapshots compared", compared.String()})
	switch {
	case err != nil:
		return err
	case r.SnapshotsWrong > 0:
		return &hintError{fmt.Errorf("%s: snapshots that differ from the events: %d, the first at %s", handle, r.SnapshotsWrong, compared.first), dropHint(handle)}
	case !r.Agrees:
		return fmt.Errorf("%s: replaying %d events gives %s, loading gives %s", handle, r.EventsReplayed, stateText(state.State), stateText(loaded.State))
	}
	return nil
}

// fold works an account out from its events and nothing else. It calls seen, where that
// is not nil, after each.
func (s *session) fold(ctx context.Context, handle string, seen func(account) error) (account, error) {
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
		if seen != nil {
			if err := seen(state); err != nil {
				return state, err
			}
		}
	}
	return state, nil
}
