package pgtest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestSetClock(t *testing.T) {
	t.Parallel()
	s := StartWithClock(t)
	conn := connect(t, s.DSN())
	for _, ahead := range []time.Duration{0, -24 * time.Hour, 10 * 365 * 24 * time.Hour, -1500 * time.Millisecond, time.Hour, 0} {
		s.SetClock(ahead)
		wantClock(t, conn, ahead)
	}
	s.SetClock(-time.Hour)
	s.Kill()
	s.Restart()
	wantClock(t, connect(t, s.DSN()), -time.Hour)
}

// wantClock holds the server's clock between two looks at ours; a microsecond is what
// the server, and the file, round to.
func wantClock(t *testing.T, conn *pgx.Conn, ahead time.Duration) {
	t.Helper()
	var told time.Time
	before := time.Now()
	if err := conn.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&told); err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	if told.Before(before.Add(ahead-time.Microsecond)) || told.After(after.Add(ahead+time.Microsecond)) {
		t.Errorf("with the clock %v ahead the server says %v, at our %v", ahead, told, before)
	}
}
