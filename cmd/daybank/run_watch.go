package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/daybook-go/daybook"
)

// lookPause is how often it is looked how far the read models are that are run.
const lookPause = 250 * time.Millisecond

// runWatch tells on stderr how far read models are that are run: with a bar for each on a
// terminal, with a line when something changes elsewhere.
type runWatch struct {
	app   *app
	book  *daybook.Book
	once  bool
	until int64 // for once
	all   []*watched

	bars *mpb.Progress // nil where there is no terminal
	lost bool          // the book cannot be looked at
}

// watched is one read model that is run.
type watched struct {
	name     string
	bar      *mpb.Bar
	words    atomic.Value // behind the bar: a string
	caughtUp bool         // it has been as far as the book
	state    string       // as it was told last
	failed   int64        // where it had stopped then
	saidAt   time.Time    // when it was told last how far it is
}

func (a *app) newRunWatch(book *daybook.Book, names []string, once bool, until int64) *runWatch {
	w := &runWatch{app: a, book: book, once: once, until: until}
	if a.hasRoomForBar() {
		w.bars = mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(progressWidth))
	} else if !once {
		a.note("running %s, until Ctrl-C", andNames(names))
	}
	for _, name := range names {
		one := &watched{name: name, saidAt: time.Now()}
		one.words.Store("")
		if w.bars != nil {
			one.bar = w.bars.AddBar(0, mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
				mpb.AppendDecorators(decor.CountersNoUnit("%d / %d events "), decor.Any(func(decor.Statistics) string { return one.words.Load().(string) })))
		}
		w.all = append(w.all, one)
	}
	return w
}

// watch looks again and again until ctx ends, and leaves the terminal ready for what is
// printed next.
func (w *runWatch) watch(ctx context.Context) {
	for ctx.Err() == nil {
		w.look(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(lookPause):
		}
	}
	parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
	defer cancel()
	w.look(parting) // the last step of the bars
	if w.bars == nil {
		return
	}
	for _, one := range w.all {
		one.bar.Abort(false)
	}
	w.bars.Wait()
}

// look brings the bars up to date, and tells what has changed.
func (w *runWatch) look(ctx context.Context) {
	list, err := w.book.Projections(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !w.lost: // whoever runs them waits for the database as well
		w.tell("the book cannot be looked at, which is tried again: %s", w.app.redact(strings.TrimPrefix(err.Error(), "daybook: ")))
	case err == nil && w.lost:
		w.tell("the book is there again")
	}
	if w.lost = err != nil; w.lost {
		return
	}
	for _, one := range w.all {
		if live, found := liveAmong(list, one.name); found {
			w.see(one, live)
		}
	}
}

// see takes note of how a read model is.
func (w *runWatch) see(one *watched, status daybook.ProjectionStatus) {
	position, goal := status.Position, status.Position+status.Lag
	if w.once {
		goal = w.until
		position = min(position, goal)
	}
	state := stateOf(status)
	if one.bar != nil {
		one.bar.SetTotal(goal, false)
		one.bar.SetCurrent(position)
		one.words.Store(map[string]string{statePaused: "paused", stateStopped: fmt.Sprintf("stopped at %d", status.Failed)}[state])
	}
	if !w.once { // else what has stopped is the error
		w.tellState(one, status, state)
	}
	one.state, one.failed = state, status.Failed
	if w.bars == nil && state != statePaused && state != stateStopped {
		w.tellProgress(one, position, goal)
	}
}

// tellState tells once that a read model has stopped or is paused, and that it goes on.
func (w *runWatch) tellState(one *watched, status daybook.ProjectionStatus, state string) {
	switch {
	case state == one.state && status.Failed == one.failed:
	case state == statePaused:
		w.tell("%s is paused, at position %d: daybank resume %[1]s lets it go on", one.name, status.Position)
	case state == stateStopped:
		w.tell("%s has stopped at position %d, and is tried again: it %s", one.name, status.Failed, failureText(status))
	case one.state == statePaused || one.state == stateStopped:
		w.tell("%s goes on, and is at position %d", one.name, status.Position)
	}
}

// tellProgress tells now and then how far a read model is that is catching up, and when it has.
func (w *runWatch) tellProgress(one *watched, position, goal int64) {
	switch {
	case one.caughtUp:
	case position >= goal:
		one.caughtUp = true
		if !w.once { // else the end says it
			w.tell("%s is as far as the book, at position %d", one.name, position)
		}
	case time.Since(one.saidAt) >= progressPause:
		one.saidAt = time.Now()
		w.tell("%s: %d of %d events, %d %%", one.name, position, goal, percent(position, goal))
	}
}

// tell writes a line to stderr: above the bars, where there are any.
func (w *runWatch) tell(format string, args ...any) {
	if w.bars == nil {
		w.app.note(format, args...)
		return
	}
	// Where stderr is gone there is nobody left to be told.
	_, _ = fmt.Fprintln(w.bars, "daybank: "+plainText(fmt.Sprintf(format, args...)))
}
