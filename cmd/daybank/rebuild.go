package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// rebuiltRow is a generation that was made, or gone back to.
type rebuiltRow struct {
	Projection string `json:"projection"`
	Generation int64  `json:"generation"`
	Position   int64  `json:"position"`
	Rows       int64  `json:"rows"`
	// ResumedAt is from where a rebuild was taken up that had been interrupted, or a kept
	// generation; 0 where it began at the beginning.
	ResumedAt           int64 `json:"resumed_at"`
	ElapsedMicroseconds int64 `json:"elapsed_microseconds"`
}

func rebuiltColumns() []column {
	return []column{{title: "PROJECTION"}, {title: "GENERATION", right: true}, {title: "POSITION", right: true}, {title: "ROWS", right: true}, {title: "TOOK", right: true}}
}

func (r rebuiltRow) cells() []string {
	return []string{
		r.Projection, strconv.FormatInt(r.Generation, 10), strconv.FormatInt(r.Position, 10), strconv.FormatInt(r.Rows, 10),
		roughly(time.Duration(r.ElapsedMicroseconds) * time.Microsecond),
	}
}

func newRebuild(a *app) *cobra.Command {
	var dry, back bool
	cmd := &cobra.Command{
		Use:   "rebuild NAME…",
		Short: "Make a read model anew from the events, beside the one that serves, and switch to it",
		Long: `Make a read model anew from the events, beside the one that serves meanwhile; prove that
the new table holds what was worked out; and switch to it in one transaction. The old
one is kept: --rollback goes back to it. A rebuild that was interrupted, or killed, is
taken up where it was.

With --dry-run nothing is made or changed: the events are folded with this program, and
what a rebuild would change is listed, the first 1,000 differences of each read model.
The exit code is then 0 where there are none, and 6 where there are.`,
		Args: func(_ *cobra.Command, names []string) error {
			if len(names) == 0 {
				return errors.New("rebuild needs NAME, of one read model or more: run daybank rebuild --help")
			}
			return nil
		},
		ValidArgsFunction: completeNames(len(readmodel.Names()), readmodel.Names()...),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkNames(names...); err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				if dry {
					return a.dryRun(ctx, s.book, names)
				}
				return a.rebuild(ctx, s.book, names, back)
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing, and list the rows that a rebuild would change")
	cmd.Flags().BoolVar(&back, "rollback", false, "go back to the generation that was live before")
	oneOf(cmd, "dry-run", "rollback")
	return cmd
}

// rebuild makes one after the other; the first that cannot be made ends it.
func (a *app) rebuild(ctx context.Context, book *daybook.Book, names []string, back bool) error {
	if back {
		if err := a.haveKept(ctx, book, names); err != nil {
			return err
		}
	}
	l := a.listing(rebuiltColumns(), false)
	for _, name := range names {
		progress := a.progressBar("rebuilding "+name, decor.CountersNoUnit("%d / %d events "))
		built, err := book.Rebuild(ctx, readmodel.Named(name), daybook.RebuildOptions{Kept: back, Progress: progress.update})
		progress.end(err == nil)
		if err != nil {
			if l.table != nil && l.count > 0 { // those that are made are to be told of
				err = errors.Join(err, l.close())
			}
			return explainRebuild(err, name, back)
		}
		if built.Resumed > 0 && !back {
			a.note("%s was taken up at position %d, where it had been interrupted", name, built.Resumed)
		}
		err = l.add(rebuiltRow{
			Projection: name, Generation: built.Generation, Position: built.Position, Rows: built.Rows,
			ResumedAt: built.Resumed, ElapsedMicroseconds: built.Took.Microseconds(),
		})
		if err != nil {
			return err
		}
	}
	return l.close()
}

// haveKept returns an error unless there is something to go back to for each name.
func (a *app) haveKept(ctx context.Context, book *daybook.Book, names []string) error {
	list, err := book.Projections(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(list, func(s daybook.ProjectionStatus) bool {
			return s.Projection == name && s.State == daybook.GenerationKept
		}) {
			return &subjectError{&daybook.NotThereError{What: "generation", Subject: name}, fmt.Sprintf("%s has no kept generation in book %s: there is nothing to go back to", name, a.book)}
		}
	}
	return nil
}

// explainRebuild says what to do about a rebuild that did not come to its end.
func explainRebuild(err error, name string, back bool) error {
	switch {
	case back && errors.Is(err, daybook.ErrInvalid): // the one reason there is left
		return &hintError{
			&subjectError{&daybook.NotThereError{What: "generation", Subject: name}, "the kept generations of " + name + " were made by another version of this program, which gives its rows another meaning"},
			"run daybank rebuild " + name + " --rollback of that version",
		}
	case errors.Is(err, daybook.ErrProjectionBusy):
		return &hintError{err, "wait for it: daybank projections shows how far it is"}
	case errors.Is(err, daybook.ErrProjection):
		return &hintError{err, "the generation that serves stays as it is; a program that can take the event goes on there"}
	case errors.Is(err, context.Canceled):
		return &hintError{err, "the generation of " + name + " that serves stays as it is; daybank rebuild " + name + " goes on where this one was"}
	}
	return err
}
