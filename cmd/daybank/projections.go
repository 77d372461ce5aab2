package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
)

// projectionRow is a generation of a projection.
type projectionRow struct {
	Projection string `json:"projection"`
	// Kind is inline, behind or subscription.
	Kind       string `json:"kind"`
	Generation int64  `json:"generation"`
	Version    int64  `json:"version"`
	// State is current, behind, stopped, restored or paused of the one that is live, and
	// building, kept or copied of another.
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
	// Skipped is how many events the projection passes over, because somebody said so.
	Skipped int64 `json:"skipped"`
	// Running says that a process works on it.
	Running   bool   `json:"running"`
	UpdatedAt string `json:"updated_at"`
}

// The states of a live generation.
const (
	stateCurrent  = "current"
	stateBehind   = "behind"
	statePaused   = "paused"
	stateStopped  = "stopped"
	stateRestored = "restored" // it was made of the book as it was before a backup was restored
)

// runnerSilence is after what time without a sign of life whoever worked on a projection
// is taken for dead. He gives one every second; the clocks of two machines may differ.
const runnerSilence = 5 * time.Second

func projectionColumns() []column {
	return []column{
		{title: "PROJECTION"}, {title: "KIND"}, {title: "GENERATION", right: true}, {title: "STATE"}, {title: "RUNNING"}, {title: "POSITION", right: true},
		{title: "LAG", right: true}, {title: "LAG TIME", right: true}, {title: "EVENTS/S", right: true}, {title: "LAST ERROR"},
	}
}

func (r projectionRow) cells() []string {
	running, lag, lagTime, rate, failure := "", "", "", "", ""
	if r.Running {
		running = "yes"
	}
	if r.Live || r.State == string(daybook.GenerationBuilding) { // else it is not meant to be as far as the book
		lag = strconv.FormatInt(r.LagEvents, 10)
	}
	if lag != "" && r.LagSeconds > 0 {
		lagTime = roughly(time.Duration(r.LagSeconds * float64(time.Second)))
	}
	if r.RatePerSecond > 0 {
		rate = strconv.FormatFloat(math.Ceil(r.RatePerSecond), 'f', -1, 64)
	}
	if r.FailedPosition > 0 {
		failure = fmt.Sprintf("at position %d: %s", r.FailedPosition, shorten(causeOf(r.LastError)))
	}
	return []string{
		r.Projection, r.Kind, strconv.FormatInt(r.Generation, 10), r.State, running, strconv.FormatInt(r.Position, 10),
		lag, lagTime, rate, failure,
	}
}

// roughly is a duration as eyes want it.
func roughly(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second / 10).String()
}

func projectionRowOf(s daybook.ProjectionStatus, skips []daybook.Skip) projectionRow {
	r := projectionRow{
		Projection: s.Projection, Kind: string(s.Kind), Generation: s.Generation, Version: s.Version,
		State: stateOf(s), Live: s.State == daybook.GenerationLive,
		Position: s.Position, LagEvents: s.Lag, LagSeconds: s.LagTime.Seconds(), RatePerSecond: math.Round(s.Rate*10) / 10, // more digits say nothing
		FailedPosition: s.Failed, LastError: failureText(s),
		Running:   !s.Runner.IsZero() && time.Since(s.UpdatedAt) < runnerSilence,
		UpdatedAt: timeText(s.UpdatedAt),
	}
	for _, skip := range skips {
		if skip.Projection == s.Projection {
			r.Skipped++
		}
	}
	return r
}

// failureText is why it has stopped, without what the user knows: which it is.
func failureText(s daybook.ProjectionStatus) string {
	return strings.TrimPrefix(validText(s.Failure), "daybook: projection "+s.Projection+" ")
}

// causeOf is a failure without the event in front of it, which is named by its position.
func causeOf(failure string) string {
	if _, cause, found := strings.Cut(failure, "): "); found && strings.HasPrefix(failure, "cannot take position ") {
		failure = cause
	}
	return strings.TrimPrefix(failure, "daybook: ")
}

func stateOf(s daybook.ProjectionStatus) string {
	switch {
	case s.State != daybook.GenerationLive:
		return string(s.State)
	case s.Paused:
		return statePaused
	case s.Restored:
		return stateRestored
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

balances is part of every append, and so is as far as the book. daily and transfers
come behind it, and are kept by daybank run. A rebuild makes a further generation:
one is live, those that were before are kept until they are dropped, and copies are
what the past is worked out from.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				list, err := s.book.Projections(ctx)
				if err != nil {
					return err
				}
				if len(list) == 0 {
					a.note("book %s has no read models: the first write makes balances, and daybank run makes daily and transfers", a.book)
				}
				return a.listProjections(ctx, s.book, list)
			})
		},
	}
	cmd.AddCommand(newSkip(a), newSkips(a), newCopy(a), newDropKept(a), newDrop(a))
	return cmd
}

// listProjections prints generations, and says where events are passed over.
func (a *app) listProjections(ctx context.Context, book *daybook.Book, list []daybook.ProjectionStatus) error {
	skips, err := book.Skips(ctx)
	if err != nil {
		return err
	}
	l := a.listing(projectionColumns(), false)
	passing := int64(0)
	for _, status := range list {
		r := projectionRowOf(status, skips)
		if r.Live {
			passing += r.Skipped
		}
		if err := l.add(r); err != nil {
			return err
		}
	}
	if err := l.close(); err != nil {
		return err
	}
	if passing > 0 {
		a.note("%s passed over: daybank projections skips lists what and why", plural(passing, "event"))
	}
	return nil
}

// showProjection prints the live generation of a projection as it is by now.
func (a *app) showProjection(ctx context.Context, book *daybook.Book, name string) error {
	live, found, err := liveGeneration(ctx, book, name)
	if err != nil || !found {
		return err
	}
	skips, err := book.Skips(ctx)
	if err != nil {
		return err
	}
	r := projectionRowOf(live, skips)
	return a.show(r, projectionColumns(), r)
}
