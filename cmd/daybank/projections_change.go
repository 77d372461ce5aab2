package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// skipRow is an event that a projection passes over.
type skipRow struct {
	Projection string `json:"projection"`
	Position   int64  `json:"position"`
	Reason     string `json:"reason"`
	SkippedAt  string `json:"skipped_at"`
}

func skipColumns() []column {
	return []column{{title: "PROJECTION"}, {title: "POSITION", right: true}, {title: "SKIPPED AT"}, {title: "REASON"}}
}

func (r skipRow) cells() []string {
	return []string{r.Projection, strconv.FormatInt(r.Position, 10), r.SkippedAt, shorten(r.Reason)}
}

func skipRowOf(s daybook.Skip) skipRow {
	return skipRow{Projection: s.Projection, Position: s.Position, Reason: validText(s.Reason), SkippedAt: timeText(s.SkippedAt)}
}

func newSkips(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "skips",
		Short: "List the events that read models pass over, and why",
		Args:  needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				skips, err := s.book.Skips(ctx)
				if err != nil {
					return err
				}
				l := a.listing(skipColumns(), false)
				for _, skip := range skips {
					if err := l.add(skipRowOf(skip)); err != nil {
						return err
					}
				}
				return l.close()
			})
		},
	}
}

func newSkip(a *app) *cobra.Command {
	var position number
	var reason string
	cmd := &cobra.Command{
		Use:   "skip NAME --position N --reason TEXT",
		Short: "Make a read model pass over the event at which it has stopped, for ever",
		Long: `Make a read model pass over the event at which it has stopped: the one at the position
given, so that no other is passed over by mistake. It is recorded with the reason,
holds in every rebuild, and cannot be taken back.`,
		Args:              needs("NAME"),
		ValidArgsFunction: completeNames(1, behindNames()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !position.given || reason == "" {
				return usage("skip needs --position N, of the event at which %s has stopped, and --reason TEXT, which is recorded", shorten(args[0]))
			}
			return a.onProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
				return a.skip(ctx, s.book, live, position.value, reason)
			})
		},
	}
	cmd.Flags().Var(&position, "position", "the `POSITION` of the event (needed)")
	cmd.Flags().StringVar(&reason, "reason", "", "why: `TEXT` that is recorded (needed)")
	return cmd
}

func (a *app) skip(ctx context.Context, book *daybook.Book, live daybook.ProjectionStatus, position int64, reason string) error {
	if live.Kind == daybook.KindInline {
		return usage("%s is part of every append: an event that it cannot take is not recorded, so there is none to pass over", live.Projection)
	}
	// The library would pass over any event behind the position: one that the projection
	// can take very well would be missing in it for ever.
	if live.Failed != position {
		where := fmt.Sprintf("it has not stopped, and is at position %d", live.Position)
		if live.Failed > 0 {
			where = fmt.Sprintf("it has stopped at position %d", live.Failed)
		}
		return &hintError{usage("--position %d: that is not where %s has stopped: %s", position, live.Projection, where), "daybank projections shows where one has stopped; it has to have been run since"}
	}
	if err := book.SkipEvent(ctx, live.Projection, position, reason); err != nil {
		return err
	}
	skips, err := book.Skips(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(skips, func(s daybook.Skip) bool { return s.Projection == live.Projection && s.Position == position })
	if i < 0 {
		return nil
	}
	r := skipRowOf(skips[i])
	return a.show(r, skipColumns(), r)
}

func newCopy(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "copy NAME",
		Short: "Keep a copy of a read model as it is now, for questions about the past to start from",
		Long: `Keep a copy of a read model as it is now. Questions about a moment of the past are
answered from the nearest copy before it, and the events behind that: accounts with
--as-of, for example. 32 copies are kept; where there would be more, the one goes that
lies nearest between its neighbours. While balances is copied, writers wait.`,
		Args:              needs("NAME"),
		ValidArgsFunction: completeNames(1, readmodel.Names()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onOwnProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, p daybook.Projector) error {
				position, err := s.book.CopyView(ctx, p)
				if err != nil {
					return err
				}
				list, err := s.book.Projections(ctx)
				if err != nil {
					return err
				}
				return a.listProjections(ctx, s.book, slices.DeleteFunc(list, func(one daybook.ProjectionStatus) bool {
					return one.Projection != args[0] || one.State != daybook.GenerationCopied || one.Position != position
				}))
			})
		},
	}
}

// generationsDropped is the answer of what removes generations.
type generationsDropped struct {
	Projection string `json:"projection"`
	Dropped    int64  `json:"dropped"`
}

func (a *app) showDropped(r generationsDropped) error {
	return a.show(r, fieldColumns(), field{"projection", r.Projection}, field{"generations dropped", strconv.FormatInt(r.Dropped, 10)})
}

func newDropKept(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "drop-kept NAME",
		Short: "Remove the generations of a read model that were live once",
		Long: `Remove the generations of a read model that were live once, with their tables, and the
copies that another version of this program has made. There is no going back to them
then. The copies that this program uses stay.`,
		Args:              needs("NAME"),
		ValidArgsFunction: completeNames(1, readmodel.Names()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onOwnProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, p daybook.Projector) error {
				dropped, err := s.book.DropKept(ctx, p)
				if err != nil {
					return err
				}
				return a.showDropped(generationsDropped{args[0], int64(dropped)})
			})
		},
	}
}

func newDrop(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "drop NAME",
		Short: "Make the book forget a read model, with all its generations",
		Long: `Make the book forget a read model, with all its generations and their tables: one that
no program declares any more, for example. Tables that another program has made by SQL
of its own stay. No event is lost. One that is part of every append is to be paused
before. What it passes over stays recorded. A program that still has the read model makes
it anew: this one does so when it writes, for balances, or runs, for the others.`,
		Args:              needs("NAME"),
		ValidArgsFunction: completeNames(1, readmodel.Names()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onGenerations(cmd.Context(), args[0], func(ctx context.Context, s *session, list []daybook.ProjectionStatus) error {
				for _, one := range list {
					if one.State == daybook.GenerationLive && one.Kind == daybook.KindInline && !one.Paused {
						return &hintError{
							&subjectError{daybook.ErrConflict, one.Projection + " is part of every append, so it cannot be dropped"},
							"daybank pause " + one.Projection + " takes it out",
						}
					}
				}
				if err := s.book.DropProjection(ctx, &daybook.Projection{Name: args[0]}); err != nil {
					return err
				}
				return a.showDropped(generationsDropped{args[0], int64(len(list))})
			})
		},
	}
}
