package bench

import (
	"context"
	"errors"

	"github.com/daybook-go/daybook"
)

const (
	nameInline  = "inline"
	nameWithout = "without"
)

// prepareInline sets up callers on two books: one with a view inline, and one without.
func prepareInline(ctx context.Context, s *stage) ([]contender, error) {
	const callers = 64
	with, err := s.namedBook(ctx, nameInline, daybook.Inline{newBalances()})
	if err != nil {
		return nil, err
	}
	forget(s, with)
	without, err := s.namedBook(ctx, nameWithout)
	if err != nil {
		return nil, err
	}
	ours := callersOnBook(with, newCallers(callers, appendTo(with)))
	bookOnly := ours.verify
	ours.name, ours.verify = nameInline, func(ctx context.Context) error {
		return errors.Join(bookOnly(ctx), auditBalances(ctx, s, with, viewTable(with)))
	}
	base := callersOnBook(without, newCallers(callers, appendTo(without)))
	base.name = nameWithout
	return []contender{ours, base}, nil
}
