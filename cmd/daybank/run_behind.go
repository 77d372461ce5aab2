package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// partingTime bounds how long it takes to say what was done, after Ctrl-C.
const partingTime = 5 * time.Second

func newRun(a *app) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "run [NAME…]",
		Short: "Keep the read models that run behind the book, until Ctrl-C",
		Long: `Keep the read models that run behind the book, all of them or those named, until Ctrl-C.
What is not there yet is made. Several processes may run the same ones: one works, and
another takes over within seconds when that one ends, however it ends.

An event that one of them cannot take stops that one only. It is said once, and tried
again after a second at first and after a minute in the end.

With --once it ends when they are as far as the book was at the beginning. What one of
them cannot take is then an error, after the others have come to their end.`,
		ValidArgsFunction: completeNames(len(behindNames()), behindNames()...),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkNames(names...); err != nil {
				return err
			}
			if slices.Contains(names, readmodel.Balances.Name) {
				return usage("%s is part of every append, so there is nothing to run: name %s", readmodel.Balances.Name, andNames(behindNames()))
			}
			if len(names) == 0 {
				names = behindNames()
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.runBehind(ctx, s.book, names, once)
			})
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end when they are as far as the book was at the beginning")
	return cmd
}

// runBehind keeps read models until ctx ends or, once, until they have caught up; and says how far
// they are then.
func (a *app) runBehind(ctx context.Context, book *daybook.Book, names []string, once bool) error {
	head, err := book.Head(ctx)
	if err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	var watch sync.WaitGroup
	watch.Go(func() { a.newRunWatch(book, names, once, head.Position).watch(watching) })
	if once {
		err = catchUp(ctx, book, names)
	} else {
		err = runAll(ctx, book, names)
	}
	stopWatching()
	watch.Wait()
	interrupted := ctx.Err() != nil
	if interrupted {
		a.note("stopped: what was taken stays, and the next run goes on from there")
	}
	// What was done is to be said after Ctrl-C, too.
	parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
	defer cancel()
	list, listErr := book.Projections(parting)
	if listErr == nil {
		listErr = a.listProjections(parting, book, slices.DeleteFunc(list, func(s daybook.ProjectionStatus) bool {
			return s.State != daybook.GenerationLive || !slices.Contains(names, s.Projection)
		}))
	}
	if interrupted && !once {
		return listErr // that is how it ends
	}
	return errors.Join(err, listErr)
}

// runAll runs read models until ctx ends, or one of them cannot go on whatever is tried.
func runAll(ctx context.Context, book *daybook.Book, names []string) error {
	var projectors []daybook.Projector
	for _, name := range names {
		projectors = append(projectors, readmodel.Named(name))
	}
	return explainRun(book.Run(ctx, projectors...), names...)
}

// catchUp brings each read model to where the book is, whatever becomes of the others.
func catchUp(ctx context.Context, book *daybook.Book, names []string) error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { errs[i] = explainRun(catchUpOne(ctx, book, name), names...) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err() // once is enough
	}
	return errors.Join(errs...)
}

func catchUpOne(ctx context.Context, book *daybook.Book, name string) error {
	live, found, err := liveGeneration(ctx, book, name)
	if err == nil && found && live.Paused && live.Lag > 0 {
		return &hintError{
			&subjectError{daybook.ErrConflict, fmt.Sprintf("%s is paused, at position %d", name, live.Position)},
			"daybank resume " + name + " lets it go on",
		}
	}
	if err != nil {
		return err
	}
	return book.CatchUp(ctx, readmodel.Named(name))
}

// explainRun says what to do about a read model, one of those named, that cannot go on.
func explainRun(err error, names ...string) error {
	if err == nil {
		return nil
	}
	var failed *daybook.ProjectionError
	// Several may be printed below each other, and each would say which package it is from.
	plain := &subjectError{err, strings.ReplaceAll(err.Error(), "daybook: ", "")}
	switch {
	case errors.As(err, &failed):
		return &hintError{plain, fmt.Sprintf("a program that can take the event goes on there by itself; daybank projections skip %s --position %d --reason TEXT passes over it, for ever", failed.Projection, failed.Record.Position)}
	case errors.Is(err, daybook.ErrRestored):
		return &hintError{plain, "daybank rebuild " + strings.Join(names, " ") + " makes anew what was made of the book as it was before"}
	}
	return plain
}
