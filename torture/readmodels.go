package torture

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/daybook-go/daybook"
)

// Digest is what a read model knows of an aggregate: it shows every event that is left out,
// doubled or out of order.
type Digest struct {
	Events       int64
	Digest       string
	LastPosition int64 `db:"last_position,index"`
}

// Bucket is a count of events that goes when it is full, and comes back.
type Bucket struct{ Events, LastPosition int64 }

// ReadModels are read models of one book: one is inline, the others are behind.
type ReadModels struct {
	Inline  *daybook.View[daybook.UUID, Digest]
	Digests *daybook.View[daybook.UUID, Digest]
	Buckets *daybook.View[int64, Bucket]
	// Applied is in hand-written SQL. It counts how often it was called for each event.
	Applied *daybook.Projection
}

// NewReadModels declares them for a book, by its name.
func NewReadModels(book string) *ReadModels {
	digests := func(name string) *daybook.View[daybook.UUID, Digest] {
		return &daybook.View[daybook.UUID, Digest]{
			Name: name, Key: "aggregate", Keys: daybook.PerAggregate, CopyEvery: 300,
			Evolve: func(row Digest, _ daybook.UUID, e daybook.ProjectedEvent) (Digest, bool) {
				digest := sha256.Sum256([]byte(row.Digest + e.EventID.String()))
				return Digest{row.Events + 1, hex.EncodeToString(digest[:8]), e.Position}, false
			},
		}
	}
	const buckets, full = 50, 7
	return &ReadModels{
		Inline: digests("inline_digests"), Digests: digests("digests"),
		Buckets: &daybook.View[int64, Bucket]{
			Name: "buckets", Key: "number", Workers: 3,
			Keys: func(e daybook.ProjectedEvent) []int64 {
				return []int64{int64(e.EventID[15]) % buckets, buckets + int64(e.EventID[14])%buckets}
			},
			Evolve: func(row Bucket, _ int64, e daybook.ProjectedEvent) (Bucket, bool) {
				return Bucket{row.Events + 1, e.Position}, row.Events+1 == full
			},
		},
		Applied: applied("applied_" + strings.Map(plainly, strings.ToLower(book))),
	}
}

func plainly(r rune) rune {
	if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
		return r
	}
	return '_'
}

// applied is a projection by hand, with the tables name_g1, name_g2 … and the view name.
func applied(name string) *daybook.Projection {
	table := func(g daybook.Generation) string { return fmt.Sprintf("%s_g%d", name, g.Number) }
	exec := func(ctx context.Context, tx daybook.Tx, statements ...string) (err error) {
		for _, statement := range statements {
			if err == nil {
				_, err = tx.ExecContext(ctx, statement)
			}
		}
		return err
	}
	return &daybook.Projection{
		Name: name,
		Setup: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
			return exec(ctx, tx, `CREATE TABLE `+table(g)+` (position BIGINT PRIMARY KEY, times BIGINT NOT NULL)`)
		},
		Switch: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
			return exec(ctx, tx, `DROP VIEW IF EXISTS `+name, `CREATE VIEW `+name+` AS SELECT position, times FROM `+table(g))
		},
		Drop: func(ctx context.Context, tx daybook.Tx, g daybook.Generation) error {
			if g.Live {
				return exec(ctx, tx, `DROP VIEW `+name, `DROP TABLE `+table(g))
			}
			return exec(ctx, tx, `DROP TABLE `+table(g))
		},
		Apply: func(ctx context.Context, tx daybook.Tx, page daybook.Page) error {
			for _, e := range page.Events {
				_, err := tx.ExecContext(ctx, `INSERT INTO `+table(page.Generation)+` AS there (position, times) VALUES ($1, 1)
ON CONFLICT (position) DO UPDATE SET times = there.times + 1`, e.Position)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// Behind are those that are run behind.
func (m *ReadModels) Behind() []daybook.Projector {
	return []daybook.Projector{m.Digests, m.Buckets, m.Applied}
}

// All are all of them.
func (m *ReadModels) All() []daybook.Projector { return append(m.Behind(), m.Inline) }

// rebuild rebuilds one after the other, and drops what that leaves, until ctx ends. Whether
// the surroundings let it come to its end does not matter; an error that they do not explain
// is returned.
func (m *ReadModels) rebuild(ctx context.Context, book *daybook.Book) error {
	for n := 0; ctx.Err() == nil; n++ {
		p := m.All()[n%len(m.All())]
		_, err := book.Rebuild(ctx, p, daybook.RebuildOptions{Kept: n%5 == 4 && n > len(m.All())})
		if err == nil && n%3 == 0 {
			_, err = book.DropKept(ctx, p)
		}
		if unexplained(err) && n%5 != 4 { // there may be none to go back to
			return err
		}
		if err != nil {
			breathe(ctx)
		}
	}
	return nil
}

// unexplained reports whether an error is none that a fault of the surroundings leads to.
func unexplained(err error) bool {
	return errors.Is(err, daybook.ErrProjection) || errors.Is(err, daybook.ErrProjectionChanged) || errors.Is(err, daybook.ErrInvalid) || errors.Is(err, daybook.ErrRestored)
}

// Reader reads read models while they are written to, and rebuilt.
type Reader struct {
	Models *ReadModels

	mu    sync.Mutex
	wrong []string
	looks int
}

// Run reads until ctx ends.
func (r *Reader) Run(ctx context.Context, book *daybook.Book) {
	last := map[string]int64{}
	for ctx.Err() == nil {
		for _, view := range []*daybook.View[daybook.UUID, Digest]{r.Models.Inline, r.Models.Digests} {
			rows, err := view.Find(ctx, book, daybook.ViewQuery{})
			breathe(ctx) // or nobody else gets to work
			if err != nil {
				continue
			}
			var events, position int64
			for _, row := range rows {
				events, position = events+row.Row.Events, max(position, row.Row.LastPosition)
			}
			r.saw(view.Name, events, position, last[view.Name])
			last[view.Name] = position
		}
	}
}

// saw notes what cannot be one moment of a view, or one before another.
func (r *Reader) saw(view string, events, position, before int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks++
	if events != position {
		r.wrong = append(r.wrong, fmt.Sprintf("of %s, %d events were to be seen and the last one was at position %d", view, events, position))
	}
	if position < before {
		r.wrong = append(r.wrong, fmt.Sprintf("%s was at position %d, and then at %d", view, before, position))
	}
}

// testify: I18.
func (r *Reader) testify(_ context.Context, c *check, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, wrong := range r.wrong {
		c.found("I18", "%s: %s", name, wrong)
	}
	c.report.Looks += r.looks
	return nil
}
