package main

import (
	"context"
	"errors"
	"fmt"
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
	// ResumedAt is from where a rebuild was taken up that had been interrupted; 0 where it
	// began at the beginning.
	ResumedAt           int64 `json:"resumed_at"`
	ElapsedMicroseconds int64 `json:"elapsed_microseconds"`
}

func rebuiltColumns() []column {
	return []column{{title: "PROJECTION"}, {title: "GENERATION", right: true}, {title: "POSITION", right: true}, {title: "ROWS", right: true}, {title: "TOOK", right: true}}
}

func (r rebuiltRow) cells() []string {
	return []string{
		r.Projection, strconv.FormatInt(r.Generation, 10), strconv.FormatInt(r.Position, 10), strconv.FormatInt(r.Rows, 10),
		(time.Duration(r.ElapsedMicroseconds) * time.Microsecond).Round(time.Millisecond).String(),
	}
}

// dryRun is the answer of rebuild --dry-run.
type dryRun struct {
	Book     string `json:"book"`
	Position int64  `json:"position"`
	// Differences is how many there are; the first of them are listed.
	Differences int64           `json:"differences"`
	Rows        []differenceRow `json:"rows"`
}

// differenceRow is a field of a row, or a whole row where Field is empty, that a rebuild
// would change.
type differenceRow struct {
	Projection string `json:"projection"`
	Row        string `json:"row"`
	Field      string `json:"field,omitzero"`
	Problem    string `json:"problem"`
	Now        string `json:"now"`
	WouldBe    string `json:"would_be"`
}

func differenceColumns() []column {
	return []column{{title: "PROJECTION"}, {title: "ROW"}, {title: "FIELD"}, {title: "NOW"}, {title: "WOULD BE"}}
}

func (r differenceRow) cells() []string {
	return []string{r.Projection, r.Row, r.Field, shorten(r.Now), shorten(r.WouldBe)}
}

func newRebuild(a *app) *cobra.Command {
	var dry, back bool
	cmd := &cobra.Command{
		Use:   "rebuild [NAME…]",
		Short: "Make read models anew from the events, beside the ones that serve, and switch to them",
		Long: `Make read models anew from the events, all that the book has or those named, beside the
ones that serve meanwhile; prove that the new tables hold what was worked out; and
switch to them, each in one transaction. The old ones are kept: --rollback goes back.
A rebuild that was interrupted is taken up where it was.

With --dry-run nothing is made or changed: the events are folded with this program, and
the rows are listed that a rebuild would change. The exit code is then 6 where there
are any.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkNames(names...); err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				names, err := s.namesToRebuild(ctx, a, names)
				if err != nil {
					return err
				}
				if dry {
					return a.dryRun(ctx, s, names)
				}
				return a.rebuild(ctx, s, names, back)
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only list the rows that would be other ones")
	cmd.Flags().BoolVar(&back, "rollback", false, "go back to the generation that was live before")
	oneOf(cmd, "dry-run", "rollback")
	return cmd
}

// namesToRebuild is those given, or all that the book has.
func (s *session) namesToRebuild(ctx context.Context, a *app, given []string) (names []string, err error) {
	for _, name := range readmodel.Names() {
		_, found, err := liveGeneration(ctx, s.book, name)
		if err != nil {
			return nil, err
		}
		if found && len(given) == 0 {
			names = append(names, name)
		}
	}
	if len(given) == 0 && len(names) == 0 {
		a.note("book %s has no read models yet: name those to be made", a.book)
	}
	return append(names, given...), nil
}

// rebuild makes one after the other; the first that cannot be made ends it.
func (a *app) rebuild(ctx context.Context, s *session, names []string, back bool) error {
	l := a.listing(rebuiltColumns(), false)
	for _, name := range names {
		progress := a.progressBar("rebuilding "+name, decor.CountersNoUnit("%d / %d events "))
		built, err := s.book.Rebuild(ctx, readmodel.Named(name), daybook.RebuildOptions{Kept: back, Progress: progress.update})
		progress.end(err == nil)
		if err != nil {
			return errors.Join(l.close(), explainRebuild(err, name))
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

// explainRebuild says what to do about a rebuild that did not come to its end.
func explainRebuild(err error, name string) error {
	var refused *daybook.InvalidError
	switch {
	case errors.As(err, &refused) && refused.Field == "projection "+name:
		return &hintError{&subjectError{&daybook.NotThereError{What: "generation"}, name + " " + refused.Reason}, "daybank projections lists the generations there are"}
	case errors.Is(err, daybook.ErrProjectionBusy):
		return &hintError{err, "wait for it (daybank projections shows how far it is), or run this again should that process have ended"}
	case errors.Is(err, daybook.ErrProjection):
		return &hintError{err, "the generation that serves stays as it is; daybank projections skip " + name + " passes over an event that a read model which runs behind cannot take"}
	case errors.Is(err, context.Canceled):
		return &hintError{err, "the one that serves stays as it is; daybank rebuild " + name + " goes on from here"}
	}
	return err
}

// dryRun lists what rebuilds would change.
func (a *app) dryRun(ctx context.Context, s *session, names []string) error {
	all, err := readmodel.Checks(ctx, s.book)
	if err != nil {
		return err
	}
	var checks []daybook.Check
	for _, name := range names {
		if _, found, err := liveGeneration(ctx, s.book, name); err != nil || !found {
			return errors.Join(err, noSuchProjection(a.book, name))
		}
		for _, check := range all {
			if check.Name() == name {
				checks = append(checks, check)
			}
		}
	}
	progress := a.progressBar("folding", decor.CountersNoUnit("%d / %d events "))
	v, err := daybook.Verify(ctx, s.book, daybook.VerifyOptions{Checks: checks, Progress: progress.update})
	progress.end(err == nil)
	if err != nil {
		return err
	}
	r := dryRun{Book: v.Book, Position: v.Position, Rows: []differenceRow{}}
	ofBook := int64(0)
	for _, c := range v.Checks {
		if readmodel.Named(c.Check) == nil {
			ofBook += c.Findings
			continue
		}
		r.Differences += c.Findings
	}
	for _, f := range v.Findings {
		if readmodel.Named(f.Check) != nil {
			r.Rows = append(r.Rows, differenceRow{f.Check, f.Row, f.Field, validText(f.Problem), validText(f.Found), validText(f.Expected)})
		}
	}
	if ofBook > 0 {
		a.note("the book itself is not what it must be, in %s: look with daybank verify before anything is rebuilt", plural(ofBook, "place"))
	}
	return a.showDryRun(r)
}

func (a *app) showDryRun(r dryRun) error {
	rows := make([]row, len(r.Rows))
	for i, one := range r.Rows {
		rows[i] = one
	}
	if err := a.show(r, differenceColumns(), rows...); err != nil {
		return err
	}
	if shown := int64(len(r.Rows)); shown < r.Differences {
		a.note("%d of %s are shown", shown, plural(r.Differences, "difference"))
	}
	if r.Differences == 0 {
		a.note("a rebuild would change nothing, as of position %d", r.Position)
		return nil
	}
	return &hintError{fmt.Errorf("%w: a rebuild would change %s", errDiffers, plural(r.Differences, "field or row")), "nothing was changed; daybank rebuild does it"}
}
