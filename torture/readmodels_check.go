package torture

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/daybook-go/daybook"
)

// testify brings the read models up to date, as the next program would, and holds them to
// the events. Nobody else works on them then.
func (m *ReadModels) testify(ctx context.Context, c *check, tables func(context.Context) ([]string, error)) error {
	if err := m.explained(c, "I12", c.book.CatchUp(ctx, m.Behind()...)); err != nil {
		return err
	}
	if err := m.equal(ctx, c, "I11"); err != nil {
		return err
	}
	for _, p := range m.All() { // which takes up what was begun
		_, err := c.book.Rebuild(ctx, p, daybook.RebuildOptions{})
		if err := m.explained(c, "I18", err); err != nil {
			return err
		}
		_, err = c.book.DropKept(ctx, p)
		if err := m.explained(c, "I18", err); err != nil {
			return err
		}
	}
	if err := m.equal(ctx, c, "I17"); err != nil {
		return err
	}
	return m.noTrace(ctx, c, tables)
}

// explained notes an error that says that a projection is not as it should be, and returns
// any other.
func (m *ReadModels) explained(c *check, promise string, err error) error {
	if errors.Is(err, daybook.ErrProjectionBusy) || unexplained(err) {
		c.found(promise, "%v", err)
		return nil
	}
	return err
}

// equal finds differences between read models and events, and checkpoints that cannot be.
func (m *ReadModels) equal(ctx context.Context, c *check, promise string) error {
	var checks []daybook.Check
	for _, make := range []func(*daybook.Book) (daybook.Check, error){m.Inline.Check, m.Digests.Check, m.Buckets.Check} {
		one, err := make(c.book)
		if err != nil {
			return err
		}
		checks = append(checks, one)
	}
	v, err := daybook.Verify(ctx, c.book, daybook.VerifyOptions{Checks: checks})
	if err != nil {
		return err
	}
	for _, f := range v.Findings {
		number := promise
		if f.Check == m.Inline.Name {
			number = "I10"
		}
		c.found(number, "%v", f)
	}
	list, err := c.book.Projections(ctx)
	if err != nil {
		return err
	}
	live := map[string]int{}
	for _, p := range list {
		if p.Position > c.head.Position {
			c.found("I11", "%s, generation %d, is at position %d of a book that ends at %d", p.Projection, p.Generation, p.Position, c.head.Position)
		}
		if p.State != daybook.GenerationLive {
			continue
		}
		live[p.Projection]++
		if p.Position != c.head.Position || p.Failed != 0 {
			c.found("I11", "%s is at position %d, and has failed at %d, %q; the book ends at %d", p.Projection, p.Position, p.Failed, p.Failure, c.head.Position)
		}
	}
	for _, name := range []string{m.Inline.Name, m.Digests.Name, m.Buckets.Name, m.Applied.Name} {
		if live[name] != 1 {
			c.found("I18", "%s has %d live generations", name, live[name])
		}
	}
	return m.appliedOnce(ctx, c)
}

// appliedOnce: I11. A projection by hand was called once for each event, as far as its tables
// show.
func (m *ReadModels) appliedOnce(ctx context.Context, c *check) error {
	var rows, least, most, last int64
	err := m.probe(ctx, c, func(ctx context.Context, tx daybook.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*), coalesce(min(times), 0), coalesce(max(times), 0), coalesce(max(position), 0) FROM `+m.Applied.Name).Scan(&rows, &least, &most, &last)
	})
	if err == nil && (rows != c.head.Position || last != c.head.Position || rows > 0 && (least != 1 || most != 1)) {
		c.found("I11", "by hand, %d of %d events are there, up to position %d, each %d to %d times", rows, c.head.Position, last, least, most)
	}
	return err
}

// probe runs hand-written SQL, as the only thing a further projection does.
func (m *ReadModels) probe(ctx context.Context, c *check, query func(context.Context, daybook.Tx) error) error {
	c.probes++
	name := fmt.Sprintf("probe_%d", c.probes)
	err := c.book.CatchUp(ctx, &daybook.Projection{
		Name:  name,
		Setup: func(ctx context.Context, tx daybook.Tx, _ daybook.Generation) error { return query(ctx, tx) },
		Apply: func(context.Context, daybook.Tx, daybook.Page) error { return nil },
	})
	return errors.Join(err, c.book.DropProjection(ctx, &daybook.Projection{Name: name}))
}

// noTrace: I18. What is left, when nothing is kept and nothing is being built, is one
// generation of each, their copies, and no table beside.
func (m *ReadModels) noTrace(ctx context.Context, c *check, tables func(context.Context) ([]string, error)) error {
	list, err := c.book.Projections(ctx)
	if err != nil {
		return err
	}
	var known []string
	for _, p := range list {
		switch {
		case p.Projection == m.Applied.Name:
			known = append(known, fmt.Sprintf("%s_g%d", p.Projection, p.Generation))
		case p.Table != "":
			known = append(known, p.Table)
		}
		if p.State != daybook.GenerationLive && p.State != daybook.GenerationCopied {
			c.found("I18", "generation %d of %s is %s, after a rebuild that came to its end and with none kept", p.Generation, p.Projection, p.State)
		}
	}
	if tables == nil {
		return nil
	}
	there, err := tables(ctx)
	if err != nil {
		return err
	}
	slices.Sort(known)
	slices.Sort(there)
	if !slices.Equal(known, there) {
		c.found("I18", "the tables %v are there, and the generations have %v", there, known)
	}
	return nil
}
