package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// projectionRow is a generation of a projection.
type projectionRow struct {
	Projection string `json:"projection"`
	// Kind is inline, behind or subscription.
	Kind       string `json:"kind"`
	Generation int64  `json:"generation"`
	Version    int64  `json:"version"`
	// State is current, behind, paused or stopped of the one that is live, and building,
	// kept or copied of another.
	State string `json:"state"`
	Live  bool   `json:"live"`
	// Position is that of the last event in it; LagEvents and LagSeconds are how far, and by
	// how much time of recording, the book is ahead.
	Position   int64   `json:"position"`
	LagEvents  int64   `json:"lag_events"`
	LagSeconds float64 `json:"lag_seconds"`
	// RatePerSecond is how many events a second it took when it last had some.
	RatePerSecond float64 `json:"rate_per_second"`
	// FailedPosition is the position of the event at which it has stopped, LastError why;
	// 0 and empty where it has not.
	FailedPosition int64  `json:"failed_position"`
	LastError      string `json:"last_error"`
	// Running says that a process works on it, or has ended without saying so.
	Running   bool   `json:"running"`
	UpdatedAt string `json:"updated_at"`
}

// The states of a live generation.
const (
	stateCurrent = "current"
	stateBehind  = "behind"
	statePaused  = "paused"
	stateStopped = "stopped"
)

func projectionColumns() []column {
	return []column{
		{title: "PROJECTION"}, {title: "KIND"}, {title: "GENERATION", right: true}, {title: "STATE"}, {title: "POSITION", right: true},
		{title: "LAG", right: true}, {title: "LAG TIME", right: true}, {title: "EVENTS/S", right: true}, {title: "LAST ERROR"},
	}
}

func (r projectionRow) cells() []string {
	rate, lag := "", ""
	if r.RatePerSecond > 0 {
		rate = strconv.FormatFloat(math.Round(r.RatePerSecond), 'f', -1, 64)
	}
	if r.LagEvents > 0 {
		lag = strconv.FormatFloat(r.LagSeconds, 'f', 1, 64) + "s"
	}
	failure := shorten(r.LastError)
	if r.FailedPosition > 0 {
		failure = fmt.Sprintf("at position %d: %s", r.FailedPosition, failure)
	}
	return []string{
		r.Projection, r.Kind, strconv.FormatInt(r.Generation, 10), r.State, strconv.FormatInt(r.Position, 10),
		strconv.FormatInt(r.LagEvents, 10), lag, rate, failure,
	}
}

func projectionRowOf(s daybook.ProjectionStatus) projectionRow {
	return projectionRow{
		Projection: s.Projection, Kind: string(s.Kind), Generation: s.Generation, Version: s.Version,
		State: stateOf(s), Live: s.State == daybook.GenerationLive,
		Position: s.Position, LagEvents: s.Lag, LagSeconds: s.LagTime.Seconds(), RatePerSecond: s.Rate,
		FailedPosition: s.Failed, LastError: validText(s.Failure), Running: !s.Runner.IsZero(), UpdatedAt: timeText(s.UpdatedAt),
	}
}

func stateOf(s daybook.ProjectionStatus) string {
	switch {
	case s.State != daybook.GenerationLive:
		return string(s.State)
	case s.Paused:
		return statePaused
	case s.Failed > 0:
		return stateStopped
	case s.Lag > 0:
		return stateBehind
	default:
		return stateCurrent
	}
}

