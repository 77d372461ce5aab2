package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank/readmodel"
)

const (
	// lookPause is how often bars of read models are brought up to date, and watchPause how
	// often it is looked afterwards whether one has stopped.
	lookPause  = 200 * time.Millisecond
	watchPause = 2 * time.Second
	// partingTime bounds how long it takes to say what was done, after Ctrl-C.
	partingTime = 5 * time.Second
)

func newRun(a *app) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "run [NAME…]",
		Short: "Keep the read models that run behind the book, until Ctrl-C",
		Long: `Keep the read models that run behind the book, daily and transfers or those named,
until Ctrl-C. What is not there yet is made. Several processes may run the same ones:
one works, and another takes over when that one ends.

An event that one cannot take stops that one only, which is said and tried again.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkNames(names...); err != nil {
				return err
			}
			if len(names) == 0 {
				names = []string{readmodel.Daily.Name, readmodel.Transfers.Name}
			}
			for _, name := range names {
				if name == readmodel.Balances.Name {
					return usage("%s is part of every append: there is nothing to run", name)
				}
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
	var projectors []daybook.Projector
	for _, name := range names {
		projectors = append(projectors, readmodel.Named(name))
	}
	head, err := book.Head(ctx)
	if err != nil {
		return err
	}
	watch := &runWatch{app: a, book: book, names: names, until: head.Position}
	if !once { // else it is the error
		watch.said = map[string]int64{}
	}
	run := book.Run
	if once {
		run = book.CatchUp
	}
	all, running := errgroup.WithContext(ctx)
	watching, stopWatching := context.WithCancel(running)
	all.Go(func() error {
		defer stopWatching()
		return run(running, projectors...)
	})
	all.Go(func() error {
		watch.watch(watching)
		return nil
	})
	err = all.Wait()
	if err != nil && ctx.Err() == nil {
		return explainRun(err)
	}
	// What was done is to be said after Ctrl-C, too.
	parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
	defer cancel()
	if listErr := a.listProjections(parting, book, names...); listErr != nil {
		return errors.Join(err, listErr)
	}
	if once {
		return err
	}
	return nil // Ctrl-C is how it ends
}

// explainRun says what to do about a read model that cannot go on.
func explainRun(err error) error {
	var failed *daybook.ProjectionError
	var refused *daybook.InvalidError
	switch {
	case errors.As(err, &failed):
		return &hintError{err, "daybank projections skip " + failed.Projection + " --position N --reason TEXT passes over an event for ever; a program that can take it goes on here by itself"}
	case errors.As(err, &refused) && refused.Reason == "is paused: resume it first":
		return &hintError{&subjectError{daybook.ErrConflict, refused.Field + " is paused"}, "daybank resume lets it go on"}
	}
	return err
}

// runWatch looks at read models that are run, and tells how far they are.
type runWatch struct {
	app   *app
	book  *daybook.Book
	names []string
	until int64 // where bars end

	group *mpb.Progress
	bars  map[string]*mpb.Bar
	done  bool // all have been at until
	said  map[string]int64 // where each has stopped; nil where that is not to be said
}

// watch looks again and again until ctx ends, and leaves the terminal ready.
func (w *runWatch) watch(ctx context.Context) {
	w.begin()
	defer w.end()
	for pause := lookPause; ; {
		w.look(ctx)
		if w.done {
			w.end()
			pause = watchPause
		}
		select {
		case <-ctx.Done():
			w.look(context.WithoutCancel(ctx)) // the last step of the bars
			return
		case <-time.After(pause):
		}
	}
}

func (w *runWatch) begin() {
	if !w.app.hasRoomForBar() {
		return
	}
	w.group, w.bars = mpb.New(mpb.WithOutput(w.app.stderr), mpb.WithWidth(progressWidth)), map[string]*mpb.Bar{}
	for _, name := range w.names {
		w.bars[name] = w.group.AddBar(w.until,
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)), mpb.AppendDecorators(decor.CountersNoUnit("%d / %d events "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
}

// end leaves the terminal ready for what is printed next.
func (w *runWatch) end() {
	if w.group == nil {
		return
	}
	for _, bar := range w.bars {
		bar.Abort(false)
	}
	w.group.Wait()
	w.group, w.bars = nil, nil
}

// look brings the bars up to date, and tells of what has stopped.
func (w *runWatch) look(ctx context.Context) {
	list, err := w.book.Projections(ctx)
	if err != nil {
		return // who runs them finds out as well
	}
	there := 0
	for _, status := range list {
		bar := w.bars[status.Projection]
		if status.State != daybook.GenerationLive {
			continue
		}
		for _, name := range w.names {
			if name == status.Projection && status.Position >= w.until {
				there++
			}
		}
		if bar != nil {
			bar.SetCurrent(min(status.Position, w.until))
		}
		w.tell(status)
	}
	if there == len(w.names) && !w.done {
		w.done = true
	}
}

// tell says once where a read model has stopped.
func (w *runWatch) tell(status daybook.ProjectionStatus) {
	if w.said == nil || status.Failed == w.said[status.Projection] {
		return
	}
	w.said[status.Projection] = status.Failed
	if status.Failed > 0 {
		w.app.note("%s has stopped at position %d, and is tried again: %s", status.Projection, status.Failed, validText(status.Failure))
	}
}
