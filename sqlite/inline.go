package sqlite

import (
	"context"

	"github.com/daybook-go/daybook"
)

// project does what inline says of rows, which have just been written. Its functions
// are the user's: they get the context of the append, and may panic.
func project(ctx context.Context, s *session, inline daybook.InlineWork, rows []daybook.Recorded) error {
	if inline.Fold != nil {
		keys, err := inline.Keys(rows)
		if err != nil {
			return err
		}
		loaded := make([][][]any, len(keys))
		for i, k := range keys {
			if loaded[i], err = loadRows(ctx, s, k); err != nil {
				return err
			}
		}
		written, err := inline.Fold(rows, loaded)
		if err != nil {
			return err
		}
		for _, w := range written {
			if err := writeRows(ctx, s, w); err != nil {
				return err
			}
		}
	}
	if inline.Apply == nil {
		return nil
	}
	tx := &handwritten{conn: s.conn}
	defer tx.end()
	return inline.Apply(ctx, tx, rows)
}