func newProjections(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "projections",
		Short: "List the read models of the book, with all their generations, and how far each is",
		Long: `List the read models of the book, with all their generations, and how far each is.

balances is part of every append, and so as far as the book. daily and transfers
are kept by daybank run. A generation is made by a rebuild: one of each is live, the
ones before it are kept until they are dropped, and copies are what the past is worked
out from.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.listProjections(ctx, s.book)
			})
		},
	}
	cmd.AddCommand(newSkip(a), newDropKept(a), newCopy(a))
	return cmd
}

func (a *app) listProjections(ctx context.Context, book *daybook.Book, names ...string) error {
	list, err := book.Projections(ctx)
	if err != nil {
		return err
	}
	l := a.listing(projectionColumns(), false)
	for _, status := range list {
		if len(names) > 0 && (!slices.Contains(names, status.Projection) || status.State != daybook.GenerationLive) {
			continue
		}
		if err := l.add(projectionRowOf(status)); err != nil {
			return err
		}
	}
	if l.count == 0 && len(names) == 0 {
		a.note("book %s has no read models: the first write makes balances, and daybank run makes daily and transfers", a.book)
	}
	return l.close()
}

// changedProjection is the answer of a verb that has changed something about a read model.
type changedProjection struct {
	Projection string `json:"projection"`
	// Changed says that it was not so before; Position is where it is, Dropped how many
	// generations were removed.
	Changed  bool  `json:"changed"`
	Position int64 `json:"position"`
	Dropped  int64 `json:"dropped"`
}

func newSkip(a *app) *cobra.Command {
	var position number
	var reason string
	cmd := &cobra.Command{
		Use:   "skip NAME --position N --reason TEXT",
		Short: "Make a read model pass over an event that it cannot take, for ever",
		Long: `Make a read model pass over the event at a position, at which it has stopped. That is
recorded with the reason, holds in every rebuild, and cannot be taken back.`,
		Args: needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !position.given || reason == "" {
				return usage("skip needs --position N, of the event, and --reason TEXT, which is recorded")
			}
			return a.onProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
				if err := s.book.SkipEvent(ctx, live.Projection, position.value, reason); err != nil {
					return err
				}
				a.note("%s passes over the event at position %d", live.Projection, position.value)
				return a.showChanged(changedProjection{Projection: live.Projection, Changed: true, Position: position.value})
			})
		},
	}
	cmd.Flags().Var(&position, "position", "the `POSITION` of the event (needed)")
	cmd.Flags().StringVar(&reason, "reason", "", "why: `TEXT` that is recorded (needed)")
	return cmd
}

func newDropKept(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "drop-kept NAME",
		Short: "Remove the generations of a read model that were live once, and copies that are of no use any more",
		Args:  needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
				dropped, err := s.book.DropKept(ctx, readmodel.Named(live.Projection))
				if err != nil {
					return err
				}
				a.note("%s of %s removed", plural(int64(dropped), "generation"), live.Projection)
				return a.showChanged(changedProjection{Projection: live.Projection, Changed: dropped > 0, Position: live.Position, Dropped: int64(dropped)})
			})
		},
	}
}

func newCopy(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "copy NAME",
		Short: "Keep a copy of a read model as it is now, so that its past is near from there on",
		Args:  needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
				position, err := s.book.CopyView(ctx, readmodel.Named(live.Projection))
				if err != nil {
					return err
				}
				a.note("there is a copy of %s as of position %d", live.Projection, position)
				return a.showChanged(changedProjection{Projection: live.Projection, Changed: true, Position: position})
			})
		},
	}
}

// showChanged prints the answer where it is for programs; people have been told.
func (a *app) showChanged(r changedProjection) error {
	if a.format != formatJSON {
		return nil
	}
	return a.show(r, nil)
}

func newPause(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pause NAME",
		Short: "Stop a read model where it is, in all processes, until it is resumed",
		Long: `Stop a read model where it is, in all processes, until it is resumed. balances is then
no part of appends any more; accounts works it out from where it stopped.`,
		Args: needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
				if err := s.book.PauseProjection(ctx, live.Projection); err != nil {
					return err
				}
				return a.showMoved(ctx, s.book, live, "paused")
			})
		},
	}
}

func newResume(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a read model that was paused go on",
		Long: `Let a read model that was paused go on. balances is brought up to date first, and is
then part of every append again; the others go on with daybank run.`,
		Args: needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onProjection(cmd.Context(), args[0], func(ctx context.Context, s *session, live daybook.ProjectionStatus) error {
				book := s.book
				if live.Kind == daybook.KindInline {
					var err error
					if book, err = daybook.Open(ctx, s.driver, a.book, bank.Events, daybook.Inline{readmodel.Balances}); err != nil {
						return err
					}
				}
				if err := book.ResumeProjection(ctx, readmodel.Named(live.Projection)); err != nil {
					return err
				}
				return a.showMoved(ctx, book, live, "resumed")
			})
		},
	}
}

// showMoved says that a read model was paused or resumed, or was so before.
func (a *app) showMoved(ctx context.Context, book *daybook.Book, before daybook.ProjectionStatus, done string) error {
	now, _, err := liveGeneration(ctx, book, before.Projection)
	if err != nil {
		return err
	}
	changed := now.Paused != before.Paused
	switch {
	case changed:
		a.note("%s is %s at position %d", now.Projection, done, now.Position)
	case now.Paused:
		a.note("%s was paused already, at position %d", now.Projection, now.Position)
	default:
		a.note("%s is not paused", now.Projection)
	}
	return a.showChanged(changedProjection{Projection: now.Projection, Changed: changed, Position: now.Position})
}

// onProjection runs f about a read model that the book has.
func (a *app) onProjection(ctx context.Context, name string, f func(ctx context.Context, s *session, live daybook.ProjectionStatus) error) error {
	if err := checkNames(name); err != nil {
		return err
	}
	return a.reading(ctx, func(ctx context.Context, s *session) error {
		live, found, err := liveGeneration(ctx, s.book, name)
		if err != nil {
			return err
		}
		if !found {
			return noSuchProjection(a.book, name)
		}
		return f(ctx, s, live)
	})
}

// checkNames refuses names that are no read model's.
func checkNames(names ...string) error {
	for i, name := range names {
		if readmodel.Named(name) == nil {
			return usage("%q is no read model: there are %s", shorten(name), strings.Join(readmodel.Names(), ", "))
		}
		if slices.Contains(names[:i], name) {
			return usage("%s is there twice", name)
		}
	}
	return nil
}

func noSuchProjection(book, name string) error {
	hint := "daybank run --once makes it"
	if name == readmodel.Balances.Name {
		hint = "the next write makes it, and so does daybank rebuild " + name
	}
	return &hintError{
		&subjectError{&daybook.NotThereError{What: "read model", Subject: book}, fmt.Sprintf("book %s has no read model %s yet", book, name)},
		hint,
	}
}
