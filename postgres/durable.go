package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// allowDataLoss is the parameter of a dsn that says: a server that can lose what it
// has acknowledged will do.
const allowDataLoss = "allow_data_loss"

// unsafeSQL lists the settings of this session by which the server could lose what
// it has acknowledged.
const unsafeSQL = `
SELECT name FROM pg_catalog.pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
ORDER BY name`

// checkDurable refuses a server whose word means nothing.
func checkDurable(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, unsafeSQL)
	if err != nil {
		return err
	}
	off, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(off) == 0 {
		return nil
	}
	return &daybook.InvalidError{Field: strings.Join(off, ", "), Reason: fmt.Sprintf(
		"is off, so the server could lose what it has acknowledged: set it to on, or say %s=on in the address of the database", allowDataLoss)}
}
