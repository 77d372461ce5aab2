package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

func newBalance(a *app) *cobra.Command {
	var at pointFlags
	cmd := &cobra.Command{
		Use:   "balance HANDLE",
		Short: "Show the balance of an account, now or at any moment of the past",
		Args:  needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				loaded, err := a.load(ctx, s, args[0], at)
				if err != nil {
					return err
				}
				r := accountRowOf(loaded)
				return a.show(r, accountColumns(), r)
			})
		},
	}
	at.add(cmd)
	return cmd
}

// details is the answer of show.
type details struct {
	accountRow     `json:",inline"`
	AggregateID    string `json:"aggregate_id"`
	OpenedAt       string `json:"opened_at"`
	LastOccurredAt string `json:"last_occurred_at"`
	LastRecordedAt string `json:"last_recorded_at"`
}

// field is a row of a table that shows one thing.
type field struct{ name, value string }

func (f field) cells() []string { return []string{f.name, f.value} }

func fieldColumns() []column { return []column{{title: "FIELD"}, {title: "VALUE"}} }

func newShow(a *app) *cobra.Command {
	var at pointFlags
	cmd := &cobra.Command{
		Use:   "show HANDLE",
		Short: "Show all there is to know about an account, now or at any moment of the past",
		Args:  needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				loaded, err := a.load(ctx, s, args[0], at)
				if err != nil {
					return err
				}
				d, err := s.details(ctx, loaded)
				if err != nil {
					return err
				}
				return a.show(d, fieldColumns(),
					field{"account", d.Account}, field{"owner", d.Owner},
					field{"balance", loaded.State.Money().String()}, field{"status", d.Status},
					field{"sequence number", d.cells()[5]}, field{"position", d.cells()[6]},
					field{"aggregate id", d.AggregateID}, field{"opened at", d.OpenedAt},
					field{"last event occurred at", d.LastOccurredAt}, field{"last event recorded at", d.LastRecordedAt})
			})
		},
	}
	at.add(cmd)
	return cmd
}

// details adds to an account what its first and its last event know.
func (s *session) details(ctx context.Context, loaded account) (details, error) {
	d := details{accountRow: accountRowOf(loaded), AggregateID: loaded.Aggregate.ID.String()}
	for rec, err := range s.book.Read(ctx, daybook.Query{Aggregate: loaded.Aggregate, EventTypes: []string{"AccountOpened"}, Limit: 1}) {
		if err != nil {
			return d, err
		}
		d.OpenedAt = timeText(rec.OccurredAt)
	}
	for rec, err := range s.book.Read(ctx, daybook.Query{Aggregate: loaded.Aggregate, AfterSequence: loaded.SequenceNumber - 1, Limit: 1}) {
		if err != nil {
			return d, err
		}
		d.LastOccurredAt, d.LastRecordedAt = timeText(rec.OccurredAt), timeText(rec.RecordedAt)
	}
	return d, nil
}

// apply folds one record into an account.
func (s *session) apply(one *account, rec daybook.Recorded) error {
	event, err := s.decode(rec)
	if err != nil {
		return err
	}
	one.State = bank.Accounts.Evolve(one.State, event)
	one.SequenceNumber, one.Position = rec.SequenceNumber, rec.Position
	return nil
}

func (s *session) decode(rec daybook.Recorded) (bank.Event, error) {
	value, err := s.book.Decode(rec)
	if err != nil {
		return nil, err
	}
	return value.(bank.Event), nil // bank.Events holds nothing else
}
