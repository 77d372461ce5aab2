package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

func newPause(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pause NAME",
		Short: "Stop a read model where it is, for all processes, until it is resumed",
		Long: `Stop a read model where it is, for all processes, until it is resumed: readers see it as
it was. balances is no part of appends any more then, and accounts is worked out from
where it stopped.`,
		Args:              needs("NAME"),
		ValidArgsFunction: completeNames(1, readmodel.Names()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
				if err := s.book.PauseProjection(ctx, live.Projection); err != nil {
					return err
				}
				if live.Paused {
					a.note("%s was paused before", live.Projection)
				}
				return a.showProjection(ctx, s.book, live.Projection)
			})
		},
	}
}

func newResume(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a read model that was paused go on",
		Long: `Let a read model that was paused go on. balances is brought up to date, and is part of
every append from then on; others go on with whoever runs them.`,
		Args:              needs("NAME"),
		ValidArgsFunction: completeNames(1, readmodel.Names()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkNames(args[0]); err != nil {
				return err
			}
			return a.onProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
				return a.resume(ctx, s, live)
			})
		},
	}
}

func (a *app) resume(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
	if !live.Paused {
		a.note("%s was not paused", live.Projection)
		return a.showProjection(ctx, s.book, live.Projection)
	}
	if live.Lag >= longToRead {
		a.note("bringing %s up to date: %s", live.Projection, plural(live.Lag, "event"))
	}
	book := s.book
	if live.Kind == daybook.KindInline {
		// Who makes it part of appends has to declare it as such.
		var err error
		if book, err = daybook.Open(ctx, s.driver, a.book, bank.Events, daybook.Inline{readmodel.Named(live.Projection)}); err != nil {
			return &hintError{err, live.Projection + " stays paused"}
		}
	}
	err := book.ResumeProjection(ctx, readmodel.Named(live.Projection))
	switch {
	case errors.Is(err, daybook.ErrProjectionChanged):
		return &hintError{err, live.Projection + " stays paused: daybank rebuild " + live.Projection + " makes it anew with this program, and lets it go on"}
	case err != nil:
		return &hintError{err, live.Projection + " stays paused"}
	}
	return a.showProjection(ctx, s.book, live.Projection)
}
