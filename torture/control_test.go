package torture_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/torture"
)

// controlRounds bounds how often a control may hold before that is a bug of the
// suite: chance is allowed a few.
const controlRounds = 10

// mustBreak fights rounds until one of the promises is found broken.
func mustBreak(t *testing.T, promises []string, fight func(n int) *torture.Report) {
	t.Helper()
	for n := range controlRounds {
		report := fight(n)
		if slices.ContainsFunc(report.Findings, func(f torture.Finding) bool { return slices.Contains(promises, f.Promise) }) {
			t.Logf("seed %d, broken in round %d, as it must be: %.900s", *flagSeed, n+1, report)
			return
		}
		if !report.Held() {
			t.Logf("round %d breaks something else: %.900s", n+1, report)
		}
	}
	t.Errorf("seed %d: the control held %v in %d rounds: the suite does not see what it must", *flagSeed, promises, controlRounds)
}

func needsServers(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL: skipped by -short")
	}
}

// fightEvents is the least that a fight is about, however slow the machine.
const fightEvents = 100

// fight runs one round of driver, without any fault, for a while and until there are
// some events.
func fight(t *testing.T, driver daybook.Driver, book string, kinds []torture.Kind, during time.Duration) *torture.Report {
	t.Helper()
	b, err := daybook.Open(t.Context(), driver, book, torture.Registry())
	if err != nil {
		t.Fatal(err)
	}
	report, err := torture.Round{
		Workload: torture.Workload{Seed: *flagSeed, Name: "main", Dir: t.TempDir(), Writers: 12, Aggregates: 6, MaxEvents: 3, Kinds: kinds},
		Book:     b, Watch: []*daybook.Book{b},
		Strike: func(ctx context.Context) error {
			time.Sleep(during)
			for deadline := time.Now().Add(backFor); ; time.Sleep(10 * time.Millisecond) {
				if head, err := b.Head(ctx); err == nil && head.Position >= fightEvents {
					return ctx.Err()
				}
				if time.Now().After(deadline) {
					return fmt.Errorf("in %v there are no %d events", backFor, fightEvents)
				}
			}
		},
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Numbers that are taken before the commit, without a lock that is held until then,
// lose events to a reader that remembers the last one, whether they come from a
// sequence or from a look at the last row.
func TestControlNumbersWithoutALock(t *testing.T) {
	t.Parallel()
	needsServers(t)
	for name, number := range map[string]string{"from a sequence": fromSequence, "from the last row": fromMaximum} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustBreak(t, []string{"I6"}, func(int) *torture.Report {
				s := startServer(t)
				driver, err := newPlain(t.Context(), s.DSN(), number)
				if err != nil {
					t.Fatal(err)
				}
				defer driver.Close()
				return fight(t, driver, "main", []torture.Kind{torture.Opening}, time.Second)
			})
		})
	}
}

// A server that acknowledges before it has flushed loses events when it is killed.
// The walwriter sleeps longer here than by default, so that it loses more.
func TestControlAsynchronousCommit(t *testing.T) {
	t.Parallel()
	needsServers(t)
	a := onServer("synchronous_commit=off", "wal_writer_delay=10s", "wal_writer_flush_after=1GB")(t)
	loose, err := url.Parse(a.address)
	if err != nil {
		t.Fatal(err)
	}
	query := loose.Query()
	query.Set("allow_data_loss", "on")
	loose.RawQuery = query.Encode()
	a.address, a.direct = loose.String(), loose.String()
	mustBreak(t, []string{"I1"}, func(n int) *torture.Report {
		f := fault{name: "asynchronous", writers: 12, strike: func(ctx context.Context, r *round) error {
			time.Sleep(500 * time.Millisecond)
			r.Kill()
			r.Restart()
			return r.wait(ctx, strikePause)
		}}
		report, err := newRound(t, a, f, n).run(f)
		if err != nil {
			t.Fatal(err)
		}
		return report
	})
}

// blind is an engine that does what callers do by hand after a lost reply: it makes
// new events of the old ones, and appends them again.
type blind struct {
	daybook.Driver
	appends atomic.Int64
}

func (b *blind) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
	outcomes, err := b.Driver.Append(ctx, book, batch, inline)
	replyLost := b.appends.Add(1)%5 == 0
	if !replyLost {
		return outcomes, err
	}
	again := slices.Clone(batch)
	for i := range again {
		again[i].Entries = slices.Clone(again[i].Entries)
		for j := range again[i].Entries {
			entry := &again[i].Entries[j]
			entry.Events = slices.Clone(entry.Events)
			for k := range entry.Events {
				entry.Events[k].EventID = daybook.NewUUID()
			}
		}
	}
	return b.Driver.Append(ctx, book, again, inline)
}

func TestControlBlindRetry(t *testing.T) {
	t.Parallel()
	needsServers(t)
	s := startServer(t)
	driver, err := open(t.Context(), s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	mustBreak(t, []string{"I2"}, func(int) *torture.Report {
		return fight(t, &blind{Driver: driver}, "blind", []torture.Kind{torture.Careless}, 500*time.Millisecond)
	})
}
