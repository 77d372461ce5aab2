package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// listenSQL subscribes to the channel that daybook.append notifies.
const listenSQL = `LISTEN daybook`

// Watch calls wake whenever somebody has appended to the book; see [daybook.Driver].
// It has a connection of its own while it runs, and makes a new one when that is lost.
func (db *DB) Watch(ctx context.Context, book daybook.BookID, wake func()) {
	pause := backoff.NewExponentialBackOff()
	for ctx.Err() == nil {
		began := time.Now() //nolint:forbidigo // how long a connection has lasted is no business of the caller's clock
		db.listen(ctx, strconv.FormatInt(int64(book), 10), wake)
		if time.Since(began) > pause.MaxInterval { //nolint:forbidigo // as above
			pause.Reset()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// listen is Watch for as long as one connection lasts.
func (db *DB) listen(ctx context.Context, book string, wake func()) {
	conn, err := pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig)
	if err != nil {
		return
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = conn.Close(closing) // there is nothing on it to lose
	}()
	if _, err := conn.Exec(ctx, listenSQL); err != nil {
		return
	}
	wake() // for what came before
	for {
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return
		}
		if notification.Payload == book {
			wake()
		}
	}
}
