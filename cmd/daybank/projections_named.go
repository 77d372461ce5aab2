package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// liveGeneration is the generation of a projection that readers see, and whether there is
// one.
func liveGeneration(ctx context.Context, book *daybook.Book, name string) (daybook.ProjectionStatus, bool, error) {
	list, err := book.Projections(ctx)
	if err != nil {
		return daybook.ProjectionStatus{}, false, err
	}
	live, found := liveAmong(list, name)
	return live, found, nil
}

// liveAmong is liveGeneration in a list of generations.
func liveAmong(list []daybook.ProjectionStatus, name string) (daybook.ProjectionStatus, bool) {
	i := slices.IndexFunc(list, func(s daybook.ProjectionStatus) bool {
		return s.Projection == name && s.State == daybook.GenerationLive
	})
	if i < 0 {
		return daybook.ProjectionStatus{}, false
	}
	return list[i], true
}

// onGenerations runs f about all generations of a projection, of this program's or any other
// that the book has: one that no program declares any more is to be got rid of.
func (a *app) onGenerations(ctx context.Context, name string, f func(ctx context.Context, s *session, list []daybook.ProjectionStatus) error) error {
	return a.reading(ctx, func(ctx context.Context, s *session) error {
		all, err := s.book.Projections(ctx)
		if err != nil {
			return err
		}
		known := readmodel.Names()
		var list []daybook.ProjectionStatus
		for _, status := range all {
			if status.Projection == name {
				list = append(list, status)
			}
			if !slices.Contains(known, status.Projection) {
				known = append(known, status.Projection)
			}
		}
		switch {
		case len(list) > 0:
			return f(ctx, s, list)
		case slices.Contains(known, name):
			return notMade(a.book, name)
		}
		return usage("%q is no read model of book %s: there are %s", shorten(name), a.book, strings.Join(known, ", "))
	})
}

// onProjection is onGenerations for what is about the live one.
func (a *app) onProjection(ctx context.Context, name string, f func(ctx context.Context, s *session, live daybook.ProjectionStatus) error) error {
	return a.onGenerations(ctx, name, func(ctx context.Context, s *session, list []daybook.ProjectionStatus) error {
		live, found := liveAmong(list, name)
		if !found {
			return notMade(a.book, name)
		}
		return f(ctx, s, live)
	})
}

// onOwnProjection is onProjection for what takes the declaration.
func (a *app) onOwnProjection(ctx context.Context, name string, f func(ctx context.Context, s *session, p daybook.Projector) error) error {
	if err := checkNames(name); err != nil {
		return err
	}
	return a.onProjection(ctx, name, func(ctx context.Context, s *session, _ daybook.ProjectionStatus) error {
		return f(ctx, s, readmodel.Named(name))
	})
}

// checkNames refuses names that are no read model of this program's.
func checkNames(names ...string) error {
	for i, name := range names {
		if readmodel.Named(name) == nil {
			return usage("%q is no read model of this program: there are %s", shorten(name), strings.Join(readmodel.Names(), ", "))
		}
		if slices.Contains(names[:i], name) {
			return usage("%s is there twice", name)
		}
	}
	return nil
}

// notMade says that the book does not have one of the program's read models yet.
func notMade(book, name string) error {
	hint := "daybank run --once " + name + " makes it"
	if name == readmodel.Balances.Name {
		hint = "the next write makes it, and so does daybank rebuild " + name
	}
	return &hintError{
		&subjectError{&daybook.NotThereError{What: "read model", Subject: book}, fmt.Sprintf("book %s has no read model %s yet", book, name)},
		hint,
	}
}

// completeNames completes up to so many names of read models, each once.
func completeNames(most int, names ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var left []cobra.Completion
		for _, name := range names {
			if len(args) < most && !slices.Contains(args, name) {
				left = append(left, name)
			}
		}
		return left, cobra.ShellCompDirectiveNoFileComp
	}
}

// behindNames are those of the read models that run behind the book.
func behindNames() []string {
	return slices.DeleteFunc(readmodel.Names(), func(name string) bool { return name == readmodel.Balances.Name })
}

// andNames is "daily", "daily and transfers" and so on.
func andNames(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
